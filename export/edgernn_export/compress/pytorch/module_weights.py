"""The weights of PyTorch's own layers, as Keras and the float model have them.

Kernels stand as in Keras, [N, G*H], gates in the order of the float model: i f g o (LSTM) and z r n
(GRU, of which PyTorch has r z n). The stored parameters keep their own order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edgernn.model.formats import FloatArray
from edgernn_export.compress.pytorch.variables import ModuleVariable
from edgernn_export.float_model.layers import GRU_GATES, LSTM_GATES

#: By class: the gates in the float model's order, and where PyTorch has each of them.
_GATES: Final[dict[type[nn.Module], tuple[tuple[str, ...], tuple[int, ...]]]] = {
    nn.LSTM: (LSTM_GATES, (0, 1, 2, 3)),
    nn.LSTMCell: (LSTM_GATES, (0, 1, 2, 3)),
    nn.GRU: (GRU_GATES, (1, 0, 2)),
    nn.GRUCell: (GRU_GATES, (1, 0, 2)),
    nn.RNN: (("h",), (0,)),
    nn.RNNCell: (("h",), (0,)),
}
#: Layers with one matrix; a row of it is a unit.
_PLAIN: Final = (nn.Linear, nn.Conv1d)


class StackedParameter:
    """A parameter of a module, turned and its gates in the float model's order.

    Args:
        module: that has it.
        name: its attribute.
        order: where the parameter has each gate.
    """

    def __init__(self, module: nn.Module, name: str, order: tuple[int, ...] = (0,)) -> None:
        self._variable = ModuleVariable(module, name)
        self._order = order

    @property
    def parameter(self) -> torch.Tensor:
        """What the module has."""
        return self._variable.value

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the turned parameter."""
        return tuple(reversed(self.parameter.shape))

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        """The turned values for NumPy."""
        return np.array(self._in_order(np.asarray(self._variable), self._order).T, dtype=dtype)

    def assign(self, values: npt.NDArray[Any]) -> None:
        """Set the parameter to turned values."""
        back = tuple(int(place) for place in np.argsort(self._order))
        self._variable.assign(self._in_order(np.asarray(values).T, back))

    @staticmethod
    def _in_order(stacked: npt.NDArray[Any], order: tuple[int, ...]) -> npt.NDArray[Any]:
        gates = np.split(stacked, len(order))
        return np.concatenate([gates[place] for place in order])


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleLayer:
    """One layer of a module; a module of PyTorch may have several, in levels and directions.

    Attributes:
        path: of the module in the whole one, with the level where it has several.
        module: it.
        gates: names of the gates.
        weights: kernel, recurrent_kernel, and the biases bias and recurrent_bias, by these names,
            as far as the layer has them; an embedding has embeddings.
    """

    path: str
    module: nn.Module
    gates: tuple[str, ...]
    weights: dict[str, StackedParameter] = field(default_factory=dict)

    def arrays(self) -> dict[str, FloatArray]:
        """The weights by name as in the float model: kernels [R, N], tables [V, D]."""
        return {name: _as_rows(np.asarray(v, np.float64)) for name, v in self.weights.items()}

    def assign(self, name: str, rows: FloatArray) -> None:
        """Set a weight to values that stand as in the float model."""
        weight = self.weights[name]
        turned = rows.T.reshape(weight.shape)
        weight.assign(turned[::-1] if turned.ndim == 3 else turned)


def _as_rows(turned: FloatArray) -> FloatArray:
    """[N, R] turned to [R, N]; of a convolution [K, C, U], the taps side by side, newest first."""
    if turned.ndim == 3:
        turned = turned[::-1].reshape(-1, turned.shape[-1])
    return turned.T


def module_layers(module: nn.Module) -> Iterator[ModuleLayer]:
    """The layers of a module, in the order in which it lists them.

    Args:
        module: any; layers of classes of the user's own are looked into.
    """
    for path, child in module.named_modules():
        path = path or type(child).__name__
        kind = next((known for known in _GATES if isinstance(child, known)), None)
        if kind is not None:
            yield from _recurrent(path, child, *_GATES[kind])
        elif isinstance(child, (*_PLAIN, nn.Embedding)):
            names = {"embeddings": "weight"}
            if isinstance(child, _PLAIN):
                names = {"kernel": "weight", "bias": "bias"}
            yield ModuleLayer(
                path=path,
                module=child,
                gates=("y",),
                weights={
                    role: StackedParameter(child, name)
                    for role, name in names.items()
                    if getattr(child, name, None) is not None
                },
            )


def _recurrent(
    path: str, module: nn.Module, gates: tuple[str, ...], order: tuple[int, ...]
) -> Iterator[ModuleLayer]:
    kinds = {
        "kernel": "weight_ih",
        "recurrent_kernel": "weight_hh",
        "bias": "bias_ih",
        "recurrent_bias": "bias_hh",
    }
    levels = ["" if isinstance(module, nn.RNNCellBase) else "_l0"]
    if isinstance(module, nn.RNNBase):
        sides = ("", "_reverse") if module.bidirectional else ("",)
        levels = [f"_l{level}{side}" for level in range(module.num_layers) for side in sides]
    for level in levels:
        names = {role: f"{name}{level}" for role, name in kinds.items()}
        yield ModuleLayer(
            path=path if len(levels) == 1 else f"{path}.{level.removeprefix('_')}",
            module=module,
            gates=gates,
            weights={
                role: StackedParameter(module, name, order)
                for role, name in names.items()
                if getattr(module, name, None) is not None
            },
        )
