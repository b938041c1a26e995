"""Normalization (NUMERICS.md clause 7.11) as ONNX nodes of int32.

A bit length is the number of powers of two that are reached. Floor shifts of what may be negative
are divisions of something lifted above 0, or, where the shift is a tensor, of the rest after the
floor modulus is subtracted.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.model.scales import NormalizationConstants
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.integer_operators import plus, sat16
from edgernn_firmware_sim.reference.normalization import FIRST_ROOT, inverse_root_table

#: Largest j of the clause.
_MOST: Final = 14
#: Magnitude of the m of the clause, which no shift of it leaves a part of.
_LIFT: Final = 1 << 24


def normalized(g: GraphBuilder, x: str, constants: NormalizationConstants) -> str:
    """The int32 result, within int16, of a normalization.

    Args:
        g: the graph.
        x: int32 codes [1, N].
        constants: of the clause.
    """
    most = constants.most_bits
    bits = np.maximum(np.arange(most + 1), constants.least_bits)
    d = g.node("Sub", g.node("Mul", x, g.constant(constants.width)), _total(g, x))
    largest = g.node("ReduceMax", g.node("Abs", d), axes=[-1], keepdims=1)
    b = _reached(g, largest, 1 << np.arange(most))
    m = g.node("Mul", d, g.node("Gather", g.constant(1 << (most - bits)), b))
    v, q = _half_up(g, m, most - 15), _half_up(g, m, most - constants.square_bits)
    table = g.constant(constants.epsilon[bits - constants.least_bits])
    sums = g.node("Add", _total(g, g.node("Mul", q, q)), g.node("Gather", table, b))
    squares = g.node("Min", sums, g.constant((1 << 30) - 1))
    j = _reached(g, squares, 4 ** np.arange(1, _MOST + 1))
    to_top = g.node("Gather", g.constant(4 ** np.arange(_MOST, -1, -1)), j)
    r = _inverse_root(g, g.node("Mul", squares, to_top))
    r = plus(g, g.node("Mul", r, g.constant(constants.gain)), 1 << 14)
    product = g.node("Mul", v, g.node("Div", r, g.constant(1 << 15)))
    shifts = constants.shift + np.arange(_MOST + 1)
    lifted = g.node("Add", product, g.node("Gather", g.constant(1 << (shifts - 1)), j))
    power = g.node("Gather", g.constant(1 << shifts), j)
    whole = g.node("Sub", lifted, g.node("Mod", lifted, power))
    return sat16(g, g.node("Div", whole, power))


def _total(g: GraphBuilder, row: str) -> str:
    return g.node("ReduceSum", row, g.constant([-1], np.int64), keepdims=1)


def _reached(g: GraphBuilder, number: str, powers: npt.NDArray[np.int64]) -> str:
    """How many of the powers a number [1, 1] reaches."""
    reached = g.node("GreaterOrEqual", number, g.constant(powers[None]))
    return _total(g, g.cast(reached, np.int32))


def _half_up(g: GraphBuilder, m: str, bits: int) -> str:
    lifted = plus(g, m, _LIFT + (1 << (bits - 1)))
    return plus(g, g.node("Div", lifted, g.constant(1 << bits)), -(_LIFT >> bits))


def _inverse_root(g: GraphBuilder, p: str) -> str:
    """The table I at P, interpolated; nothing in it is negative."""
    table = inverse_root_table().astype(np.int64)
    u = plus(g, g.node("Div", p, g.constant(1 << 22)), -FIRST_ROOT)
    h = g.node("Mod", g.node("Div", p, g.constant(1 << 12)), g.constant(1 << 10))
    step = g.node("Gather", g.constant(table[:-1] - table[1:]), u)
    fall = g.node("Div", g.node("Mul", h, step), g.constant(1 << 10))
    return g.node("Sub", g.node("Gather", g.constant(table), u), fall)
