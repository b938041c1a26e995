"""The scalar twin of NUMERICS.md clause 7.11, in plain Python integers."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from fractions import Fraction

from tests.exactness.twin import scalar


def real_entry(u: int) -> Decimal:
    """The real number that clause 7.11 rounds, for 64 <= u <= 255."""

    def f(place: Decimal) -> Decimal:
        return 2**18 / place.sqrt()

    with localcontext(Context(prec=scalar.TABLE_DIGITS)):
        here, after, between = f(Decimal(u)), f(Decimal(u + 1)), f(Decimal(u) + Decimal("0.5"))
        return here - (here + after - 2 * between) / 4


#: Table I by its index.
I = {**{u: int(real_entry(u).to_integral_value()) for u in range(64, 256)}, 256: 16384}  # noqa: E741


def _bits_of(n: int) -> tuple[int, int, int]:
    """t, w and a of N."""
    n_bits = next(bits for bits in range(9) if 2**bits >= n)
    a = next(a for a in range(1, 6) if 4 ** (a - 1) <= n < 4**a)
    return 16 + n_bits, (29 - n_bits) >> 1, a


def gain(n: int) -> int:
    """G = round(2^15 * sqrt(N) / 2^a)."""
    _, _, a = _bits_of(n)
    with localcontext(Context(prec=scalar.TABLE_DIGITS)):
        return int((2**15 * Decimal(n).sqrt() / 2**a).to_integral_value())


def constants(n: int, scale: float, epsilon: float) -> tuple[int, list[int]]:
    """p, and E[b] for p <= b <= t, of the floats' exact values."""
    t, w, _ = _bits_of(n)
    ratio = Fraction(epsilon) * n**3 / Fraction(scale) ** 2
    exact = [ratio * Fraction(4) ** (w - b) for b in range(t + 1)]
    p = next(b for b, number in enumerate(exact) if number <= 2**29)
    return p, [max(1, round(number)) for number in exact[p:]]


def normalized(
    x: Sequence[int], p: int, epsilon: Sequence[int], meter: scalar.Metered
) -> list[int]:
    """Codes of Q4.11.

    Args:
        x: int16 codes [N].
        p: least b.
        epsilon: E[b] from p up.
        meter: counts saturations and ties.
    """
    n, total = len(x), sum(x)
    t, w, a = _bits_of(n)
    d = [n * value - total for value in x]
    b = max(p, max(abs(value) for value in d).bit_length())
    m = [value * 2 ** (t - b) for value in d]
    v = [meter.half_up(value, t - 15) for value in m]
    q = [meter.half_up(value, t - w) for value in m]
    squares = min(sum(value * value for value in q) + epsilon[b - p], 2**30 - 1)
    j = max(j for j in range(15) if 4**j <= squares)
    place = squares * 4 ** (14 - j)
    u, h = place >> 22, (place >> 12) % 1024
    r = meter.half_up((I[u] - ((h * (I[u] - I[u + 1])) >> 10)) * gain(n), 15)
    return [meter.sat16(meter.half_up(value * r, 19 + j - w - a)) for value in v]
