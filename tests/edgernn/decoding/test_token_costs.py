"""Costs, weights and random numbers: the twin of section 13, and what they are off real numbers."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import islice

import numpy as np
import pytest

from edgernn.decoding import token_costs as product
from edgernn.decoding.generator import drawn, random_numbers
from edgernn.errors import DecodingError
from tests.exactness.twin import decoding as twin

pytestmark = pytest.mark.device

SCALES = (2.0**-12, 2.0**-10, 3.1e-4, 7.77e-5, 0.0019, 0.1, 1e-6, math.log(2) * 2.0**-9)
#: First numbers from the state (1, 2, 3, 4), as the authors' C program prints them.
PUBLISHED = (
    11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597,
    4258142804,
)  # fmt: skip


def random_scores(rng, tokens=20, spread=3000):
    scores = np.clip(rng.normal(0, spread, tokens).round(), -32768, 32767)
    scores[rng.integers(tokens)] = scores.max()  # two that are equal
    return scores.astype(np.int16)


def test_tables_are_far_from_ties_and_the_twin_s():
    for own, real, table in zip(
        (product._POWERS, product._LOGARITHMS), twin.real_tables(), (twin.E, twin.LAMBDA),
        strict=True,
    ):  # fmt: skip
        assert own.tolist() == table
        assert min(abs(v % 1 - Decimal("0.5")) for v in real) > Decimal("1e-3")


def test_every_weight_is_the_twin_s_and_near_the_real_one():
    x = np.arange(product.FARTHEST + 1)
    w = product.weights(x)
    assert w.tolist() == [twin.weight(v) for v in x.tolist()]
    assert (np.diff(w) <= 0).all()
    real = 2.0 ** (30 - x / 4096)
    assert (np.abs(w - real)[:-1] <= 1.5e-5 * real[:-1] + 1).all()


def test_logarithms():
    rng = np.random.default_rng(0)
    values = [*range(1, 3000), *(int(2**e) for e in rng.uniform(12, 45, 5000)), 2**45]
    got = [product.logarithm(v) for v in values]
    assert got == [twin.lg(v) for v in values]
    assert max(abs(g - 4096 * math.log2(v)) for g, v in zip(got, values, strict=True)) <= 0.75


@pytest.mark.parametrize("scale", SCALES)
def test_multipliers_and_temperatures(scale):
    own = product.score_multiplier(scale)
    assert (own.value, own.shift) == twin.multiplier(scale)
    rng = np.random.default_rng(1)
    accepted = 0
    for steps in {1, 2, 999, 1000, 1001, 100_000, *rng.integers(1, 100_001, 200).tolist()}:
        wanted = twin.temperature(own.value, own.shift, steps)
        if not 0 <= wanted[1] <= 29:
            with pytest.raises(DecodingError, match=r"too low|too high"):
                product.at_temperature(own, steps)
            continue
        got = product.at_temperature(own, steps)
        assert (got.value, got.shift) == wanted
        real = 4096 * scale / math.log(2) * 1000 / steps
        assert abs(got.value / 2**got.shift / real - 1) < 2**-14 * 1.01
        accepted += 1
    assert accepted > 100


@pytest.mark.parametrize("seed", range(5))
def test_costs_and_candidates(seed):
    rng = np.random.default_rng(seed)
    for spread in (1, 300, 3000, 30000):
        scores = random_scores(rng, spread=spread)
        a, b = twin.multiplier(2.0**-11)
        own = product.score_multiplier(2.0**-11)
        assert product.token_costs(scores, own).tolist() == twin.costs(scores.tolist(), a, b)
        for k in (0, 1, 2, 7, 19, 20):
            chosen = set(np.flatnonzero(product.candidates(scores, k)).tolist())
            assert chosen == twin.drawable(scores.tolist(), k)


def test_costs_are_near_those_of_real_numbers():
    """The largest difference in bits over many rows of scores, and the share of lost tokens."""
    rng = np.random.default_rng(3)
    worst = 0.0
    for _ in range(200):
        scale = float(10 ** rng.uniform(-4.5, -2.5))
        scores = random_scores(rng, tokens=65, spread=2 / scale)
        z = scores * scale / math.log(2)
        real = np.log2(np.sum(np.exp2(z - z.max()))) - (z - z.max())
        got = product.token_costs(scores, product.score_multiplier(scale)) / 4096
        near = z.max() - z < 30
        error = np.abs(got - real)[near]
        assert (error <= 4e-4 + 2**-14 * 1.01 * (z.max() - z)[near]).all()
        worst = max(worst, float(error[(z.max() - z)[near] < 10].max()))
    assert worst < 1e-3  # bits, of tokens down to 1/1000 of the likeliest


def test_the_generator_is_the_published_one():
    assert tuple(islice(twin.numbers((1, 2, 3, 4)), len(PUBLISHED))) == PUBLISHED
    assert twin.mix(1) == 0x514E28B7  # of MurmurHash3
    for seed in (0, 1, 2, 12345, 2**31, 2**32 - 1):
        assert list(islice(random_numbers(seed), 300)) == list(islice(twin.numbers(seed), 300))


def test_draws_are_the_twin_s_and_have_their_probabilities():
    rng = np.random.default_rng(5)
    for seed in range(20):
        w = product.weights(rng.integers(0, 40000, int(rng.integers(2, 300))))
        w[rng.integers(w.size)] = 1 << 30
        one, other = random_numbers(seed), twin.numbers(seed)
        assert [drawn(w, one) for _ in range(20)] == [
            twin.draw(w.tolist(), other) for _ in range(20)
        ]
    w = np.array([1 << 30, 0, 1 << 29, 1 << 28, 3 << 26, 1 << 20])
    numbers = random_numbers(7)
    counts = np.bincount([drawn(w, numbers) for _ in range(20_000)], minlength=w.size)
    expected = 20_000 * w / w.sum()
    seen = expected > 0
    assert counts[1] == 0
    assert (((counts - expected)[seen]) ** 2 / expected[seen]).sum() < 20.5  # 0.1 % of 4 degrees


def test_the_largest_vocabulary_stays_within_its_bounds():
    scores = np.full(32_768, 77, dtype=np.int16)
    own = product.score_multiplier(1e-3)
    assert int(product.weights(product.distances(scores, own)).sum()) == 2**45
    assert set(product.token_costs(scores, own).tolist()) == {15 * 4096}
    scores[5:] = -32768
    assert product.token_costs(scores, own).max() <= 184_320
    counts = {drawn(np.full(32_768, 1 << 30), random_numbers(seed)) for seed in range(50)}
    assert len(counts) > 45
