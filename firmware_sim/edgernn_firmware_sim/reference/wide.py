"""Wide states of NUMERICS.md clauses 7.20 to 7.23, on int32 arrays of their high and low parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from edgernn.graph.ops import Gate
from edgernn.model.formats import INT16_MIN, LOW_BITS
from edgernn.model.scales import LeakConstants
from edgernn_firmware_sim.reference.arithmetic import Int32, round_product
from edgernn_firmware_sim.reference.tables import fine_gate, halves

_MASK: Final = np.int32((1 << LOW_BITS) - 1)
_HALF: Final = np.int32(1 << (LOW_BITS - 1))
#: The ends of a wide state, and what is added to one at most.
LEAST: Final = -(1 << 30)
MOST: Final = (1 << 30) - 1
FARTHEST: Final = (1 << 30) - (1 << 16)
FARTHEST_ENTRY: Final = 32766

#: The upper and the lower half of shares, or the high and the low parts of states.
Halves = tuple[Int32, Int32]


def share_of(gate: Gate) -> Callable[[Int32], Halves]:
    """Clause 7.20: what makes the two halves of a share of a gate's value."""
    if gate.fine:
        if gate.complement:
            return lambda a: halves(fine_gate(a))
        return lambda a: halves(fine_gate(-np.maximum(a, np.int32(-32767))))
    one, zero = np.int32(32767), np.int32(0)
    if gate.complement:
        return lambda s: (one - s, np.zeros_like(s))
    return lambda s: (s, s & zero)


def part_of(share: Halves, high: Int32, low: Int32 | None = None) -> Int32:
    """Clause 7.20: a share of a value, or of a wide one, with 15 fraction bits more."""
    w1, w0 = share
    below = w0 * high + _HALF
    if low is not None:
        below += w1 * low
    return w1 * high + (below >> LOW_BITS)


def blend(high: Int32, low: Int32, target: Int32, share: Halves) -> Halves:
    """Clause 7.21."""
    t = low + part_of(share, target - high)
    return np.maximum(high + (t >> LOW_BITS), np.int32(INT16_MIN)), t & _MASK


def gated_sum(
    high: Int32, low: Int32, loss: Halves, candidate: Int32, gain: Halves, shift: int
) -> Int32:
    """Clause 7.22: the new wide state, before it saturates."""
    gained = round_product(part_of(gain, candidate), shift)
    return left_of(high, low, loss) + _limited(gained, FARTHEST)


def leaky_sum(high: Int32, low: Int32, entry: Int32, constants: LeakConstants) -> Int32:
    """Clause 7.23: the new wide state, before it saturates."""
    loss = constants.high.astype(np.int32), constants.low.astype(np.int32)
    taken = _limited(entry, FARTHEST_ENTRY) << constants.shift.astype(np.int32)
    return left_of(high, low, loss) + taken


def left_of(high: Int32, low: Int32, loss: Halves) -> Int32:
    """What a wide state is without a share of itself."""
    return whole(high, low) - part_of(loss, high, low)


def whole(high: Int32, low: Int32) -> Int32:
    """Clause 2.8: the wide state of both parts."""
    return (high << LOW_BITS) + low


def saturated(wide: Int32, least: int = LEAST) -> Halves:
    """The parts of a wide state that is limited to its ends."""
    limited = np.clip(wide, np.int32(least), np.int32(MOST))
    return limited >> LOW_BITS, limited & _MASK


def _limited(v: Int32, most: int) -> Int32:
    return np.clip(v, np.int32(-most), np.int32(most))
