"""Smaller networks: functions and callbacks that take Keras models and return Keras models.

Packages:
    pruning         MagnitudePruning: sparse weights, during training
    structured      remove_units, remove_inputs, factorize, GroupLasso
    qat             qat_model, integer_model: quantization-aware training
    distillation    Distiller: train a small network on the outputs of a large one
    pytorch         qat_module, ModulePruner, DistillationLoss: the same for PyTorch modules
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

#: Packages that are imported when they are used.
_LAZY = ("distillation", "pruning", "pytorch", "qat", "structured")

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a package on its first use."""
        if name in _LAZY:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted(_LAZY)
