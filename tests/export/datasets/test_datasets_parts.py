"""Parts and features of forecasts: targets by index, causality, no leakage."""

from dataclasses import replace

import numpy as np
import pytest

from edgernn_export.datasets import Part, class_part
from edgernn_export.datasets import splits as parts
from tests.support.training.forecast_series import ROWS, series, splits_of


def test_level_free_by_hand():
    values = np.array([[1.0], [3.0], [8.0], [2.0]])
    np.testing.assert_allclose(
        parts.level_free(values, 2), [[0, 0], [2, 1], [5, 2.5], [-6, -3]], atol=1e-12
    )


@pytest.mark.parametrize("at", [0, 30, ROWS - 1])
def test_features_are_causal(at):
    rng = np.random.default_rng(at)
    values = rng.normal(size=(ROWS, 3))
    changed = values.copy()
    changed[at:] += rng.normal(size=changed[at:].shape)
    before, after = parts.level_free(values, 24), parts.level_free(changed, 24)
    np.testing.assert_array_equal(before[:at], after[:at])
    assert np.all(before[at] != after[at]) or at == 0


def test_targets_bases_and_naive_rules_by_index():
    values = np.arange(float(ROWS))[:, None]
    splits = splits_of(values)
    for part, first, last in (
        (splits.train, 1, 199),
        (splits.validation, 200, 299),
        (splits.test, 300, 399),
    ):
        target, base = part.scored(part.target), part.scored(part.base)
        np.testing.assert_array_equal(target[0], [first, first + 1, first + 2])
        assert target.max() == last
        np.testing.assert_array_equal(base, np.repeat(target[:, :1] - 1, 3, axis=1))
        assert part.x.shape[1] == part.target.shape[1] == part.base.shape[1]
    np.testing.assert_array_equal(splits.naive["last value"], splits.test.base)
    season = splits.naive["value 24 h before the target"]
    np.testing.assert_array_equal(season, splits.test.target - 24)


def test_streams_of_unequal_length_count_up_to_their_ends():
    steps = np.broadcast_to(np.arange(4.0)[:, None], (3, 4, 1))
    lengths = np.array([4, 1, 3])
    part = Part(x=steps, target=steps, base=steps, scored_from=1, lengths=lengths)
    assert part.scored(steps)[:, 0].tolist() == [1, 2, 3, 1, 2]
    assert replace(part, last_only=True).scored(steps)[:, 0].tolist() == [3, 0, 2]
    assert replace(part, lengths=None).scored(steps)[:, 0].tolist() == [1, 2, 3] * 3
    assert class_part(steps, lengths, 5, lengths).scored(steps)[:, 0].tolist() == [3, 0, 2]


def test_parts_do_not_share_targets():
    splits = splits_of(np.arange(float(ROWS))[:, None])
    rows = [set(p.scored(p.target).ravel()) for p in (splits.train, splits.validation, splits.test)]
    assert not rows[0] & rows[1]
    assert not rows[1] & rows[2]


def test_statistics_come_from_the_train_part_alone():
    values = series(np.random.default_rng(1))[:, None]
    changed = values.copy()
    changed[200:] *= 1e3
    one, other = splits_of(values), splits_of(changed)
    np.testing.assert_array_equal(one.train.x, other.train.x)
    np.testing.assert_array_equal(one.train.target, other.train.target)
    np.testing.assert_array_equal(one.target_scale, other.target_scale)
    np.testing.assert_array_equal(one.metric_scale, other.metric_scale)
    assert one.metric_scale[0] == pytest.approx(np.std(values[:200]))


def test_season_shorter_than_a_horizon_is_refused():
    with pytest.raises(ValueError, match=r"expected at most 24 .*got 25"):
        splits_of(np.zeros((ROWS, 1)), horizons=(25,))


def test_side_by_side_keeps_streams_apart():
    rng = np.random.default_rng(2)
    alone = [splits_of(series(rng)[:, None], standardise=False) for _ in range(3)]
    joined = parts.side_by_side(alone)
    for b, splits in enumerate(alone):
        np.testing.assert_array_equal(joined.test.x[b], splits.test.x[0])
        np.testing.assert_array_equal(joined.validation.target[b], splits.validation.target[0])
        np.testing.assert_array_equal(joined.naive["last value"][b], splits.test.base[0])
    spread = np.concatenate([s.train.target - s.train.base for s in alone]).std()
    assert joined.target_scale == pytest.approx(spread)
