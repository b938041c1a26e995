"""Lookup tables as constant-only nodes.

onnxruntime folds them while loading (from optimization level "basic" on), so that a sigmoid costs
one Gather, while the file holds no more than the 256 entries of clause 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from edgernn.model.formats import INT16_MAX, Precision
from edgernn.model.functions.curves import CurveTable
from edgernn.model.layers import GateActivation
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.integer_operators import (
    LOW_BITS,
    ZERO_POINT,
    clip,
    plus,
    round_product,
)
from edgernn_firmware_sim.reference.tables import fine_gate_table, sigmoid_table

#: Sigmoid, tanh and hard sigmoid are constant beyond this pre-activation (clauses 3.2 to 3.4).
REACH: Final = 10880
#: Entries of an activation table; entry i belongs to the pre-activation i - REACH.
ENTRIES: Final = 2 * REACH + 1


class Tables:
    """Builds every table a graph needs once.

    Tables over pre-activations start at -REACH. Tables over int16 values are indexed by the
    value itself: entry v >= 0 at v, entry v < 0 at 65536 + v, which Gather reads as index v.
    """

    def __init__(self, g: GraphBuilder, precision: Precision) -> None:
        """Prepare a graph of one precision."""
        self._g = g
        self.precision = precision
        self._made: dict[str, str] = {}

    def gates(self, activation: GateActivation) -> str:
        """int32 [ENTRIES]: clause 3.2 or 3.4."""
        if activation is GateActivation.SIGMOID:
            return self._once("sigmoid", self._sigmoid)
        return self._once("hard_sigmoid", self._hard_sigmoid)

    def tanh(self) -> str:
        """int32 [ENTRIES]: clause 3.3."""
        return self._once("tanh", self._tanh)

    def gates_then_tanh(self, activation: GateActivation) -> str:
        """int32 [2*ENTRIES]: the gate activation, then tanh."""
        return self._once(
            f"{activation.value}|tanh",
            lambda: self._g.node("Concat", self.gates(activation), self.tanh(), axis=0),
        )

    def tanh_of_cell(self, exponent: int) -> str:
        """int32 [65536]: tanh(R(c, exponent - 10)) of clause 7.4 by the cell state's code."""
        return self._once(f"tanh_c{exponent}", lambda: self._tanh_of_cell(exponent))

    def curve(self, table: CurveTable) -> str:
        """int32 [65536]: clause 3.6 by the code of the argument."""
        key = f"curve {table.low} {table.high} {table.entries.tobytes().hex()}"
        return self._once(key, lambda: self._curve(table))

    def fine_gate(self, complement: bool) -> tuple[str, str]:
        """int32 [65536] each: both halves of the share of a gate (3.5, 7.20) by its argument."""
        share = self._once("fine", self._fine_gate)
        if not complement:
            # F(0) is a half: that of -a is what is left of 1.
            rest = self._g.constant(1 << 30), share
            share = self._once("rest of fine", lambda: self._g.node("Sub", *rest))
        key, power = f"fine {complement}", self._g.constant(1 << 15)
        return (
            self._once(f"{key} upper", lambda: self._g.node("Div", share, power)),
            self._once(f"{key} lower", lambda: self._g.node("Mod", share, power)),
        )

    def operand(self, value: str) -> str:
        """O(v) of int32 codes [1, H] as operand rows (clause 2.7)."""
        if self.precision is Precision.W8A8:
            return self._g.node("Gather", self._once("operand", self._operand8), value)
        return self._g.node("Gather", self._once("operand", self._operand16), value, axis=1)

    def model_input(self, q_x: str) -> str:
        """Operand rows of the model input (clause 2.3)."""
        return self.input_operand(self._g.cast(q_x, np.int32))

    def input_operand(self, wide: str) -> str:
        """Operand rows of int32 input codes."""
        g = self._g
        if self.precision is Precision.W8A8:
            return g.cast(plus(g, wide, ZERO_POINT), np.uint8)
        table = self._once("input", lambda: self._split(_by_code(g, 1 << 13)))
        return g.node("Gather", table, g.node("Div", wide, g.constant(4)), axis=1)

    def codes(self, operand: str) -> str:
        """int32 codes [1, N] of the model input, back from its operand rows (clause 6.7)."""
        g = self._g
        wide = plus(g, g.cast(operand, np.int32), -ZERO_POINT)
        if self.precision is Precision.W8A8:
            return wide
        parts = g.node("Mul", wide, g.constant(np.array([[[4 << LOW_BITS]], [[4]]])))
        return g.node("ReduceSum", parts, g.constant([0], np.int64), keepdims=0)

    def _once(self, key: str, make: Callable[[], str]) -> str:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def _operand8(self) -> str:
        """sat8(R(v, 8)), uint8 [65536]."""
        g = self._g
        codes = clip(g, round_product(g, _by_code(g, 1 << 15), 8), -128, 127)
        return g.cast(plus(g, codes, ZERO_POINT), np.uint8)

    def _operand16(self) -> str:
        """R(v, 3), uint8 [2, 65536]; the factor 4 of clause 2.7 is dropped, see `onnx_integer`."""
        return self._split(round_product(self._g, _by_code(self._g, 1 << 15), 3))

    def _split(self, codes: str) -> str:
        """floor(v / 128) and v mod 128 of codes v in [-8192, 8191], as two uint8 rows."""
        g = self._g
        lifted = plus(g, codes, 1 << 13)
        high = g.node("Div", lifted, g.constant(1 << LOW_BITS))
        low = g.node("Sub", lifted, g.node("Mul", high, g.constant(1 << LOW_BITS)))
        rows = (plus(g, high, ZERO_POINT - (1 << (13 - LOW_BITS))), plus(g, low, ZERO_POINT))
        shape = g.constant([1, -1], np.int64)
        lines = [g.node("Reshape", row, shape) for row in rows]
        return g.cast(g.node("Concat", *lines, axis=0), np.uint8)

    def _preactivations(self) -> str:
        return _range(self._g, -REACH, REACH + 1)

    def _interpolated(self, bits: int, last: int) -> tuple[str, str]:
        """The r of clauses 3.2 and 3.3 for every z, and whether z < 0.

        Args:
            bits: of the fraction between two entries.
            last: r at and beyond entry 255.
        """
        g = self._g
        table = sigmoid_table().astype(np.int64)
        entries = table << bits
        entries[255] = last
        z = self._preactivations()
        magnitude = g.node("Abs", g.node("Mul", z, g.constant(12)))
        u = g.node("Div", magnitude, g.constant(1 << bits))
        t = g.node("Sub", magnitude, g.node("Mul", u, g.constant(1 << bits)))
        u = g.node("Min", u, g.constant(255))
        slope = g.constant(np.diff(table, append=table[255]))
        rise = g.node("Mul", t, g.node("Gather", slope, u))
        r = g.node("Add", g.node("Gather", g.constant(entries), u), rise)
        return r, g.node("Less", z, g.constant(0))

    def _sigmoid(self) -> str:
        g = self._g
        r, negative = self._interpolated(9, 32767 << 10)
        mirrored = g.node("Where", negative, g.node("Sub", g.constant((1 << 25) - 1), r), r)
        return g.node("Div", plus(g, mirrored, 512), g.constant(1 << 10))

    def _tanh(self) -> str:
        g = self._g
        r, negative = self._interpolated(8, 65535 << 8)
        mirrored = g.node("Where", negative, g.node("Sub", g.constant((1 << 24) - 1), r), r)
        # 2^24 more than clause 3.3 keeps the dividend positive and comes off again after the shift.
        lifted = plus(g, mirrored, (1 << 24) - (1 << 23) + 128)
        return plus(g, g.node("Div", lifted, g.constant(1 << 8)), -(1 << 16))

    def _hard_sigmoid(self) -> str:
        g = self._g
        slope = round_product(g, g.node("Mul", self._preactivations(), g.constant(21845)), 12)
        return clip(g, plus(g, slope, 16384), 0, INT16_MAX)

    def _curve(self, table: CurveTable) -> str:
        """In the order of `_by_code`; the rise is lifted above 0 and lowered after the shift."""
        g, bits = self._g, table.step_bits
        entries = g.cast(g.constant(table.entries, np.int16), np.int32)
        step = g.constant(1 << bits)
        u = plus(g, _by_code(g, 1 << 15), 1 << 15)
        i = g.node("Div", u, step)
        t = g.node("Sub", u, g.node("Mul", i, step))
        first = g.node("Gather", entries, i)
        rise = g.node("Sub", g.node("Gather", entries, plus(g, i, 1)), first)
        lifted = plus(g, g.node("Mul", rise, t), (1 << 28) + (1 << (bits - 1)))
        made = plus(g, g.node("Add", first, g.node("Div", lifted, step)), -(1 << (28 - bits)))
        return clip(g, made, table.low, table.high) if table.is_limited else made

    def _fine_gate(self) -> str:
        """F of clause 3.5."""
        g, table = self._g, fine_gate_table()
        a = _by_code(g, 1 << 15)
        m = g.node("Min", g.node("Abs", a), g.constant((1 << 14) - 1))
        u = g.node("Div", m, g.constant(1 << 6))
        t = g.node("Mod", m, g.constant(1 << 6))
        fall = g.node("Mul", g.node("Gather", g.constant(table[:-1] - table[1:]), u), t)
        p = g.node("Gather", g.constant(table), u)
        p = g.node("Sub", p, g.node("Div", fall, g.constant(1 << 6)))
        negative = g.node("Less", a, g.constant(0))
        return g.node("Where", negative, g.node("Sub", g.constant(1 << 30), p), p)

    def _tanh_of_cell(self, exponent: int) -> str:
        g = self._g
        z = round_product(g, _by_code(g, 1 << 15), exponent - 10)
        index = plus(g, clip(g, z, -REACH, REACH), REACH)
        return g.node("Gather", self.tanh(), index)


def _range(g: GraphBuilder, low: int, high: int) -> str:
    return g.node("Range", g.constant(low), g.constant(high), g.constant(1))


def _by_code(g: GraphBuilder, half: int) -> str:
    """Codes 0 .. half-1, then -half .. -1: a table over them is indexed by the code itself."""
    return g.node("Concat", _range(g, 0, half), _range(g, -half, 0), axis=0)
