"""Values of one step of a loop as sums of products: matrices, gates and states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.operator_reader.operators import OperatorNode, ValueName
from edgernn_export.torch_reader.loops.written_out import CarriedResult

#: Operators of gates and candidates, and the functions that they are.
_FUNCTIONS: Final = {
    "elu": "elu", "hardsigmoid": "hard_sigmoid", "hardtanh": "hard_tanh", "relu": "relu",
    "sigmoid": "sigmoid", "silu": "silu", "softsign": "softsign", "tanh": "tanh",
}  # fmt: skip
#: What a matrix is applied to: a reading by name, a state by place, or a sum of products.
Leaf = tuple[str, Any]
#: What a product is made of: a reading, a state, a gate, or a value that matrices give.
Factor = tuple[str, Any]


class NoSum(Exception):
    """What is no sum of products."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProductSum:
    """A vector: matrices times leaves, a bias, and products of factors times numbers.

    Attributes:
        width: of the vector.
        matrices: [width, N] by leaf.
        bias: [width].
        products: number by factors, which are sorted.
    """

    width: int
    matrices: dict[Leaf, FloatArray] = field(default_factory=dict)
    bias: FloatArray
    products: dict[tuple[Factor, ...], float] = field(default_factory=dict)


class StepAlgebra:
    """Values of a body as sums of products."""

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
        self._leaves: list[ProductSum] = []
        self.gates: list[tuple[str, ProductSum]] = []
        self._sums: list[ProductSum] = []

    def new_state(self, place: int) -> ProductSum:
        """The new value of a state after a step.

        Raises:
            NoSum: no sum of products.
        """
        return self._whole(self.of(ValueName(self._nodes[place].outputs[0])))

    def leaf(self, index: int) -> ProductSum:
        """A sum of products that a matrix is applied to."""
        return self._leaves[index]

    def affine(self, index: int) -> ProductSum:
        """A value that is a factor as a whole."""
        return self._sums[index]

    def of(self, value: Any) -> Any:
        """A value of the body: a `ProductSum`, or a list of them where it has parts."""
        if isinstance(value, CarriedResult):
            width = self._width(self._nodes[value.place])
            return ProductSum(
                width=width, bias=np.zeros(width), products={(("s", value.place),): 1.0}
            )
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
        return _one_factor(width, ("x", name))

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
        if kind in _FUNCTIONS:
            inner = self._whole(self.of(inputs[0]))
            self.gates.append((_FUNCTIONS[kind], inner))
            factor = ("g", len(self.gates) - 1)
            return ProductSum(
                width=inner.width, bias=np.zeros(inner.width), products={(factor,): 1.0}
            )
        if kind == "linear":
            bias = 0.0 if inputs[2] is None else self._array(inputs[2])
            return self._multiplied(self._array(inputs[1]), self.of(inputs[0]), bias)
        if kind in ("matmul", "mm"):
            return self._multiplied(self._array(inputs[1]).T, self.of(inputs[0]), 0.0)
        if kind == "addmm":
            return self._multiplied(
                self._array(inputs[2]).T, self.of(inputs[1]), self._array(inputs[0]).reshape(-1)
            )
        if kind in ("add", "sub", "rsub"):
            share = float(inputs[2] if len(inputs) > 2 and inputs[2] is not None else 1.0)
            first, second = self._operand(inputs[0]), self._operand(inputs[1])
            if kind == "rsub":
                first, second = second, first
            return _added(first, second, -share if kind != "add" else share)
        if kind == "mul":
            return self._product(self._operand(inputs[0]), self._operand(inputs[1]))
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

    def _multiplied(self, matrix: FloatArray, value: Any, bias: Any) -> ProductSum:
        """A matrix [O, I] applied to a value, or to values one behind another."""
        if isinstance(value, list):
            if any(part.width == 0 for part in value[:-1]):
                raise NoSum
            ends = np.cumsum([part.width for part in value])[:-1]
            blocks = np.split(matrix, ends, axis=1)
            made: ProductSum | float = 0.0
            for block, part in zip(blocks, value, strict=True):
                made = _added(made, self._multiplied(block, part, 0.0), 1.0)
            return _added(made, _constant(len(matrix), bias), 1.0)
        width = len(matrix)
        matrices = {leaf: matrix @ own for leaf, own in value.matrices.items()}
        rest: dict[tuple[Factor, ...], float] = {}
        for factors, number in value.products.items():
            if len(factors) == 1 and factors[0][0] in "xs":
                leaf = factors[0]
                own = matrix * number
                matrices[leaf] = matrices[leaf] + own if leaf in matrices else own
            else:
                rest[factors] = number
        if rest:
            inner = ProductSum(width=matrix.shape[1], bias=np.zeros(matrix.shape[1]), products=rest)
            self._leaves.append(inner)
            matrices["v", len(self._leaves) - 1] = matrix
        own_bias = matrix @ value.bias if value.bias.size == matrix.shape[1] else np.zeros(width)
        return ProductSum(width=width, matrices=matrices, bias=own_bias + bias)

    def _product(self, first: ProductSum | float, second: ProductSum | float) -> ProductSum | float:
        if isinstance(first, float):
            return first * second if isinstance(second, float) else times(second, first)
        if isinstance(second, float):
            return times(first, second)
        left, right = self._factors(first), self._factors(second)
        width = max(first.width, second.width)
        made: dict[tuple[Factor, ...], float] = {}
        for a, number in left.items():
            for b, other in right.items():
                key = tuple(sorted((*a, *b), key=str))
                made[key] = made.get(key, 0.0) + number * other
        constant = made.pop((), 0.0)
        return ProductSum(width=width, bias=np.full(width, constant), products=made)

    def _factors(self, value: ProductSum) -> dict[tuple[Factor, ...], float]:
        """A value as products alone; what matrices give is one factor."""
        if value.matrices or (value.bias.size and np.ptp(value.bias) != 0.0):
            if value.products and any(len(f) > 1 or f[0][0] == "g" for f in value.products):
                raise NoSum
            self._sums.append(value)
            return {(("a", len(self._sums) - 1),): 1.0}
        made = dict(value.products)
        if value.bias.size and value.bias[0]:
            made[()] = float(value.bias[0])
        return made

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
            _rows(value, int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)
        ]

    def _sliced(self, node: OperatorNode) -> ProductSum:
        value = self._whole(self.of(node.inputs[0]))
        _, axis, start, stop, step = node.inputs[:5]
        if axis not in (-1, len(node.attributes["sizes"]) - 1) or step not in (None, 1):
            raise NoSum
        first, last, _ = slice(start, stop).indices(value.width)
        return _rows(value, first, last)


