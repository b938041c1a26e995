"""Weight rounding with error feedback: never worse than plain rounding, often much better."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgernn_export.rounding import (
    covariance,
    expected_error,
    round_to_nearest,
    round_with_feedback,
)


def correlated(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns))


@pytest.mark.parametrize("seed", range(10))
def test_never_worse_than_plain_rounding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cov = covariance(correlated(rng, 500, 12))
    gain = rng.normal(size=(30, 12))
    step = np.broadcast_to(rng.uniform(0.01, 0.4, (30, 1)), gain.shape)
    fed = expected_error(round_with_feedback(gain, step, cov), gain, step, cov)
    plain = expected_error(round_to_nearest(gain, step), gain, step, cov)
    assert np.all(fed <= plain)


def test_halves_the_error_of_correlated_operands() -> None:
    rng = np.random.default_rng(1)
    cov = covariance(correlated(rng, 500, 24))
    gain = rng.normal(size=(50, 24))
    step = np.full(gain.shape, 0.2)
    fed = expected_error(round_with_feedback(gain, step, cov), gain, step, cov)
    plain = expected_error(round_to_nearest(gain, step), gain, step, cov)
    assert fed.sum() < 0.5 * plain.sum()


def test_comes_close_to_the_best_of_all_roundings() -> None:
    """Three columns: every rounding up or down is tried."""
    rng = np.random.default_rng(2)
    cov = covariance(correlated(rng, 200, 3))
    gain, step = rng.normal(size=(20, 3)), np.full((20, 3), 0.3)
    fed = expected_error(round_with_feedback(gain, step, cov), gain, step, cov)
    floor = np.floor(gain / step)
    every = [
        expected_error((floor + np.array(up)).astype(np.int8), gain, step, cov)
        for up in itertools.product((-1, 0, 1, 2), repeat=3)
    ]
    best = np.min(every, axis=0)
    assert np.all(fed >= best - 1e-12)
    assert fed.sum() < 1.6 * best.sum()


def test_expected_error_is_the_sample_variance_of_the_product() -> None:
    rng = np.random.default_rng(3)
    sample = correlated(rng, 4000, 5)
    cov = np.cov(sample.T, bias=True)
    gain, step = rng.normal(size=(7, 5)), np.full((7, 5), 0.25)
    weights = round_to_nearest(gain, step)
    measured = np.var(sample @ (weights * step - gain).T, axis=0)
    assert np.allclose(expected_error(weights, gain, step, cov), measured, rtol=1e-9)


def test_weights_stay_within_their_range_and_constant_operands_are_harmless() -> None:
    rng = np.random.default_rng(4)
    sample = correlated(rng, 300, 6)
    sample[:, 2] = 5.0
    gain = rng.normal(size=(9, 6)) * 100.0
    weights = round_with_feedback(gain, np.full((9, 6), 0.5), covariance(sample))
    assert weights.min() >= -127
    assert weights.max() <= 127
