"""Normalization (NUMERICS.md clause 7.11) as TFLite operators of int32.

There is no logarithm and no shift by an amount of its own in a table: a bit length is the number of
powers of two that are reached, and what a clause shifts by it is gathered from a table.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import INT16_MAX, INT16_MIN, NORMALIZED
from edgernn.model.scales import NormalizationConstants
from edgernn_export.writers.tflite.graph import Graph, Tensor
from edgernn_firmware_sim.reference.normalization import FIRST_ROOT, inverse_root_table

#: Largest j of the clause.
_MOST: Final = 14


class _Arithmetic:
    """Operators of int32 vectors [1, N] and numbers [1, 1], which broadcast."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = name
        self._count = 0

    def _named(self) -> str:
        self._count += 1
        return f"{self.name}.{self._count}"

    def constant(self, values: npt.ArrayLike) -> Tensor:
        return self.graph.constant(self._named(), np.array(values, np.int32))

    def run(
        self, builtin: str, *inputs: Tensor | int, kind: str | None = None, dtype: str = "int32",
        width: int | None = None, **options: Any,
    ) -> Tensor:  # fmt: skip
        """One operator; numbers among its inputs are constants [1, 1]."""
        given = [self.constant([[i]]) if isinstance(i, int) else i for i in inputs]
        widest = max(tensor.width for tensor in given) if width is None else width
        out = self.graph.tensor(self._named(), widest, dtype, 1.0)
        self.graph.operator(builtin, 1, given, [out], kind=kind, **options)
        return out

    def add(self, a: Tensor, b: Tensor | int) -> Tensor:
        return self.run("ADD", a, b, kind="AddOptions")

    def less(self, a: Tensor, b: Tensor) -> Tensor:
        return self.run("SUB", a, b, kind="SubOptions")

    def times(self, a: Tensor, b: Tensor | int) -> Tensor:
        return self.run("MUL", a, b, kind="MulOptions")

    def over(self, a: Tensor, bits: Tensor | int) -> Tensor:
        """A >> bits."""
        return self.run("RIGHT_SHIFT", a, bits, kind="RightShiftOptions")

    def half_up(self, a: Tensor, bits: int) -> Tensor:
        return self.over(self.add(a, 1 << (bits - 1)), bits)

    def reduced(self, builtin: str, a: Tensor) -> Tensor:
        axis = self.constant([1])
        return self.run(builtin, a, axis, kind="ReducerOptions", width=1, keepDims=True)

    def total(self, a: Tensor) -> Tensor:
        return self.reduced("SUM", a)

    def reached(self, number: Tensor, powers: npt.NDArray[np.int64]) -> Tensor:
        """How many of the powers a number reaches."""
        known = self.run(
            "GREATER_EQUAL", number, self.constant(powers[None]), dtype="bool",
            kind="GreaterEqualOptions",
        )  # fmt: skip
        return self.total(self.run("CAST", known, kind="CastOptions"))

    def gathered(self, table: npt.ArrayLike, index: Tensor) -> Tensor:
        return self.run(
            "GATHER", self.constant(table), index, kind="GatherOptions", width=1, axis=0
        )


def normalized(graph: Graph, name: str, v: Tensor, constants: NormalizationConstants) -> Tensor:
    """The int16 result of a normalization.

    Args:
        graph: receives the operators.
        name: of the result.
        v: int16 [1, N].
        constants: of the clause.
    """
    g, most, squared = _Arithmetic(graph, name), constants.most_bits, constants.square_bits
    bits = np.maximum(np.arange(most + 1), constants.least_bits)
    x = g.run("CAST", v, kind="CastOptions")
    d = g.less(g.times(x, constants.width), g.total(x))
    b = g.reached(g.reduced("REDUCE_MAX", g.run("ABS", d)), 1 << np.arange(most))
    m = g.times(d, g.gathered(1 << (most - bits), b))
    scaled, q = g.half_up(m, most - 15), g.half_up(m, most - squared)
    epsilon = g.gathered(constants.epsilon[bits - constants.least_bits], b)
    sums = g.add(g.total(g.times(q, q)), epsilon)
    squares = g.run("MINIMUM", sums, (1 << 30) - 1, kind="MaximumMinimumOptions")
    j = g.reached(squares, 4 ** np.arange(1, _MOST + 1))
    r = _inverse_root(g, g.times(squares, g.gathered(4 ** np.arange(_MOST, -1, -1), j)))
    r = g.half_up(g.times(r, constants.gain), 15)
    shifts = constants.shift + np.arange(_MOST + 1)
    product = g.add(g.times(scaled, r), g.gathered(1 << (shifts - 1), j))
    y = g.over(product, g.gathered(shifts, j))
    y = g.run("MINIMUM", y, INT16_MAX, kind="MaximumMinimumOptions")
    y = g.run("MAXIMUM", y, INT16_MIN, kind="MaximumMinimumOptions")
    out = graph.tensor(name, v.width, "int16", NORMALIZED.scale)
    graph.operator("CAST", 1, [y], [out], kind="CastOptions")
    return out


def _inverse_root(g: _Arithmetic, p: Tensor) -> Tensor:
    """The table I at P, interpolated."""
    table = inverse_root_table()
    unused = np.zeros(FIRST_ROOT, np.int64)  # in front, so that P >> 22 is the index itself
    u = g.over(p, 22)
    h = g.run("FLOOR_MOD", g.over(p, 12), 1024, kind="FloorModOptions")
    step = g.gathered(np.append(unused, table[:-1] - table[1:]), u)
    return g.less(g.gathered(np.append(unused, table[:-1]), u), g.over(g.times(h, step), 10))
