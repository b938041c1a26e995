"""Wide states (NUMERICS.md clauses 7.20 to 7.23) as ONNX nodes of int32.

Floor divisions of what may be near either end of int32 are divisions of the rest after the floor
modulus is subtracted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgernn.graph.ops import Gate
from edgernn.model.formats import INT16_MAX, INT16_MIN, LOW_BITS
from edgernn.model.scales import LeakConstants
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.integer_operators import clip, plus, round_wide, sat16
from edgernn_export.writers.onnx.tables import Tables
from edgernn_firmware_sim.reference.wide import FARTHEST, FARTHEST_ENTRY, LEAST, MOST


class HighLow(NamedTuple):
    """A state and its low part: int32 codes [1, H].

    Attributes:
        high: the state.
        low: its low part.
    """

    high: str
    low: str


class UpperLower(NamedTuple):
    """A share of clause 7.20: int32 [1, H].

    Attributes:
        upper: w1.
        lower: w0; None where it is 0.
    """

    upper: str
    lower: str | None


def share_of(g: GraphBuilder, tables: Tables, gate: Gate, value: str) -> UpperLower:
    """Clause 7.20.

    Args:
        g: the graph.
        tables: its lookup tables.
        gate: what the share is of.
        value: int32 codes of the gate's value.
    """
    if gate.fine:
        upper, lower = (
            g.node("Gather", table, value) for table in tables.fine_gate(gate.complement)
        )
        return UpperLower(upper, lower)
    return UpperLower(
        g.node("Sub", g.constant(INT16_MAX), value) if gate.complement else value, None
    )


def blend(g: GraphBuilder, state: HighLow, target: str, share: UpperLower) -> HighLow:
    """Clause 7.21."""
    distance = g.node("Sub", target, state.high)
    t = g.node("Add", _part(g, share, distance), state.low)
    whole, low = _halves(g, t)
    high = g.node("Max", g.node("Add", state.high, whole), g.constant(INT16_MIN))
    return HighLow(high, low)


def gated_sum(
    g: GraphBuilder,
    state: HighLow,
    loss: UpperLower,
    candidate: str,
    gain: UpperLower,
    shift: int,
) -> HighLow:
    """Clause 7.22.

    Args:
        g: the graph.
        state: before the step.
        loss: the share that is lost.
        candidate: int32 codes.
        gain: the share of them that is added.
        shift: fraction bits of the candidate beyond those of the state.
    """
    gained = round_wide(g, _part(g, gain, candidate), shift)
    if shift == 0:  # with more bits off, it is never so far
        gained = clip(g, gained, -FARTHEST, FARTHEST)
    return _summed(g, state, loss, gained, LEAST)


def leaky_sum(
    g: GraphBuilder, state: HighLow, entry: str, constants: LeakConstants, rectified: bool
) -> HighLow:
    """Clause 7.23.

    Args:
        g: the graph.
        state: before the step.
        entry: int32 codes.
        constants: the constant of the loss, and the scales of the entry.
        rectified: a sum below 0 becomes 0.
    """
    loss = UpperLower(g.constant(constants.high), g.constant(constants.low))
    gains = g.constant(1 << constants.shift.astype(np.int32))
    taken = g.node("Mul", clip(g, entry, -FARTHEST_ENTRY, FARTHEST_ENTRY), gains)
    return _summed(g, state, loss, taken, 0 if rectified else LEAST)


def rescaled(g: GraphBuilder, state: HighLow, shift: int) -> str:
    """sat16(R(S, shift)) of clause 7.22: int32 codes."""
    return sat16(g, round_wide(g, _whole(g, state), shift))


def _summed(g: GraphBuilder, state: HighLow, loss: UpperLower, gained: str, least: int) -> HighLow:
    """A wide state that loses a share of itself and gains something, within its ends."""
    left = g.node("Sub", _whole(g, state), _part(g, loss, *state))
    return HighLow(*_halves(g, clip(g, g.node("Add", left, gained), least, MOST)))


def _part(g: GraphBuilder, share: UpperLower, high: str, low: str | None = None) -> str:
    """The P(w, s, l) of clause 7.20, or P(w, v)."""
    upper = g.node("Mul", high, share.upper)
    factors = (high, share.lower), (low, share.upper)
    below = [g.node("Mul", v, w) for v, w in factors if v is not None and w is not None]
    if not below:
        return upper
    total = below[0] if len(below) == 1 else g.node("Add", *below)
    return g.node("Add", upper, _halves(g, plus(g, total, 1 << (LOW_BITS - 1)))[0])


def _whole(g: GraphBuilder, state: HighLow) -> str:
    """Clause 2.8."""
    return g.node("Add", g.node("Mul", state.high, g.constant(1 << LOW_BITS)), state.low)


def _halves(g: GraphBuilder, wide: str) -> tuple[str, str]:
    """V >> 15 and the 15 bits below."""
    power = g.constant(1 << LOW_BITS)
    low = g.node("Mod", wide, power)
    return g.node("Div", g.node("Sub", wide, low), power), low
