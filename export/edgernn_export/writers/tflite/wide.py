"""Curves (NUMERICS.md clause 3.6) and wide states (7.20 to 7.23) as TFLite operators of int32."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edgernn.graph.ops import Gate
from edgernn.model.formats import INT16_MAX, INT16_MIN, LOW_BITS
from edgernn.model.functions.curves import CurveTable
from edgernn.model.scales import LeakConstants
from edgernn_export.writers.tflite.graph import Graph, Tensor
from edgernn_export.writers.tflite.int32_operators import Int32Operators
from edgernn_firmware_sim.reference.tables import fine_gate_table
from edgernn_firmware_sim.reference.wide import FARTHEST, FARTHEST_ENTRY, LEAST, MOST


class WideState(NamedTuple):
    """A state and its low part.

    Attributes:
        high: int16 [1, H].
        low: int16 [1, H].
    """

    high: Tensor
    low: Tensor


class Share(NamedTuple):
    """A share of clause 7.20 as int32 [1, H].

    Attributes:
        upper: w1.
        lower: w0; None where it is 0.
    """

    upper: Tensor
    lower: Tensor | None


class Named(NamedTuple):
    """What results are called and labeled with.

    Attributes:
        high: name of the new state.
        low: name of its low part.
        scale: of the state.
    """

    high: str
    low: str
    scale: float


def curve(graph: Graph, name: str, z: Tensor, table: CurveTable, scale: float) -> Tensor:
    """Clause 3.6; two tables of int32 take less room than the results of all codes."""
    g, bits = Int32Operators(graph, name), table.step_bits
    entries = table.entries.astype(np.int32)
    u = g.add(g.of(z), -INT16_MIN)
    i, t = g.over(u, bits), g.rest(u, bits)
    rise = g.half_up(g.times(g.gathered(np.diff(entries), i), t), bits)
    y = g.add(g.gathered(entries[:-1], i), rise)
    if table.is_limited:
        y = g.limited(y, table.low, table.high)
    return g.int16(y, name, scale)


def blend(
    graph: Graph, named: Named, state: WideState, target: Tensor, gate: tuple[Gate, Tensor]
) -> WideState:
    """Clause 7.21.

    Args:
        graph: receives the operators.
        named: of the new state.
        state: before the step.
        target: int16.
        gate: the share, and the tensor of its value.
    """
    g = Int32Operators(graph, named.high)
    high = g.of(state.high)
    part = _part(g, _share(g, *gate), g.less(g.of(target), high))
    t = g.add(part, g.of(state.low))
    return _parts(g, named, t, lambda moved: g.most(g.add(high, moved), INT16_MIN))


def gated_sum(
    graph: Graph,
    named: Named,
    state: WideState,
    loss: tuple[Gate, Tensor],
    candidate: Tensor,
    gain: tuple[Gate, Tensor],
    shift: int,
) -> WideState:
    """Clause 7.22.

    Args:
        graph: receives the operators.
        named: of the new state.
        state: before the step.
        loss: the share that is lost, and the tensor of its value.
        candidate: int16.
        gain: the share of it that is added, and the tensor of its value.
        shift: fraction bits of the candidate beyond those of the state.
    """
    g = Int32Operators(graph, named.high)
    left = _left(g, state, _share(g, *loss))
    gained = g.rounded(_part(g, _share(g, *gain), g.of(candidate)), shift)
    if shift == 0:  # with more bits off, it is never so far
        gained = g.limited(gained, -FARTHEST, FARTHEST)
    return _parts(g, named, g.limited(g.add(left, gained), LEAST, MOST))


def leaky_sum(
    graph: Graph,
    named: Named,
    state: WideState,
    entry: Tensor,
    constants: LeakConstants,
    rectified: bool,
) -> WideState:
    """Clause 7.23.

    Args:
        graph: receives the operators.
        named: of the new state.
        state: before the step.
        entry: int16.
        constants: the constant of the loss, and the scales of the entry.
        rectified: a sum below 0 becomes 0.
    """
    g = Int32Operators(graph, named.high)
    halves = constants.high[None], constants.low[None]
    left = _left(g, state, Share(*(g.constant(half) for half in halves)))
    taken = g.limited(g.of(entry), -FARTHEST_ENTRY, FARTHEST_ENTRY)
    taken = g.times(taken, g.constant(1 << constants.shift.astype(np.int32)[None]))
    wide = g.limited(g.add(left, taken), 0 if rectified else LEAST, MOST)
    return _parts(g, named, wide)


def rescaled(graph: Graph, name: str, state: WideState, shift: int, scale: float) -> Tensor:
    """sat16(R(S, shift)) of clause 7.22."""
    g = Int32Operators(graph, name)
    wide = _whole(g, g.of(state.high), g.of(state.low))
    if shift == 0:  # QUANTIZE would take it twice, beyond 32 bits
        return g.int16(g.limited(wide, INT16_MIN, INT16_MAX), name, scale)
    graph.rescale(wide, scale * 2.0**-shift)
    out = graph.tensor(name, wide.width, "int16", scale)
    graph.operator("QUANTIZE", 2, [wide], [out], kind="QuantizeOptions")
    return out


def _share(g: Int32Operators, gate: Gate, value: Tensor) -> Share:
    """Clause 7.20."""
    v = g.of(value)
    if not gate.fine:
        return Share(g.less(INT16_MAX, v) if gate.complement else v, None)
    table = fine_gate_table()
    m = g.least(g.run("ABS", v), (1 << 14) - 1)
    u, t = g.over(m, 6), g.rest(m, 6)
    fall = g.over(g.times(g.gathered(table[:-1] - table[1:], u), t), 6)
    p = g.less(g.gathered(table[:-1], u), fall)
    zero = g.constant(np.zeros((1, v.width)))
    # F(0) is a half, so that the share of the complement, too, may be told by a >= 0.
    positive = g.run("GREATER_EQUAL", v, zero, kind="GreaterEqualOptions", dtype="bool")
    pair = (p, g.less(1 << 30, p))
    w = g.run("SELECT", positive, *(pair if gate.complement else pair[::-1]), kind="SelectOptions")
    return Share(g.over(w, LOW_BITS), g.rest(w, LOW_BITS))


def _part(g: Int32Operators, share: Share, high: Tensor, low: Tensor | None = None) -> Tensor:
    """The P(w, s, l) of clause 7.20, or P(w, v)."""
    upper = g.times(high, share.upper)
    factors = (high, share.lower), (low, share.upper)
    below = [g.times(v, w) for v, w in factors if v is not None and w is not None]
    if not below:
        return upper
    total = below[0] if len(below) == 1 else g.add(*below)
    return g.add(upper, g.half_up(total, LOW_BITS))


def _whole(g: Int32Operators, high: Tensor, low: Tensor) -> Tensor:
    """Clause 2.8, of int32 parts."""
    return g.add(g.times(high, 1 << LOW_BITS), low)


def _left(g: Int32Operators, state: WideState, loss: Share) -> Tensor:
    """A wide state without a share of itself."""
    high, low = g.of(state.high), g.of(state.low)
    return g.less(_whole(g, high, low), _part(g, loss, high, low))


def _parts(
    g: Int32Operators, named: Named, wide: Tensor, of_high: Callable[[Tensor], Tensor] = lambda v: v
) -> WideState:
    """The parts of a wide value as tensors of the graph."""
    high = of_high(g.over(wide, LOW_BITS))
    low = g.rest(wide, LOW_BITS)
    low_scale = named.scale * 2.0**-LOW_BITS
    return WideState(g.int16(high, named.high, named.scale), g.int16(low, named.low, low_scale))
