"""Values of one step of a loop as sums of products: matrices, gates and states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn_export.operator_reader.operators import numbers
from edgernn_export.operator_reader.values import is_constant

#: What differs by less is the same in single precision.
_CLOSE: Final = 1e-6

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
    """What operators of a step do with sums of products.

    Attributes:
        gates: the text of a function, and the sum that it is applied to.
    """

    def __init__(self) -> None:
        self._leaves: list[ProductSum] = []
        self.gates: list[tuple[str, ProductSum]] = []
        self._sums: list[ProductSum] = []

    def leaf(self, index: int) -> ProductSum:
        """A sum of products that a matrix is applied to."""
        return self._leaves[index]

    def affine(self, index: int) -> ProductSum:
        """A value that is a factor as a whole."""
        return self._sums[index]

    def applied(self, function: str, inner: ProductSum) -> ProductSum:
        """A function of a sum: a gate."""
        self.gates.append((function, inner))
        return one_factor(inner.width, ("g", len(self.gates) - 1))

    def multiplied(
        self, matrix: FloatArray, value: ProductSum | Sequence[ProductSum], bias: Any = 0.0
    ) -> ProductSum:
        """A matrix [O, I] applied to a value, or to values one behind another.

        Raises:
            NoSum: the widths do not fit.
        """
        if not isinstance(value, ProductSum):
            if any(part.width == 0 for part in value[:-1]):
                raise NoSum
            ends = np.cumsum([part.width for part in value])[:-1]
            blocks = np.split(matrix, ends, axis=1)
            made: ProductSum | float = 0.0
            for block, part in zip(blocks, value, strict=True):
                made = added(made, self.multiplied(block, part), 1.0)
            return added(made, constant_sum(len(matrix), bias), 1.0)
        width = len(matrix)
        if value.width not in (0, matrix.shape[1]):
            raise NoSum
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

    def product(self, first: ProductSum | float, second: ProductSum | float) -> ProductSum | float:
        """Two values multiplied element by element.

        Raises:
            NoSum: both are sums of products and of more, or their widths differ.
        """
        if isinstance(first, float):
            return first * second if isinstance(second, float) else self._scaled(second, first)
        if isinstance(second, float):
            return self._scaled(first, second)
        width = _common_width(first, second)
        left, right = self._factors(first), self._factors(second)
        made: dict[tuple[Factor, ...], float] = {}
        for a, number in left.items():
            for b, other in right.items():
                key = tuple(sorted((*a, *b), key=str))
                made[key] = made.get(key, 0.0) + number * other
        constant = made.pop((), 0.0)
        return ProductSum(width=width, bias=np.full(width, constant), products=made)

    def _scaled(self, value: ProductSum, number: float) -> ProductSum:
        """A value times a number; a ramp, such as x held within 0 and 6, is a steeper one then."""
        gate = next(iter(value.products), ())
        if value.products == {gate: 1.0} and len(gate) == 1 and gate[0][0] == "g" and not (
            value.matrices or value.bias.any()
        ):  # fmt: skip
            text, inner = self.gates[gate[0][1]]
            function = PointwiseFunction.parse(text)
            given = dict(function.parameters)
            if function.name == "ramp" and number > 0.0:
                if abs(number * given["high"] - 1.0) < _CLOSE:  # 6 times 1/6 in single precision
                    number = 1.0 / given["high"]
                ends = {key: number * given[key] for key in ("slope", "offset", "low", "high")}
                return self.applied(str(PointwiseFunction.of("ramp", **{**given, **ends})), inner)
        return times(value, number)

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

    def rows(self, value: ProductSum, start: int, stop: int) -> ProductSum:
        """Some elements of a value that matrices give, or of functions of such values.

        Raises:
            NoSum: of any other value.
        """
        made = ProductSum(
            width=stop - start,
            matrices={leaf: own[start:stop] for leaf, own in value.matrices.items()},
            bias=value.bias[start:stop],
        )
        for factors, number in value.products.items():
            if len(factors) != 1 or factors[0][0] != "g":
                raise NoSum
            function, inner = self.gates[factors[0][1]]
            part = self.applied(function, self.rows(inner, start, stop))
            made = added(made, part, number)
        return made


def whole(value: Any) -> ProductSum:
    """A vector.

    Raises:
        NoSum: anything else.
    """
    if not isinstance(value, ProductSum):
        raise NoSum
    return value


def operand(value: Any) -> ProductSum | float:
    """A vector, or a constant: one number, or a row.

    Raises:
        NoSum: anything else.
    """
    if not is_constant(value):
        return whole(value)
    row = numbers(value)
    if row.size == 1:
        return float(row.reshape(()))
    if row.size != row.shape[-1]:
        raise NoSum
    return constant_sum(row.size, row.reshape(-1))


def matrix_of(value: Any) -> FloatArray:
    """A constant of two axes.

    Raises:
        NoSum: anything else.
    """
    if not is_constant(value) or value.ndim != 2:
        raise NoSum
    return numbers(value)


def one_factor(width: int, factor: Factor) -> ProductSum:
    """A reading or a state alone."""
    return ProductSum(width=width, bias=np.zeros(width), products={(factor,): 1.0})


def constant_sum(width: int, value: Any) -> ProductSum:
    """A constant: one number, or [width].

    Raises:
        NoSum: the width is not known, so that a number next to 0 would be lost.
    """
    if not width and np.any(value):
        raise NoSum
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


def added(first: ProductSum | float, second: ProductSum | float, factor: float) -> ProductSum:
    """A value, and another one times a factor.

    Raises:
        NoSum: their widths differ.
    """
    if isinstance(second, float):
        second = constant_sum(first.width if isinstance(first, ProductSum) else 0, second)
    if isinstance(first, float):
        first = constant_sum(second.width, first)
    second = times(second, factor)
    width = _common_width(first, second)
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


def _common_width(first: ProductSum, second: ProductSum) -> int:
    """The width of two values that are computed with element by element; 0 is not known."""
    widths = {first.width, second.width} - {0}
    numbers = [one for one in (first, second) if not (one.matrices or one.products)]
    if len(widths) > 1 and not any(one.width == 1 for one in numbers):
        raise NoSum
    return max(first.width, second.width)