#: Operators of which sums are sums.
_LINEAR: Final = frozenset(
    {"add", "addmm", "cat", "chunk", "getitem", "linear", "matmul", "mm", "mul", "neg", "rsub",
     "slice", "split", "split_with_sizes", "sub"}
)  # fmt: skip


def _one_factor(width: int, factor: Factor) -> ProductSum:
    return ProductSum(width=width, bias=np.zeros(width), products={(factor,): 1.0})


def _constant(width: int, value: Any) -> ProductSum:
    bias = np.broadcast_to(np.asarray(value, dtype=np.float64), (width,))
    return ProductSum(width=width, bias=bias)


def times(value: ProductSum, number: float) -> ProductSum:
    """A value times a number."""
    return ProductSum(
        width=value.width,
        matrices={leaf: own * number for leaf, own in value.matrices.items()},
        bias=value.bias * number,
        products={factors: own * number for factors, own in value.products.items()},
    )


def _added(first: ProductSum | float, second: ProductSum | float, factor: float) -> ProductSum:
    if isinstance(second, float):
        second = _constant(first.width if isinstance(first, ProductSum) else 0, second)
    if isinstance(first, float):
        first = _constant(second.width, first)
    second = times(second, factor)
    width = max(first.width, second.width)
    matrices = dict(first.matrices)
    for leaf, own in second.matrices.items():
        matrices[leaf] = matrices[leaf] + own if leaf in matrices else own
    products = dict(first.products)
    for factors, number in second.products.items():
        products[factors] = products.get(factors, 0.0) + number
    bias = np.zeros(width)
    for one in (first.bias, second.bias):
        bias = bias + (one if one.size else 0.0)
    kept = {factors: number for factors, number in products.items() if number}
    return ProductSum(width=width, matrices=matrices, bias=bias, products=kept)


def _rows(value: ProductSum, start: int, stop: int) -> ProductSum:
    """Some elements of a value that matrices give."""
    if value.products:
        raise NoSum
    return ProductSum(
        width=stop - start,
        matrices={leaf: own[start:stop] for leaf, own in value.matrices.items()},
        bias=value.bias[start:stop],
    )
