"""The demo's record: causal filling, targets, rules, and parts that do not leak into each other."""

import csv

import numpy as np
import pytest

from edgernn.errors import CalibrationError
from edgernn_export.demo.data import HORIZON_WEEKS, from_levels, write_sample
from edgernn_export.demo.forecaster import score, windows


def record_of(level):
    level = np.asarray(level, dtype=np.float64)
    week = np.datetime64("2000-01-01") + 7 * np.arange(len(level))
    return from_levels(week, level)


@pytest.fixture
def ramp():
    """Level t in week t: every change is 1, every target the horizon."""
    return record_of(np.arange(1001))


def test_a_missing_week_repeats_the_last_level():
    record = record_of([1.0, 2.0, np.nan, np.nan, 5.0])
    assert record.level.tolist() == [2.0, 2.0, 2.0, 5.0]
    assert record.change.tolist() == [1.0, 0.0, 0.0, 3.0]
    assert record.filled_weeks == 2


def test_filling_uses_no_future_value():
    level = np.sin(np.arange(100.0))
    level[[7, 40, 41]] = np.nan
    for cut in range(50, 100):
        assert np.array_equal(record_of(level[:cut]).level, record_of(level).level[: cut - 1])


def test_first_week_must_be_measured():
    with pytest.raises(CalibrationError, match="expected a level in the first week, got NaN"):
        record_of([np.nan, 1.0])


def test_target_is_the_change_over_the_horizon(ramp):
    assert set(ramp.target[:-HORIZON_WEEKS]) == {HORIZON_WEEKS}
    assert np.isnan(ramp.target[-HORIZON_WEEKS:]).all()


def test_rules(ramp):
    level = np.cos(2 * np.pi * np.arange(521) / 52) + 0.01 * np.arange(521)
    season = record_of(level)
    known = slice(52, len(season.level) - HORIZON_WEEKS)
    assert season.seasonal_naive()[known] == pytest.approx(season.target[known])
    assert np.isnan(season.seasonal_naive()[:52]).all()
    assert score(ramp, ramp.persistence(), ramp.test).rmse_ppm == HORIZON_WEEKS


def test_seasonal_rule_sees_only_what_is_past():
    level = np.random.default_rng(0).normal(size=400)
    whole = record_of(level).seasonal_naive()
    for cut in range(120, 400, 7):
        assert record_of(level[:cut]).seasonal_naive()[-1] == whole[cut - 2]


def test_parts_do_not_overlap_and_targets_stay_inside(ramp):
    assert ramp.train_weeks == ramp.validation.start
    assert ramp.validation.stop + HORIZON_WEEKS <= ramp.test.start
    assert ramp.test.stop + HORIZON_WEEKS == len(ramp.level)


def test_training_windows_see_nothing_after_the_training_part():
    level = np.random.default_rng(1).normal(size=1000)
    record = record_of(level)
    changed = level.copy()
    changed[record.train_weeks + 1 :] = 1e6  # level t of the record is level t + 1 here
    for kept, other in zip(windows(record), windows(record_of(changed)), strict=True):
        assert np.array_equal(kept, other)


def test_score_is_in_ppm(ramp):
    forecast = ramp.target + np.where(np.arange(len(ramp.level)) % 2, 3.0, -4.0)
    found = score(ramp, forecast, slice(0, 100))
    assert found.rmse_ppm == pytest.approx(np.sqrt(12.5))
    assert found.mae_ppm == pytest.approx(3.5)


def test_sample_holds_the_last_readings(ramp, tmp_path):
    path = write_sample(ramp, tmp_path / "sample.csv")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 208
    assert rows[-1] == {"week": str(ramp.week[-1]), "co2_level": "1000.0", "co2_change": "1.0"}
