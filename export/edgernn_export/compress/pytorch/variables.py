"""Parameters and buffers of PyTorch modules as training reads and sets variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edgernn_export.cells.cell_readers import attribute


class ModuleVariable:
    """A parameter or a buffer of a module, also after the module has moved it.

    Args:
        module: that has it.
        name: its attribute.
    """

    def __init__(self, module: nn.Module, name: str) -> None:
        self._module, self._name = module, name

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""
        return tuple(self.value.shape)

    @property
    def value(self) -> torch.Tensor:
        """The tensor as it is now."""
        found: torch.Tensor = getattr(self._module, self._name)
        return found

    def assign(self, values: Any) -> None:
        """Take new values.

        A parameter stays the tensor that an optimizer knows. A buffer becomes another tensor, so
        that gradients of an earlier pass still have the values of that pass.
        """
        now = self.value
        given = values if isinstance(values, torch.Tensor) else torch.from_numpy(np.array(values))
        new = given.detach().to(now.device, now.dtype).reshape(now.shape)
        if isinstance(now, nn.Parameter):
            with torch.no_grad():
                now.copy_(new)
        else:
            setattr(self._module, self._name, new)

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        """The values for NumPy."""
        return np.array(self.value.detach().cpu().numpy(), dtype=dtype)


def add_parameter(module: nn.Module, name: str, shape: tuple[int, ...]) -> ModuleVariable:
    """A float32 weight of a module, zeros at first; dots in its name become underscores."""
    module.register_parameter(attribute(name), nn.Parameter(torch.zeros(shape)))
    return ModuleVariable(module, attribute(name))


def add_buffer(module: nn.Module, name: str, values: npt.NDArray[Any]) -> ModuleVariable:
    """Values of a module that are saved with it and not trained."""
    module.register_buffer(attribute(name), torch.from_numpy(np.array(values)))
    return ModuleVariable(module, attribute(name))
