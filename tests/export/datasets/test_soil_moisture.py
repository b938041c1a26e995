"""Soil moisture as a task: what is read, what is forecast, and the irrigation alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgernn.errors import DataUnavailable, DeclarationError, TrainingError
from edgernn_export.datasets import soil_moisture
from edgernn_export.datasets.series.irrigation_alarm import decided, lead_hours
from tests.support.training.soil_files import ROWS, drying, write_readings, write_record


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    return tmp_path


def test_inputs_and_targets_by_index(data: Path) -> None:
    probes = drying(seed=1)
    write_record(data, probes)
    task = soil_moisture()
    train, test = task.train, task.test
    end = int(0.7 * ROWS)
    assert train.x.shape == (2, end - 24, 7)
    for number, probe in enumerate(probes.T):
        wet, dry = np.quantile(probe[:end], [0.95, 0.05])
        wanted = [
            probe[100], probe[100] - probe[99], probe[100] - probe[94], probe[100] - probe[76],
            np.sin(2 * np.pi * 4 / 24), np.cos(2 * np.pi * 4 / 24), (wet + dry) / 2,
        ]  # fmt: skip
        np.testing.assert_allclose(train.x[number, 100], wanted, atol=1e-12)
        truth = [probe[101], probe[124], probe[124] - (wet + dry) / 2]
        np.testing.assert_allclose(train.target[number, 100], truth)
        np.testing.assert_array_equal(train.base[number, 100], [probe[100], probe[100], 0.0])
        first = int(0.85 * ROWS)  # the first target of the test part is its first row
        at = test.scored_from
        np.testing.assert_allclose(test.target[number, at, 0], probe[first])
        np.testing.assert_allclose(test.x[number, at, 0], probe[first - 1])
    assert np.max(train.target[..., 0]) <= probes[:end].max()
    replayed = task.files["replay.csv"].splitlines()
    assert replayed[0] == "time,probe,moisture,refill"
    assert len(replayed) == 1 + 2 * (24 + test.x.shape[1])
    begin = ROWS - 24 - test.x.shape[1]
    at_s = np.datetime64("2022-11-15") + np.timedelta64(begin, "h")
    refill = test.x[1, 0, -1]
    assert replayed[2] == f"{at_s}:00:00Z,SENS1,{float(probes[begin, 1])!r},{float(refill)!r}"
    assert test.counted.sum() == 2 * (ROWS - int(0.85 * ROWS) - 24 + 1)


def test_no_input_looks_ahead(data: Path) -> None:
    probes = drying(seed=2)
    write_record(data, probes)
    before = soil_moisture()
    later = int(0.9 * ROWS)
    changed = probes.copy()
    changed[later:] += 5.0
    write_record(data, changed)
    after = soil_moisture()
    np.testing.assert_array_equal(before.train.x, after.train.x)
    np.testing.assert_array_equal(before.target_scale, after.target_scale)
    known = later - (ROWS - 24 - before.test.x.shape[1])
    np.testing.assert_array_equal(before.test.x[:, :known], after.test.x[:, :known])
    assert not np.array_equal(before.test.x[:, known], after.test.x[:, known])


def test_scores_and_rules_without_a_model(data: Path) -> None:
    probes = drying(seed=3)
    write_record(data, probes)
    task = soil_moisture()
    part = task.test
    perfect = task.score(part.target - part.base, part)
    assert (perfect["mase"], perfect["mae_24h"], perfect["alarm_f1"]) == (0.0, 0.0, 1.0)
    scored = part.counted[0]
    now, later = part.x[..., 0], part.target[..., 1]
    still = task.score(task.naive["no change"], part)
    assert still["mae_24h"] == pytest.approx(np.mean(np.abs(later - now)[:, scored]))
    again = task.score(task.naive["the last change again"], part)
    change = part.x[..., 3]
    assert again["mae_24h"] == pytest.approx(np.mean(np.abs(later - now - change)[:, scored]))
    usual = np.mean(np.abs(task.train.target - task.train.base), axis=(0, 1))
    wanted = np.mean([still["mae_1h"] / usual[0], still["mae_24h"] / usual[1]])
    assert still["mase"] == pytest.approx(wanted)
    change = part.scored(part.target - part.base)
    dry = change[:, 1] <= 1.0
    assert 0 < np.sum(~dry) < np.sum(dry)
    mae = np.mean(np.abs(change[dry, :2]), axis=0)
    assert still["drying_mase"] == pytest.approx(np.mean(mae / usual[:2]))
    assert task.metric == "drying_mase"
    assert not task.rising


def test_alarms_have_a_delay_and_a_hysteresis() -> None:
    margin = np.array([[2.0, -1, -1, 2, -1, -1, -1, 0.5, 0.5, 0.5, 1.5, 1.5, 1.5, 1.5]])
    wanted = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0]
    np.testing.assert_array_equal(decided(margin)[0], np.array(wanted, bool))


def test_lead_hours_count_unbroken_alarms_before_the_bed_is_dry() -> None:
    def flags(*rows: str) -> Any:
        return np.array([[mark == "x" for mark in row] for row in rows])

    alarm = flags("..xx.xxxx", "......xxx", "xxxxxxxxx", "xxxxxxxxx")
    dry = flags(".......xx", "....xxxxx", "xxxxxxxxx", ".xx...xxx")
    counted = np.ones(dry.shape, bool)
    counted[:, 0] = False
    # On since hour 5, dry at 7; too late; dry from the start; dry twice, on since the start.
    assert lead_hours(alarm, dry, counted) == [2, 0, 1, 6]
    counted[3, :5] = False
    assert lead_hours(alarm, dry, counted) == [2, 0, 6]


def test_readings_of_users(tmp_path: Path) -> None:
    path = tmp_path / "garden.csv"
    write_readings(path, drying(seed=4), refill=12.0)
    task = soil_moisture(readings=str(path), zone="Europe/Berlin")
    assert task.train.x.shape[0] == 2
    np.testing.assert_array_equal(task.test.x[..., -1], 12.0)
    assert task.preparation is not None
    assert task.preparation.to_table()["steps"][-1]["zone"] == "Europe/Berlin"
    write_readings(path, drying(seed=4))
    halfway = soil_moisture(readings=str(path)).test.x[:, 0, -1]
    assert 5.0 < halfway[0] < 40.0
    assert halfway[0] != halfway[1]


def test_readings_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "garden.csv"
    with pytest.raises(TrainingError, match=r"expected a CSV file, got .* does not exist"):
        soil_moisture(readings=str(path))
    with pytest.raises(DeclarationError, match="Middle/Earth"):
        soil_moisture(readings=str(path), zone="Middle/Earth")
    path.write_text("time,moisture\n2026-01-01,3\n", encoding="utf-8")
    with pytest.raises(DataUnavailable, match="time, probe and moisture, got no probe"):
        soil_moisture(readings=str(path))
    path.write_text("time,probe,moisture\n", encoding="utf-8")
    with pytest.raises(DataUnavailable, match="expected readings below the header, got none"):
        soil_moisture(readings=str(path))
    write_readings(path, drying(seed=5)[:200])
    with pytest.raises(DataUnavailable, match="probe A: expected at least 336 hours, got 200"):
        soil_moisture(readings=str(path))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:100] + lines[160:]), encoding="utf-8")
    with pytest.raises(DataUnavailable, match="probe A: expected gaps shorter than 24 h"):
        soil_moisture(readings=str(path))
