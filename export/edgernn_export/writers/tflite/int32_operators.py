"""Operators of int32, which are exact in every runtime, and what clauses 1.2 and 1.3 are of them.

There is no logarithm and no shift by a variable amount in a table: a bit length is the number of
powers of two that are reached, and what a clause shifts by it is gathered from a table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn_export.writers.tflite.graph import Graph, Tensor


class Int32Operators:
    """Operators of int32 vectors [1, N] and numbers [1, 1], which broadcast.

    Args:
        graph: receives them.
        name: prefix of the names of tensors.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        """Start without operators."""
        self.graph = graph
        self.name = name
        self._count = 0

    def _named(self) -> str:
        self._count += 1
        return f"{self.name}.{self._count}"

    def constant(self, values: npt.ArrayLike) -> Tensor:
        """Store numbers."""
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

    def of(self, v: Tensor) -> Tensor:
        """The codes of an int16 tensor, or numbers 0 and 1 of a bool tensor."""
        return self.run("CAST", v, kind="CastOptions")

    def int16(self, a: Tensor, name: str, scale: float) -> Tensor:
        """An int16 tensor of numbers that are within int16."""
        out = self.graph.tensor(name, a.width, "int16", scale)
        self.graph.operator("CAST", 1, [a], [out], kind="CastOptions")
        return out

    def add(self, a: Tensor, b: Tensor | int) -> Tensor:
        """A + b."""
        return self.run("ADD", a, b, kind="AddOptions")

    def less(self, a: Tensor | int, b: Tensor) -> Tensor:
        """A - b."""
        return self.run("SUB", a, b, kind="SubOptions")

    def times(self, a: Tensor, b: Tensor | int) -> Tensor:
        """A * b."""
        return self.run("MUL", a, b, kind="MulOptions")

    def over(self, a: Tensor, bits: Tensor | int) -> Tensor:
        """A >> bits."""
        return self.run("RIGHT_SHIFT", a, bits, kind="RightShiftOptions")

    def rest(self, a: Tensor, bits: int) -> Tensor:
        """The lower bits of a: a - ((a >> bits) << bits)."""
        return self.run("FLOOR_MOD", a, 1 << bits, kind="FloorModOptions")

    def least(self, a: Tensor, b: int) -> Tensor:
        """min(a, b)."""
        return self.run("MINIMUM", a, b, kind="MaximumMinimumOptions")

    def most(self, a: Tensor, b: int) -> Tensor:
        """max(a, b)."""
        return self.run("MAXIMUM", a, b, kind="MaximumMinimumOptions")

    def limited(self, a: Tensor, low: int, high: int) -> Tensor:
        """min(max(a, low), high), low being less than high."""
        return self.most(self.least(a, high), low)

    def half_up(self, a: Tensor, bits: int) -> Tensor:
        """Clause 1.2, for 1 bit or more."""
        return self.over(self.add(a, 1 << (bits - 1)), bits)

    def rounded(self, p: Tensor, bits: int) -> Tensor:
        """R(p, bits) of clause 1.3, for |p| <= 2^30."""
        if bits == 0:
            return p
        if bits == 1:
            return self.half_up(p, 1)
        below = self.over(self.add(p, 1), 31)  # -1 where p < -1, else 0
        lifted = self.add(self.add(self.add(p, below), below), (1 << (bits - 1)) + 1)
        return self.over(lifted, bits)

    def root(self, squares: Tensor, bits: int) -> Tensor:
        """The largest number of this many bits whose square is at most that, bit by bit."""
        r = self.constant(np.zeros((1, squares.width)))
        for bit in reversed(range(bits)):
            tried = self.add(r, 1 << bit)
            fits = self.run(
                "GREATER_EQUAL", squares, self.times(tried, tried), dtype="bool",
                kind="GreaterEqualOptions",
            )  # fmt: skip
            r = self.run("SELECT", fits, tried, r, kind="SelectOptions")
        return r

    def reduced(self, builtin: str, a: Tensor) -> Tensor:
        """One number [1, 1] of all elements."""
        axis = self.constant([1])
        return self.run(builtin, a, axis, kind="ReducerOptions", width=1, keepDims=True)

    def total(self, a: Tensor) -> Tensor:
        """The sum of all elements."""
        return self.reduced("SUM", a)

    def reached(self, number: Tensor, powers: npt.NDArray[np.int64]) -> Tensor:
        """How many of the powers a number reaches."""
        known = self.run(
            "GREATER_EQUAL", number, self.constant(powers[None]), dtype="bool",
            kind="GreaterEqualOptions",
        )  # fmt: skip
        return self.total(self.of(known))

    def gathered(self, table: npt.ArrayLike, index: Tensor) -> Tensor:
        """The entries of a table at the places in an index."""
        return self.run(
            "GATHER", self.constant(table), index, kind="GatherOptions", width=index.width, axis=0
        )
