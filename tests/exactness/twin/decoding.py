"""The scalar twin of NUMERICS.md section 13, in plain Python integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, localcontext

from tests.exactness.twin.scalar import TABLE_DIGITS, half_up

#: Reads a row of tokens from the beginning, and gives the scores after the last.
Scores = Callable[[Sequence[int]], Sequence[int]]
M32 = 2**32


def rnd(v: Decimal) -> int:
    """Clause 11.2."""
    shifted = v + Decimal(1) / 2 + Decimal(2) ** -20
    return int(shifted.to_integral_value(rounding=ROUND_FLOOR))


def real_tables() -> tuple[list[Decimal], list[Decimal]]:
    """The real numbers of clauses 13.4 and 13.8."""
    with localcontext(Context(prec=TABLE_DIGITS)):
        powers = [Decimal(2) ** (Decimal(30) - Decimal(j) / 64) for j in range(65)]
        ln2 = Decimal(2).ln()
        logs = [32768 * (1 + Decimal(j) / 64).ln() / ln2 for j in range(65)]
    return powers, logs


E, LAMBDA = ([rnd(v) for v in table] for table in real_tables())


def scores(y: Sequence[int], scales: Sequence[float]) -> list[int]:
    """Clause 13.1, of output codes."""
    if len(set(scales)) == 1:
        return list(y)
    with localcontext(Context(prec=TABLE_DIGITS)):
        ratios = [2**14 * Decimal(scale) / Decimal(max(scales)) for scale in scales]
    return [
        half_up(int(ratio.to_integral_value(rounding=ROUND_HALF_EVEN)) * code, 14)
        for ratio, code in zip(ratios, y, strict=True)
    ]


def multiplier(scale: float) -> tuple[int, int]:
    """Clause 13.1."""
    with localcontext(Context(prec=TABLE_DIGITS)):
        exact = 4096 * Decimal(scale) / Decimal(2).ln()
        b = next(b for b in range(-60, 200) if 2**20 <= exact * Decimal(2) ** b < 2**21)
        a = int((exact * Decimal(2) ** b).to_integral_value())
    return (2**20, b - 1) if a == 2**21 else (a, b)


def temperature(a: int, b: int, n: int) -> tuple[int, int]:
    """Clause 13.2."""

    def scaled(g: int) -> int:
        return 1000 * a * 2**g // n if g >= 0 else 1000 * a // (n * 2**-g)

    g = next(g for g in range(-40, 40) if 2**14 <= scaled(g) < 2**15)
    return (scaled(g) + 1) >> 1, b + g - 1


def distance(q: Sequence[int], m: int, s: int) -> list[int]:
    """Clause 13.3."""
    return [min(half_up((max(q) - v) * m, s), 122880) for v in q]


def weight(x: int) -> int:
    """Clause 13.4."""
    u, j, t = x // 4096, x // 64 % 64, x % 64
    return 0 if u == 30 else (E[j] - half_up(t * (E[j] - E[j + 1]), 6)) >> u


def drawable(q: Sequence[int], k: int) -> set[int]:
    """Clause 13.5."""
    order = sorted(range(len(q)), key=lambda i: (-q[i], i))
    return set(order[:k]) if 1 <= k < len(q) else set(order)


def numbers(seed: int | tuple[int, int, int, int]) -> Iterator[int]:
    """Clause 13.6, from a seed or from a state."""
    s = [mix((seed + (i + 1) * 0x9E3779B9) % M32) for i in range(4)] if isinstance(
        seed, int
    ) else list(seed)  # fmt: skip
    while True:
        yield rotl(5 * s[1] % M32, 7) * 9 % M32
        t = s[1] * 2**9 % M32
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 11)


def rotl(v: int, k: int) -> int:
    """Rotation of 32 bits to the left."""
    return (v * 2**k | v >> (32 - k)) % M32


def mix(h: int) -> int:
    """Clause 13.6."""
    h ^= h >> 16
    h = h * 0x85EBCA6B % M32
    h ^= h >> 13
    h = h * 0xC2B2AE35 % M32
    return h ^ h >> 16


def draw(w: Sequence[int], random: Iterator[int]) -> int:
    """Clause 13.7."""
    whole = sum(w)
    beta = (whole >> 15).bit_length()
    r = whole
    while r >= whole:
        g, h = next(random), next(random)
        r = 2**15 * (h >> (32 - beta)) + (g >> 17)
    total = 0
    for i, own in enumerate(w):
        total += own
        if total > r:
            return i
    raise AssertionError


def lg(v: int) -> int:
    """Clause 13.8."""
    e = v.bit_length() - 1
    m = v * 2**30 // 2**e
    u, tau = (m >> 24) - 64, (m >> 9) % 2**15
    return 4096 * e + half_up(2**15 * LAMBDA[u] + tau * (LAMBDA[u + 1] - LAMBDA[u]), 18)


def costs(q: Sequence[int], a: int, b: int) -> list[int]:
    """Clause 13.9."""
    x = distance(q, *temperature(a, b, 1000))
    common = lg(sum(map(weight, x))) - 122880
    return [v + common for v in x]


def sampled(
    scores: Scores, prompt: Sequence[int], a: int, b: int, n: int, k: int, seed: int, count: int
) -> list[int]:
    """Clauses 13.2 to 13.7, token after token."""
    random = numbers(seed)
    m, s = temperature(a, b, n)
    row: list[int] = []
    for _ in range(count):
        q = scores([*prompt, *row])
        allowed = drawable(q, k)
        w = [weight(x) if i in allowed else 0 for i, x in enumerate(distance(q, m, s))]
        row.append(draw(w, random))
    return row


def beams(
    scores: Scores,
    prompt: Sequence[int],
    a: int,
    b: int,
    *,
    width: int,
    end: int | None,
    most: int,
    alpha: int,
) -> list[tuple[tuple[int, ...], int]]:
    """Clauses 13.11 and 13.12: all finished rows with their costs, best first."""
    live: list[tuple[tuple[int, ...], int]] = [((), 0)]
    done: list[tuple[tuple[int, ...], int]] = []
    for step in range(most):
        offers = sorted(
            (cost + c, j, i)
            for j, (row, cost) in enumerate(live)
            for i, c in enumerate(costs(scores([*prompt, *row]), a, b))
        )
        grown: list[tuple[tuple[int, ...], int]] = []
        for cost, j, i in offers:
            row = (*live[j][0], i)
            (done if i == end else grown).append((row, cost))
            if len(grown) == width:
                break
        live = grown
        if step == most - 1:
            done += live
        if len(done) >= width or not live:
            break

    def rank(place: int) -> tuple[int, int, int]:
        row, cost = done[place]
        return lg(max(cost, 1)) - half_up(alpha * lg(len(row)), 8), cost, place

    return [done[place] for place in sorted(range(len(done)), key=rank)]
