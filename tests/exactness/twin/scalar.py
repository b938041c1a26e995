"""The scalar twin: NUMERICS.md sections 1 to 3 in plain Python integers.

Written from the text of NUMERICS.md alone and sharing no code with the NumPy reference, so that
an agreement of the two means something. Python integers have no width: nothing wraps unseen.
"""

from __future__ import annotations

from collections import Counter
from decimal import Context, Decimal, localcontext
from math import isqrt

#: Enough digits that rounding a table entry can never depend on them.
TABLE_DIGITS = 60


def sat16(v: int) -> int:
    """Clause 1.1."""
    return min(max(v, -32768), 32767)


def sat8(v: int) -> int:
    """Clause 1.1."""
    return min(max(v, -128), 127)


def half_up(p: int, k: int) -> int:
    """Clause 1.2."""
    return (p + (1 << (k - 1))) >> k if k >= 1 else p


def R(p: int, k: int) -> int:
    """Clause 1.3."""
    if k == 0:
        return p
    if k == 1:
        return (p + 1) >> 1
    return (p + (1 << (k - 1)) + 1 - 2 * (p < -1)) >> k


def hypotenuse(a: int, b: int) -> int:
    """Clause 7.10 before it saturates: the nearest integer, found in twice the resolution."""
    a, b = max(a, -32767), max(b, -32767)
    return (isqrt(4 * (a * a + b * b)) + 1) // 2


def real_entry(i: int) -> Decimal:
    """The real number that clause 3.1 rounds, for 0 <= i <= 254."""
    with localcontext(Context(prec=TABLE_DIGITS)):
        s = 1 / (1 + (Decimal(-i) / 24).exp())
        return 65536 * (s - s * (1 - s) * (1 - 2 * s) / 9216)


def _table() -> tuple[int, ...]:
    return (*(int(real_entry(i).to_integral_value()) for i in range(255)), 65535)


#: Clause 3.1.
T = _table()


def sigmoid(z: int) -> int:
    """Clause 3.2."""
    d = 12 * z
    m = abs(d)
    u, t = m >> 9, m & 511
    r = 32767 * 1024 if u >= 255 else 512 * T[u] + t * (T[u + 1] - T[u])
    return (r + 512) >> 10 if d >= 0 else ((1 << 25) - r + 511) >> 10


def tanh(z: int) -> int:
    """Clause 3.3."""
    d = 12 * z
    m = abs(d)
    u, t = m >> 8, m & 255
    r = 65535 * 256 if u >= 255 else 256 * T[u] + t * (T[u + 1] - T[u])
    return (r - (1 << 23) + 128) >> 8 if d >= 0 else ((1 << 23) - r + 127) >> 8


def hard_sigmoid(z: int) -> int:
    """Clause 3.4."""
    return max(0, sat16(sat16(R(21845 * z, 12)) + 16384))


class Metered:
    """The same arithmetic, counting what a comparison must have exercised.

    Attributes:
        events: ``sat16`` and ``sat8`` count arguments that were changed; ``tie_half_up`` and
            ``tie_R`` count roundings of a negative value exactly between two results.
        widest: largest magnitude a rounding had to hold, its rounding constant included.
    """

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.widest = 0

    def _widen(self, p: int, k: int) -> None:
        self.widest = max(self.widest, abs(p) + (1 << k >> 1) + 1)

    def sat16(self, v: int) -> int:
        """Clause 1.1, an event of clause 10.1."""
        if not -32768 <= v <= 32767:
            self.events["sat16"] += 1
        return sat16(v)

    def sat8(self, v: int) -> int:
        """Clause 1.1, an event of clause 10.1."""
        if not -128 <= v <= 127:
            self.events["sat8"] += 1
        return sat8(v)

    def half_up(self, p: int, k: int) -> int:
        """Clause 1.2."""
        self._widen(p, k)
        if _negative_tie(p, k):
            self.events["tie_half_up"] += 1
        return half_up(p, k)

    def R(self, p: int, k: int) -> int:
        """Clause 1.3."""
        self._widen(p, k)
        if _negative_tie(p, k):
            self.events["tie_R"] += 1
        return R(p, k)


def _negative_tie(p: int, k: int) -> bool:
    return p < 0 and k >= 1 and p & ((1 << k) - 1) == 1 << (k - 1)
