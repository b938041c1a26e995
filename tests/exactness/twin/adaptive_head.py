"""The scalar twin of a head that learns: NUMERICS.md section 14 in plain Python integers.

Every intermediate value is checked against a signed 32-bit integer (clause 14.6).
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.exactness.twin.scalar import R, half_up, sat8

Vector = list[int]


def fits(v: int) -> int:
    """The value itself, which 32 bits hold."""
    assert -(2**31) <= v < 2**31, v
    return v


def rounded(p: int, k: int) -> int:
    """HALF_UP whose sum with the rounding constant fits."""
    fits(p + (2 ** (k - 1) if k else 0))
    return half_up(p, k)


class TwinHead:
    """One stream through a head.

    Attributes:
        W: weights [O][N + 2].
        taken: every step so far: state and output codes.
    """

    def __init__(self, mu: int, lam: int, L: int, E: int, D: int, N: int, O: int) -> None:  # noqa: E741
        self.mu, self.lam, self.L, self.E, self.D = mu, lam, L, E, D
        self.W = [[0] * (N + 2) for _ in range(O)]
        self.taken: list[tuple[Vector, Vector]] = []

    def features(self, state: Sequence[int], y: int) -> Vector:
        """Clause 14.2."""
        return [128, sat8(R(y, 8)), *(sat8(R(v, 8)) for v in state)]

    def correction(self, o: int, phi: Vector) -> tuple[int, int]:
        """Clause 14.3: s and c."""
        w = [rounded(W, 15) for W in self.W[o]]
        assert all(-32768 <= x <= 32767 for x in w)
        total = 0
        for x, f in zip(w, phi, strict=True):
            total = fits(total + fits(x * f))
        s = rounded(total, 7)
        return s, min(max(s, -self.L), self.L)

    def step(self, state: Vector, y: Vector) -> Vector:
        """Clauses 14.2 and 14.3."""
        self.taken.append((state, y))
        return [
            code + self.correction(o, self.features(state, code))[1] for o, code in enumerate(y)
        ]

    def learn(self, target: Sequence[int | None]) -> list[int | None]:
        """Clauses 14.4 and 14.5: true values less corrected outputs."""
        if len(self.taken) < self.D + 1:
            return [None] * len(target)
        state, y = self.taken[-1 - self.D]
        errors: list[int | None] = []
        for o, t in enumerate(target):
            if t is None:
                errors.append(None)
                continue
            assert abs(t) <= 2**18
            phi = self.features(state, y[o])
            s, c = self.correction(o, phi)
            error = t - (y[o] + c)
            errors.append(error)
            e = min(max(error, -self.E), self.E)
            if (s > self.L and e > 0) or (s < -self.L and e < 0):
                e = 0
            self.W[o] = [
                self.moved(W, d) for W, d in zip(self.W[o], self.changes(phi, e), strict=True)
            ]
        return errors

    def changes(self, phi: Vector, e: int) -> Vector:
        """Δ of clause 14.5."""
        q = fits(self.mu * e)
        bits = len(bin(abs(q))) - 2 if q else 0
        v = max(0, bits - 15)
        p = rounded(q, v)
        assert abs(p) <= 2**15
        P = sum(f * f for f in phi)
        b = next(b for b in range(40) if 2**b <= P < 2 ** (b + 1))
        assert 14 <= b <= 22
        u = P >> (b - 14)
        r = 2**29 // u
        assert 2**14 <= u < 2**15
        assert 2**14 <= r <= 2**15
        G = rounded(fits(p * r), 7)
        k = 1 + b - v
        assert abs(G) <= 2**23
        assert 0 <= k <= 23
        return [rounded(fits(G * f), k) for f in phi]

    def moved(self, W: int, change: int) -> int:
        """The last line of clause 14.5."""
        A = 2**30 - 2**14 - 1
        lost = rounded(W, self.lam) if self.lam else 0
        return min(max(fits(W - lost + change), -A), A)
