"""Scalar twin of curves, fine gates and wide states: clauses 1.6, 2.8, 3.5, 3.6, 7.20 to 7.23.

Written from the text of NUMERICS.md alone. Every intermediate result has to fit 32 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext

from edgernn.model.functions.curves import CurveTable
from tests.exactness.twin.scalar import TABLE_DIGITS, Metered, R, half_up, sat16

#: Both halves of a share: w1 and w0.
Share = tuple[int, int]


def held(v: int) -> int:
    """The integer, where 32 bits hold it (clause 1.5)."""
    if not -(2**31) <= v < 2**31:
        raise OverflowError(f"twin: expected an integer of 32 bits, got {v}")
    return v


def S(v: int, k: int, meter: Metered | None = None) -> int:
    """Clause 1.6; counted as an event where a meter is given."""
    if k >= 0:
        return meter.R(v, k) if meter else R(v, k)
    return (meter.sat16 if meter else sat16)(held(v * 2**-k))


def real_fine_entry(i: int) -> Decimal:
    """The real number that clause 3.5 rounds, for 0 <= i <= 256."""
    with localcontext(Context(prec=TABLE_DIGITS)):
        s = 1 / (1 + (Decimal(i) / 16).exp())
        return 2**30 * (s - s * (1 - s) * (1 - 2 * s) / 4096)


#: Clause 3.5.
E = tuple(min(int(real_fine_entry(i).to_integral_value()), 2**29) for i in range(257))


def fine_gate(a: int) -> int:
    """F of clause 3.5."""
    m = min(abs(a), 16383)
    u, t = m >> 6, m & 63
    p = E[u] - (held((E[u] - E[u + 1]) * t) >> 6)
    return p if a >= 0 else held(2**30 - p)


def curve(table: CurveTable, z: int) -> int:
    """Clause 3.6."""
    F = table.entries
    s = next(s for s in range(4, 13) if len(F) == 2 ** (16 - s) + 1)
    u = z + 32768
    i, t = u >> s, u & (2**s - 1)
    rise = held((int(F[i + 1]) - int(F[i])) * t)
    return min(max(int(F[i]) + half_up(held(rise + 2 ** (s - 1)) - 2 ** (s - 1), s), table.low),
               table.high)  # fmt: skip


def fine_share(a: int, *, complement: bool) -> Share:
    """Clause 7.20, of a sigmoid's pre-activation."""
    share = fine_gate(a) if complement else fine_gate(-max(a, -32767))
    return share >> 15, share & 32767


def coarse_share(g: int, *, complement: bool) -> Share:
    """Clause 7.20, of a gate in Q0.15."""
    return (32767 - g if complement else g), 0


def P(w: Share, v: int, low: int = 0) -> int:
    """Clause 7.20: the share of a value, or of a wide state."""
    w1, w0 = w
    return held(held(w1 * v) + held(half_up(held(held(w0 * v) + held(w1 * low)), 15)))


def blend(s: int, low: int, n: int, w: Share) -> tuple[int, int]:
    """Clause 7.21."""
    t = held(low + P(w, n - s))
    return max(s + (t >> 15), -32768), t & 32767


def _limited(wide: int, least: int, meter: Metered) -> tuple[int, int]:
    """The parts of S', and the events of clause 10.1."""
    high = wide >> 15
    if not -32768 <= high <= 32767:
        meter.events["sat16"] += 1
    wide = min(max(wide, least), 2**30 - 1)
    return wide >> 15, wide & 32767


def gated_sum(
    s: int, low: int, w: Share, g: int, v: Share, shift: int, meter: Metered
) -> tuple[int, int]:
    """Clause 7.22; the shift is b - e."""
    most = 2**30 - 2**16
    product = P(v, g)
    held(product + 2**shift)  # the rounding constants of R
    q = min(max(R(product, shift), -most), most)
    wide = held(held(held(s * 2**15 + low) - P(w, s, low)) + q)
    return _limited(wide, -(2**30), meter)


def shown(s: int, low: int, shift: int, meter: Metered) -> int:
    """The wide state as an int16 value (clause 7.22); the shift is e + 15 - d."""
    return meter.sat16(meter.R(s * 2**15 + low, shift))


def leaky_sum(
    s: int, low: int, u: int, leak: Sequence[int], meter: Metered, *, rectified: bool
) -> tuple[int, int]:
    """Clause 7.23; a leak is w1, w0 and j."""
    w1, w0, j = leak
    entry = held(min(max(u, -32766), 32766) * 2**j)
    wide = held(held(held(s * 2**15 + low) - P((w1, w0), s, low)) + entry)
    return _limited(wide, 0 if rectified else -(2**30), meter)
