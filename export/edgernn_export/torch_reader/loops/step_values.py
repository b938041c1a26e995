"""What operators of PyTorch in one step of a loop give, as sums of products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.operator_reader.loops.step_algebra import (
    NoSum,
    ProductSum,
    StepAlgebra,
    added,
    one_factor,
    times,
)
from edgernn_export.operator_reader.operators import OperatorNode, ValueName
from edgernn_export.torch_reader.loops.written_out import CarriedResult

#: Operators of gates and candidates, and the functions that they are.
_FUNCTIONS: Final = {
    "elu": "elu", "hardsigmoid": "hard_sigmoid", "hardtanh": "hard_tanh", "relu": "relu",
    "sigmoid": "sigmoid", "silu": "silu", "softsign": "softsign", "tanh": "tanh",
}  # fmt: skip
#: Parameters of operators that have some, behind their tensors: as they must be.
_PARAMETERS: Final = {"addmm": (3, (1, 1)), "elu": (1, (1, 1, 1)), "hardtanh": (1, (-1, 1))}


class StepValues:
    """Values of a body as sums of products.

    Attributes:
        algebra: of the step.
    """

    def __init__(
        self,
        body: Sequence[OperatorNode],
        constants: Mapping[str, Any],
        widths: Mapping[str, int],
    ) -> None:
        self._body = {node.outputs[0]: (place, node) for place, node in enumerate(body)}
        self._nodes = list(body)
        self._constants = constants
        self._widths = widths
        self._known: dict[str, Any] = {}
        self.algebra = StepAlgebra()

    def new_state(self, place: int) -> ProductSum:
        """The new value of a state after a step.

        Raises:
            NoSum: no sum of products.
        """
        return self._whole(self.of(ValueName(self._nodes[place].outputs[0])))

    def of(self, value: Any) -> Any:
        """A value of the body: a `ProductSum`, or a list of them where it has parts."""
        if isinstance(value, CarriedResult):
            width = self._width(self._nodes[value.place])
            return one_factor(width, ("s", value.place))
        if not isinstance(value, ValueName):
            raise NoSum
        if value.name not in self._known:
            self._known[value.name] = self._made(value.name)
        return self._known[value.name]

    def _made(self, name: str) -> Any:
        if name in self._constants:
            given = np.asarray(self._constants[name], dtype=np.float64)
            if given.size != given.shape[-1:][0] if given.ndim else True:
                raise NoSum
            given = given.reshape(-1)
            return ProductSum(width=given.size, bias=given)
        if name not in self._body:
            return self._reading(name)
        _, node = self._body[name]
        if not self._depends(node) and node.kind not in _LINEAR:
            return self._reading(name)
        return self._combined(node)

    def _reading(self, name: str) -> ProductSum:
        inside = name in self._body
        width = self._width(self._body[name][1]) if inside else self._widths.get(name, 0)
        return one_factor(width, ("x", name))

    @staticmethod
    def _width(node: OperatorNode) -> int:
        sizes = node.attributes["sizes"]
        if not sizes or sizes[-1] is None:
            raise NoSum
        return int(sizes[-1])

    def _depends(self, node: OperatorNode) -> bool:
        """Whether an operator reads anything that is carried."""

        def any_in(value: Any) -> bool:
            if isinstance(value, (list, tuple)):
                return any(any_in(item) for item in value)
            if isinstance(value, ValueName) and value.name in self._body:
                return self._depends(self._body[value.name][1])
            return isinstance(value, CarriedResult)

        return any_in(node.inputs)

    def _combined(self, node: OperatorNode) -> Any:
        kind, inputs = node.kind, node.inputs
        first, wanted = _PARAMETERS.get(kind, (len(inputs), ()))
        if any(one != other for one, other in zip(inputs[first:], wanted, strict=False)):
            raise NoSum
        if kind in _FUNCTIONS:
            return self.algebra.applied(_FUNCTIONS[kind], self._whole(self.of(inputs[0])))
        if kind == "linear":
            bias = 0.0 if inputs[2] is None else self._array(inputs[2])
            return self.algebra.multiplied(self._array(inputs[1]), self.of(inputs[0]), bias)
        if kind in ("matmul", "mm"):
            return self.algebra.multiplied(self._array(inputs[1]).T, self.of(inputs[0]), 0.0)
        if kind == "addmm":
            return self.algebra.multiplied(
                self._array(inputs[2]).T, self.of(inputs[1]), self._array(inputs[0]).reshape(-1)
            )
        if kind in ("add", "sub", "rsub"):
            share = float(inputs[2] if len(inputs) > 2 and inputs[2] is not None else 1.0)
            left, right = self._operand(inputs[0]), self._operand(inputs[1])
            if kind == "rsub":
                left, right = right, left
            return added(left, right, -share if kind != "add" else share)
        if kind == "mul":
            return self.algebra.product(self._operand(inputs[0]), self._operand(inputs[1]))
        if kind == "neg":
            return times(self._whole(self.of(inputs[0])), -1.0)
        if kind == "cat" and inputs[1] in (-1, len(node.attributes["sizes"]) - 1):
            return [self._whole(self.of(one)) for one in inputs[0]]
        if kind in ("chunk", "split", "split_with_sizes"):
            return self._parts(node)
        if kind == "getitem":
            return self.of(inputs[0])[inputs[1]]
        if kind == "slice":
            return self._sliced(node)
        raise NoSum

    def _array(self, value: Any) -> FloatArray:
        if isinstance(value, ValueName) and value.name in self._constants:
            return np.asarray(self._constants[value.name], dtype=np.float64)
        raise NoSum

    def _operand(self, value: Any) -> ProductSum | float:
        if isinstance(value, (int, float)):
            return float(value)
        return self._whole(self.of(value))

    @staticmethod
    def _whole(value: Any) -> ProductSum:
        if not isinstance(value, ProductSum):
            raise NoSum
        return value

    def _parts(self, node: OperatorNode) -> list[ProductSum]:
        value = self._whole(self.of(node.inputs[0]))
        if node.kind == "chunk":
            size = -(-value.width // int(node.inputs[1]))
            cuts = list(range(0, value.width, size))
            sizes = [min(size, value.width - start) for start in cuts]
        elif isinstance(node.inputs[1], list):
            sizes = [int(one) for one in node.inputs[1]]
        else:
            size = int(node.inputs[1])
            sizes = [min(size, value.width - s) for s in range(0, value.width, size)]
        ends = np.cumsum(sizes)
        return [
            self.algebra.rows(value, int(end) - size, int(end))
            for end, size in zip(ends, sizes, strict=True)
        ]

    def _sliced(self, node: OperatorNode) -> ProductSum:
        value = self._whole(self.of(node.inputs[0]))
        _, axis, start, stop, step = node.inputs[:5]
        if axis not in (-1, len(node.attributes["sizes"]) - 1) or step not in (None, 1):
            raise NoSum
        first, last, _ = slice(start, stop).indices(value.width)
        return self.algebra.rows(value, first, last)


#: Operators of which sums are sums.
_LINEAR: Final = frozenset(
    {"add", "addmm", "cat", "chunk", "getitem", "linear", "matmul", "mm", "mul", "neg", "rsub",
     "slice", "split", "split_with_sizes", "sub"}
)  # fmt: skip
