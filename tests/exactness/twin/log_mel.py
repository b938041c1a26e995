"""The scalar twin of the log-mel front end: NUMERICS.md section 11 in plain Python integers.

Tables are made with many digits (mpmath), so that no rounding of floating point can hide in them.
"""

from __future__ import annotations

from collections.abc import Sequence

from mpmath import cos, floor, log, mp, mpf, pi, sin, sqrt

from edgernn.prepare.audio.log_mel import LogMel
from tests.exactness.twin.scalar import half_up, sat8, sat16

Vector = list[int]
_DIGITS = 40


def rnd(v: mpf) -> int:
    """Clause 11.2."""
    return int(floor(v + mpf(1) / 2 + mpf(2) ** -20))


class LogMelTwin:
    """One front end.

    Attributes:
        widest: the largest size of an intermediate value (clause 11.9).
        widest_state: the same of z.
    """

    def __init__(self, of: LogMel) -> None:
        with mp.workdps(_DIGITS):
            self._make(of)
        self.of = of
        self.widest = self.widest_state = 0

    def _make(self, of: LogMel) -> None:
        self.n = n = of.transform // 2
        a0, a1, v = {"hann": (0.5, 0.5, 1), "hamming": (0.54, 0.46, 0.92)}.get(
            of.window, (1, 0, 0.5)
        )
        a0, a1, v = (mpf(str(x)) for x in (a0, a1, v))
        self.w = [rnd(32767 * v * (a0 - a1 * cos(2 * pi * i / of.frame))) for i in range(of.frame)]
        full = (mpf(2) * sum(self.w) / n) ** 2
        low, high = self._mel(of, mpf(of.low_hz)), self._mel(of, mpf(of.high_hz))
        mels = [low + (high - low) * i / (of.bands + 1) for i in range(of.bands + 2)]
        edges = mels if of.triangles == "mel" else [self._hertz(of, m) for m in mels]
        self.bins, self.segment, self.rho = [], {}, {}
        for k in range(1, n):
            f = mpf(k) * of.rate_hz / of.transform
            f = self._mel(of, f) if of.triangles == "mel" else f
            if edges[0] < f < edges[-1]:
                g = max(g for g in range(of.bands + 1) if edges[g] <= f)
                self.bins.append(k)
                self.segment[k] = g
                self.rho[k] = rnd(256 * (f - edges[g]) / (edges[g + 1] - edges[g]))
        r = mpf(10) ** (mpf(of.floor_db) / 10) * full * 256
        k = int(floor(log(r, 2))) - 23
        mu = rnd(r * mpf(2) ** -k)
        self.G = []
        for p in range(14):
            j = k + 2 * p - 2
            self.G.append(min(mu * 2**j if j >= 0 else half_up(mu, -j), 2**44))
        self.Lambda = [rnd(2**15 * log(1 + mpf(i) / 32, 2)) for i in range(33)]
        self.E = [16384 - 2048 * (p - 1) - rnd(1024 * log(256 * full, 2)) for p in range(14)]
        self.alpha = rnd(32768 * mpf(str(of.pre_emphasis)))
        self.Delta = [self._delta(of, r) for r in range(of.coefficients)]
        self.c = {h: [rnd(32768 * cos(pi * j / h)) for j in range(h)] for h in self._stages()}
        self.s = {h: [rnd(-32768 * sin(pi * j / h)) for j in range(h)] for h in self._stages()}
        self.C = {k: rnd(16384 * cos(2 * pi * k / of.transform)) for k in self.bins}
        self.S = {k: rnd(-16384 * sin(2 * pi * k / of.transform)) for k in self.bins}

    def _stages(self) -> Vector:
        return [1 << i for i in range(self.n.bit_length() - 1)]

    @staticmethod
    def _mel(of: LogMel, f: mpf) -> mpf:
        if of.mel == "htk":
            return 2595 * log(1 + f / 700, 10)
        return 3 * f / 200 if f < 1000 else 15 + 27 * log(f / 1000) / log(mpf("6.4"))

    @staticmethod
    def _hertz(of: LogMel, m: mpf) -> mpf:
        if of.mel == "htk":
            return 700 * (mpf(10) ** (m / 2595) - 1)
        return 200 * m / 3 if m < 15 else 1000 * mpf("6.4") ** ((m - 15) / 27)

    @staticmethod
    def _delta(of: LogMel, r: int) -> Vector:
        """Clause 11.11."""
        row = [
            sqrt(mpf(2 if r else 1) / of.bands) * cos(pi * r * (2 * b + 1) / (2 * of.bands))
            for b in range(of.bands)
        ]
        most = max(abs(v) for v in row)
        exact = [1023 * v / most for v in row]
        rounded = [rnd(v) for v in exact]
        over = sum(rounded) if r else 0
        sign = 1 if over > 0 else -1
        for _ in range(abs(over)):
            # An integer that has moved once lies on the other side of its real number.
            off = [round(float(sign * (q - v)), 6) for q, v in zip(rounded, exact, strict=True)]
            rounded[off.index(max(off))] -= sign
        return rounded

    def emphasized(self, samples: Sequence[int]) -> Vector:
        """Clause 11.12, from the beginning of a stream."""
        if not self.alpha:
            return list(samples)
        before = [0, *samples[:-1]]
        return [
            sat16(x - half_up(self.alpha * b, 15)) for x, b in zip(samples, before, strict=True)
        ]

    def rows(self, samples: Sequence[int]) -> list[Vector]:
        """Clause 11.1: all rows of a stream from its beginning."""
        x = self.emphasized(samples)
        last = len(x) - self.of.frame
        return [self.row(x[at : at + self.of.frame]) for at in range(0, last + 1, self.of.hop)]

    def _held(self, v: int) -> int:
        self.widest = max(self.widest, abs(v))
        return v

    def row(self, x: Vector) -> Vector:
        """Clauses 11.3 to 11.8, and 11.11 where there are coefficients."""
        held, n = self._held, self.n
        p = sum(max(map(abs, x)) <= 23000 >> i for i in range(13))
        y = [half_up(held(a * b), 16 - p) for a, b in zip(x, self.w, strict=True)]
        y += [0] * (2 * n - len(y))
        z = self._transform([(y[2 * i], y[2 * i + 1]) for i in range(n)])
        bands = self.of.bands
        A, D = [self.G[p] >> 15] * bands, [self.G[p] & 32767] * bands
        for k in self.bins:
            (z_re, z_im), (y_re, y_im) = z[k], z[n - k]
            d_re, d_im, C, S = z_im + y_im, y_re - z_re, self.C[k], self.S[k]
            re = z_re + y_re + half_up(held(d_re * C - d_im * S), 14)
            im = z_im - y_im + half_up(held(d_re * S + d_im * C), 14)
            U, V = divmod(held(re * re + im * im), 2**15)
            for b, weight in (
                (self.segment[k], self.rho[k]),
                (self.segment[k] - 1, 256 - self.rho[k]),
            ):
                if 0 <= b < bands:
                    A[b], D[b] = held(A[b] + weight * U), held(D[b] + weight * V)
        levels = [self._level(a, d, p) for a, d in zip(A, D, strict=True)]
        return (
            levels
            if not self.Delta
            else [
                half_up(held(sum(q * v for q, v in zip(row, levels, strict=True))), 13)
                for row in self.Delta
            ]
        )

    def _transform(self, z: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Clause 11.4."""
        n, held = self.n, self._held
        bits = n.bit_length() - 1
        z = [z[sum((i >> j & 1) << (bits - 1 - j) for j in range(bits))] for i in range(n)]
        for h in self._stages():
            for q in range(n // (2 * h)):
                for j in range(h):
                    (a_re, a_im), (b_re, b_im) = z[2 * h * q + j], z[2 * h * q + h + j]
                    t_re, t_im = b_re, b_im
                    if j:
                        c, s = self.c[h][j], self.s[h][j]
                        t_re = half_up(held(b_re * c - b_im * s), 15)
                        t_im = half_up(held(b_re * s + b_im * c), 15)
                    z[2 * h * q + j] = half_up(a_re + t_re, 1), half_up(a_im + t_im, 1)
                    z[2 * h * q + h + j] = half_up(a_re - t_re, 1), half_up(a_im - t_im, 1)
            self.widest_state = max(self.widest_state, *(abs(v) for pair in z for v in pair))
        return z

    def _level(self, A: int, D: int, p: int) -> int:
        """Clause 11.8."""
        v, o = (A + (D >> 15), 15) if A >= 32768 else (max(1, (A << 15) + D), 0)
        self._held(v)
        q = sum(v >= 1 << i for i in range(1, 31))
        m = v << (30 - q)
        u, tau = (m >> 25) - 32, (m >> 10) & 32767
        line = self._held((self.Lambda[u] << 15) + tau * (self.Lambda[u + 1] - self.Lambda[u]))
        return sat16(1024 * (q + o) + half_up(line, 20) + self.E[p])


def code(level: int, multiplier: int, bias: int, shift: int, *, wide: bool) -> int:
    """Clause 11.10."""
    u = half_up(multiplier * level + bias, shift)
    return 4 * min(max(u, -8191), 8191) if wide else sat8(u)
