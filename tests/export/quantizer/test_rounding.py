"""Weight rounding with error feedback: never worse than plain rounding, often much better."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgernn_export.quantizer.weights.rounding import (
    Moments,
    expected_error,
    round_to_nearest,
    round_with_feedback,
)


def correlated(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns))


@pytest.mark.parametrize("seed", range(10))
def test_never_worse_than_plain_rounding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    moments = Moments.of([correlated(rng, 500, 12)])
    cov = moments.covariance
    gain = rng.normal(size=(30, 12))
    step = np.broadcast_to(rng.uniform(0.01, 0.4, (30, 1)), gain.shape)
    fed = expected_error(round_with_feedback(gain, step, moments), gain, step, cov)
    plain = expected_error(round_to_nearest(gain, step), gain, step, cov)
    assert np.all(fed <= plain)


def test_halves_the_error_of_correlated_operands() -> None:
    rng = np.random.default_rng(1)
    moments = Moments.of([correlated(rng, 500, 24)])
    cov = moments.covariance
    gain = rng.normal(size=(50, 24))
    step = np.full(gain.shape, 0.2)
    fed = expected_error(round_with_feedback(gain, step, moments), gain, step, cov)
    plain = expected_error(round_to_nearest(gain, step), gain, step, cov)
    assert fed.sum() < 0.5 * plain.sum()


def test_comes_close_to_the_best_of_all_roundings() -> None:
    """Three columns: every rounding up or down is tried."""
    rng = np.random.default_rng(2)
    moments = Moments.of([correlated(rng, 200, 3)])
    cov = moments.covariance
    gain, step = rng.normal(size=(20, 3)), np.full((20, 3), 0.3)
    fed = expected_error(round_with_feedback(gain, step, moments), gain, step, cov)
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
    weights = round_with_feedback(gain, np.full((9, 6), 0.5), Moments.of([sample]))
    assert weights.min() >= -127
    assert weights.max() <= 127


def column_by_column(gain: np.ndarray, step: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """GPTQ as published, one column and one update of all later columns at a time."""
    order = np.argsort(-np.diag(cov), kind="stable")
    upper = np.linalg.cholesky(np.linalg.inv(cov[np.ix_(order, order)])).T
    wanted = gain[:, order]
    weights = np.zeros(gain.shape)
    for j, column in enumerate(order):
        weights[:, column] = np.clip(np.rint(wanted[:, j] / step[:, column]), -127, 127)
        weights[gain[:, column] == 0, column] = 0
        left = (wanted[:, j] - weights[:, column] * step[:, column]) / upper[j, j]
        wanted[:, j:] -= np.outer(left, upper[j, j:])
    return weights


@pytest.mark.parametrize("columns", [63, 64, 65, 150])
def test_errors_reach_the_columns_of_other_blocks(columns: int) -> None:
    rng = np.random.default_rng(columns)
    moments = Moments.of([correlated(rng, 1000, columns)])
    gain = rng.normal(size=(20, columns))
    gain[rng.random(gain.shape) < 0.1] = 0.0
    step = np.broadcast_to(rng.uniform(0.1, 0.3, (20, 1)), gain.shape)
    wanted = column_by_column(gain, step, moments.covariance)
    fed = expected_error(wanted, gain, step, moments.covariance)
    plain = expected_error(round_to_nearest(gain, step), gain, step, moments.covariance)
    better = fed <= plain
    assert better.sum() > 15
    assert np.array_equal(round_with_feedback(gain, step, moments)[better], wanted[better])


def test_moments_are_those_of_all_samples_side_by_side() -> None:
    rng = np.random.default_rng(5)
    x = np.rint(correlated(rng, 10_000, 3) * 20.0).astype(np.int16)
    h = np.rint(correlated(rng, 10_000, 5) * 9.0 + 100.0).astype(np.int16)
    both = np.concatenate([x, h], axis=1).astype(np.float64)
    moments = Moments.of([x, h])
    assert np.allclose(moments.mean, both.mean(axis=0), rtol=1e-12)
    assert np.allclose(moments.variation, np.cov(both.T, bias=True), rtol=1e-9, atol=1e-9)
    damped = moments.covariance - moments.variation
    assert np.allclose(damped, np.eye(8) * (0.01 * np.diag(moments.variation).mean() + 1e-9))


def test_moments_of_codes_are_the_same_bits_in_any_order() -> None:
    rng = np.random.default_rng(6)
    codes = rng.integers(-16384, 16385, (9000, 40)).astype(np.int16)
    codes[:, 7] = 16384
    there, back = Moments.of([codes]), Moments.of([codes[::-1]])
    assert np.array_equal(there.mean, back.mean)
    assert np.array_equal(there.variation, back.variation)
    assert there.mean[7] == 16384.0
    assert not there.variation[7].any()
