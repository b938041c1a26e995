"""The scalar twin of preparation and decisions on a device: NUMERICS.md section 12.

Every answer is computed from the whole stream so far, as the clauses say it: nothing is carried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.exactness.twin.scalar import half_up

Vector = list[int]


def values(channel: Any, xs: Sequence[int | None]) -> Vector:
    """Clause 12.1, of all readings of a channel."""
    c, e, m, k = channel.center, channel.reach, channel.multiplier, channel.shift
    out, v = [], 0
    for x in xs:
        if x is not None:
            d = min(max(x, c - e), c + e) - c
            n = (abs(d) * m // 2**32 + 2 ** (k - 1)) >> k
            v = min(n, 32767) if d >= 0 else -min(n, 32767)
        out.append(v)
    return out


def feature(of: Any, v: Vector) -> int:
    """Clauses 12.2 and 12.3, of all values so far."""
    kind, z = of.kind.name, [min(max(x, of.least), of.greatest) for x in v]
    t, N = len(z), of.readings
    back = z[t - min(N + 1, t)]
    Z = z[t - min(N, t) :]
    K = len(Z)
    M = (2 * sum(Z) + K) // (2 * K)
    plain = {
        "VALUE": z[-1], "LAG": back, "DIFFERENCE": z[-1] - back, "MINIMUM": min(Z),
        "MAXIMUM": max(Z), "MEAN": M,
    }  # fmt: skip
    return plain[kind] if kind in plain else deviation(Z, M, of.fraction)


def deviation(Z: Vector, M: int, f: int) -> int:
    """Clause 12.3."""
    K, D = len(Z), max(abs(x - M) for x in Z)
    L = next(L for L in range(20) if 2**L >= K)
    b = (30 - L) >> 1
    e = next(e for e in range(20) if D >> e < 2**b)
    Q = sum(half_up(x - M, e) ** 2 for x in Z)
    assert Q <= K * 4**b <= 2**30
    if Q == 0:
        return 0
    g = max(g for g in range(25) if Q * 4**g // K < 2**30)
    W = Q * 4**g // K
    r = max(r for r in _near_root(W) if r * r <= W)
    s = g - e - f
    return half_up(r, s) if s >= 0 else min(r * 2**-s, 32767)


def _near_root(W: int) -> range:
    middle = int(W**0.5)
    return range(max(0, middle - 2), middle + 3)


def codes(of: Any, readings: Sequence[Sequence[int | None]]) -> list[Vector]:
    """Clause 12.4, of a whole stream."""
    columns = [
        values(c, xs) for c, xs in zip(of.channels, zip(*readings, strict=True), strict=True)
    ]
    out = []
    for t in range(1, len(readings) + 1):
        row = []
        for own in of.features:
            p = own.multiplier * feature(own, columns[own.channel][:t]) + own.bias
            assert abs(p) + 2**27 < 2**30
            row.append(of.step * min(max(half_up(p, own.shift), own.low), own.high))
        out.append(row)
    return out


def threshold(of: Any, ys: Vector) -> Vector:
    """Clause 12.6, of the codes of its output."""
    out, on, row = [], False, 0
    for y in ys:
        if on:
            c = y > of.off if of.below else y < of.off
        else:
            c = y <= of.on if of.below else y >= of.on
        row = row + 1 if c else 0
        if c and row == (of.off_readings if on else of.on_readings):
            on, row = not on, 0
        out.append(int(on))
    return out


def majority(of: Any, answers: Sequence[Vector]) -> Vector:
    """Clause 12.7, of all answers."""
    out = []
    for t in range(1, len(answers) + 1):
        votes = []
        for answer in answers[max(0, t - of.readings) : t]:
            compared = [answer[i] for i in of.outputs]
            votes.append(compared.index(max(compared)))
        out.append(max(range(len(of.outputs)), key=lambda n: (votes.count(n), -n)))
    return out
