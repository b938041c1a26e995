"""Compression of PyTorch modules, in PyTorch alone: Keras and TensorFlow are not needed.

    from edgernn_export.compress.pytorch import integer_model, qat_module

    model = qat_module(network, calibration=streams, precision="w4a8")
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for x, y in batches:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    integer_model(model).save("model.edgernn")

Quantization-aware training:
    qat_module       a module whose forward pass is the integer model's
    integer_model    the integer model of its weights as they are now
    tuned_network    the float network of these weights
    write_back       these weights in the module that the network was read from

Pruning and distillation of any module, those of qat_module among them:
    ModulePruner        sparse weights, during training
    DistillationLoss    learn from the outputs of another module
    HiddenStates        learn from its hidden states, too

Importing this package loads NumPy only; PyTorch is loaded when a name is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from edgernn.errors import BackendUnavailable
from edgernn.install import hint

if TYPE_CHECKING:
    from edgernn_export.compress.pytorch.conversion import (
        integer_model,
        qat_module,
        tuned_network,
        write_back,
    )
    from edgernn_export.compress.pytorch.module_distillation import DistillationLoss, HiddenStates
    from edgernn_export.compress.pytorch.module_pruner import ModulePruner

__all__ = [
    "DistillationLoss",
    "HiddenStates",
    "ModulePruner",
    "integer_model",
    "qat_module",
    "tuned_network",
    "write_back",
]

#: Names that load PyTorch, and their modules.
_OF_TORCH: Final = {
    "DistillationLoss": "module_distillation",
    "HiddenStates": "module_distillation",
    "ModulePruner": "module_pruner",
    "integer_model": "conversion",
    "qat_module": "conversion",
    "tuned_network": "conversion",
    "write_back": "conversion",
}


def __getattr__(name: str) -> Any:
    """Load PyTorch with the first use of a name.

    Raises:
        BackendUnavailable: PyTorch is not installed.
    """
    if name not in _OF_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_OF_TORCH[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise BackendUnavailable(
            f"torch: expected an installed package, got none. Run: {hint('torch')}"
        ) from error
