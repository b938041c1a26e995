"""Wide states and curves of NUMERICS.md, forward exact, backward straight-through.

As in `straight_through`, codes are float32; a wide state is its two parts. Gradients pass through
high parts alone: a low part is worth less than a code.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgernn.graph.ops import Gate
from edgernn.model.formats import INT16_MAX, INT16_MIN, LOW_BITS
from edgernn.model.functions.curves import CurveTable
from edgernn.model.scales import LeakConstants
from edgernn_export.compress.qat.arithmetic.integers import (
    floor_shift,
    half_up,
    narrow,
    round_product,
    wide,
)
from edgernn_export.compress.tensors.back_ends import (
    Tensor,
    constant,
    gathered,
    like,
    ops,
    with_gradient,
)
from edgernn_firmware_sim.reference.tables import fine_gate_table

_FINE: Final = fine_gate_table()
_MASK: Final = (1 << LOW_BITS) - 1
_LEAST: Final = -(1 << 30)
_MOST: Final = (1 << 30) - 1
_FARTHEST: Final = (1 << 30) - (1 << 16)
_FARTHEST_ENTRY: Final = 32766
#: Q5.10 and Q0.15 codes of 1.
_ARGUMENT_UNIT: Final = 1024.0
_UNIT: Final = 32768.0

Parts = tuple[Tensor, Tensor]


def _fine_gate(a: Tensor) -> Tensor:
    """Clause 3.5."""
    table = like(_FINE, a)
    m = ops.minimum(ops.abs(a), 16383)
    u, t = floor_shift(m, 6), ops.bitwise_and(m, 63)
    entry = gathered(table, u)
    p = entry - floor_shift((entry - gathered(table, u + 1)) * t, 6)
    return ops.where(a >= 0, p, (1 << 30) - p)


def _halves(gate: Gate, code: Tensor) -> Parts:
    """Clause 7.20: both halves of the share of a gate, int32."""
    value = wide(code)
    if not gate.fine:
        return (INT16_MAX - value if gate.complement else value), ops.zeros_like(value)
    share = _fine_gate(value if gate.complement else -ops.maximum(value, -INT16_MAX))
    return floor_shift(share, LOW_BITS), ops.bitwise_and(share, _MASK)


def _real(share: Parts) -> Tensor:
    """A share as a number."""
    return (narrow(share[0]) + narrow(share[1]) / _UNIT) / _UNIT


def _slope(gate: Gate, share: Tensor) -> Tensor:
    """How a share changes with the code of its gate."""
    sign = -1.0 if gate.complement else 1.0
    if gate.fine:
        return share * (1.0 - share) * (sign / _ARGUMENT_UNIT)
    return ops.full_like(share, sign / _UNIT)


def _part(share: Parts, value: Tensor) -> Tensor:
    """Clause 7.20: P(w, v)."""
    return share[0] * value + half_up(share[1] * value, LOW_BITS)


def _left(high: Tensor, low: Tensor, loss: Parts) -> Tensor:
    """S - P(w, s, l) of clauses 7.22 and 7.23."""
    w1, w0 = loss
    lost = w1 * high + half_up(w0 * high + w1 * low, LOW_BITS)
    return high * (1 << LOW_BITS) + low - lost


def _high(total: Tensor) -> Tensor:
    return narrow(floor_shift(total, LOW_BITS))


def _low(total: Tensor) -> Tensor:
    return ops.stop_gradient(narrow(ops.bitwise_and(total, _MASK)))


def blended(high: Tensor, low: Tensor, target: Tensor, code: Tensor, gate: Gate) -> Parts:
    """Clause 7.21: the new parts.

    Args:
        high: of the state.
        low: of the state.
        target: what it goes towards.
        code: value of the gate.
        gate: what it is.
    """

    def moved(high: Tensor, low: Tensor, target: Tensor, share: Parts) -> Tensor:
        return wide(low) + _part(share, wide(target) - wide(high))

    def clause(high: Tensor, low: Tensor, target: Tensor, code: Tensor) -> tuple[Tensor, Any]:
        share = _halves(gate, code)
        w = _real(share)

        def grad(upstream: Tensor) -> tuple[Tensor, ...]:
            to_gate = upstream * (target - high) * _slope(gate, w)
            return upstream * (1.0 - w), ops.zeros_like(low), upstream * w, to_gate

        new = high + _high(moved(high, low, target, share))
        return ops.maximum(new, float(INT16_MIN)), grad

    new = with_gradient(clause)(high, low, target, code)
    return new, _low(moved(high, low, target, _halves(gate, code)))


def gated_sum(
    high: Tensor,
    low: Tensor,
    loss: tuple[Gate, Tensor],
    candidate: Tensor,
    gain: tuple[Gate, Tensor],
    shift: int,
) -> Parts:
    """Clause 7.22: the new parts.

    Args:
        high: of the state.
        low: of the state.
        loss: the gate of the share that is lost, and its code.
        candidate: the gain.
        gain: the gate of its share, and its code.
        shift: fraction bits of the candidate less those of the state.
    """
    (lost, lost_code), (gained, gained_code) = loss, gain

    def total(high: Tensor, low: Tensor, w: Parts, candidate: Tensor, v: Parts) -> Tensor:
        added = round_product(_part(v, wide(candidate)), shift)
        added = ops.clip(added, -_FARTHEST, _FARTHEST)
        return _left(wide(high), wide(low), w) + added

    def clause(
        high: Tensor, low: Tensor, lost_code: Tensor, candidate: Tensor, gained_code: Tensor
    ) -> tuple[Tensor, Any]:
        w, v = _halves(lost, lost_code), _halves(gained, gained_code)
        plain = total(high, low, w, candidate, v)
        limited = ops.clip(plain, _LEAST, _MOST)
        inside, real_w, real_v = narrow(plain == limited), _real(w), _real(v)

        def grad(upstream: Tensor) -> tuple[Tensor, ...]:
            passed = upstream * inside
            taken = passed * 2.0**-shift
            return (
                passed * (1.0 - real_w),
                ops.zeros_like(low),
                -passed * high * _slope(lost, real_w),
                taken * real_v,
                taken * candidate * _slope(gained, real_v),
            )

        return _high(limited), grad

    new = with_gradient(clause)(high, low, lost_code, candidate, gained_code)
    shares = _halves(lost, lost_code), _halves(gained, gained_code)
    plain = total(high, low, shares[0], candidate, shares[1])
    return new, _low(ops.clip(plain, _LEAST, _MOST))


def leaky_sum(
    high: Tensor, low: Tensor, entry: Tensor, constants: LeakConstants, *, rectified: bool
) -> Parts:
    """Clause 7.23: the new parts.

    Args:
        high: of the state.
        low: of the state.
        entry: what is taken in.
        constants: the constant of the loss, and the scales of the input.
        rectified: a sum below 0 becomes 0.
    """
    loss = tuple(like(a.astype(np.int32), high) for a in (constants.high, constants.low))
    rate = like(np.int32(1) << constants.shift.astype(np.int32), high)
    share = (constants.high.astype(np.float64) + constants.low / _UNIT) / _UNIT
    kept = constant(1.0 - share, high)
    worth = constant(np.exp2(constants.shift - 15.0), high)
    least = 0 if rectified else _LEAST

    def total(high: Tensor, low: Tensor, entry: Tensor) -> Tensor:
        taken = ops.clip(wide(entry), -_FARTHEST_ENTRY, _FARTHEST_ENTRY) * rate
        return _left(wide(high), wide(low), (loss[0], loss[1])) + taken

    def clause(high: Tensor, low: Tensor, entry: Tensor) -> tuple[Tensor, Any]:
        plain = total(high, low, entry)
        limited = ops.clip(plain, least, _MOST)
        inside = narrow(plain == limited)
        open_entry = narrow(ops.abs(entry) <= float(_FARTHEST_ENTRY))

        def grad(upstream: Tensor) -> tuple[Tensor, ...]:
            passed = upstream * inside
            return passed * kept, ops.zeros_like(low), passed * worth * open_entry

        return _high(limited), grad

    new = with_gradient(clause)(high, low, entry)
    return new, _low(ops.clip(total(high, low, entry), least, _MOST))


def wide_rescaled(high: Tensor, low: Tensor, shift: int) -> Tensor:
    """The last formula of clause 7.22: sat16(R(S, k))."""

    def clause(high: Tensor, low: Tensor) -> tuple[Tensor, Any]:
        plain = round_product(wide(high) * (1 << LOW_BITS) + wide(low), shift)
        codes = ops.clip(plain, INT16_MIN, INT16_MAX)
        slope = narrow(plain == codes) * 2.0 ** (LOW_BITS - shift)

        def grad(upstream: Tensor) -> tuple[Tensor, Tensor]:
            return upstream * slope, ops.zeros_like(low)

        return narrow(codes), grad

    return with_gradient(clause)(high, low)


def curve(value: Tensor, table: CurveTable) -> Tensor:
    """Clause 3.6; its gradient is the slope of the segment."""
    entries, bits = like(table.entries.astype(np.int32), value), table.step_bits

    def clause(value: Tensor) -> tuple[Tensor, Any]:
        u = wide(value) + 32768
        i, t = floor_shift(u, bits), ops.bitwise_and(u, (1 << bits) - 1)
        entry = gathered(entries, i)
        rise = gathered(entries, i + 1) - entry
        plain = entry + half_up(rise * t, bits)
        codes = ops.clip(plain, table.low, table.high)
        slope = narrow(rise) * narrow(plain == codes) * 2.0**-bits
        return narrow(codes), lambda upstream: upstream * slope

    return with_gradient(clause)(value)
