"""The accuracy benchmark's tasks, on small files of the formats they read."""

import numpy as np
import pytest

from benchmarks.accuracy.tasks import TASKS
from tests.support.training.data_files import write_hapt, write_xz
from tests.support.training.forecast_series import series, splits_of


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    return tmp_path


def test_hapt_subjects_are_apart(data):
    write_hapt(data, [[7, 2, 1, 1, 400], [8, 5, 2, 1, 400]])
    splits = TASKS["hapt"].load()
    assert set(np.unique(splits.test.target)) == {0.0}
    assert set(np.unique(splits.train.target)) == {1.0}
    assert len(splits.test.scored(splits.test.x)) == len(splits.test.x)


def test_soil_task_sees_its_probe_and_the_mean_of_all(data):
    rng = np.random.default_rng(3)
    probes = np.stack([series(rng, 1000) for _ in range(2)], axis=1)
    lines = [f"d,h,{','.join(map(repr, row))}" for row in probes.tolist()]
    path = data / "soil_moisture_simpact/sopivot+idx.csv.xz"
    write_xz(path, "\n".join(["day,hour,A,B", *lines]) + "\n")
    splits = TASKS["soil_24h"].load()
    train = splits.train
    assert train.x.shape == (2, 700 - 24, 5)
    np.testing.assert_array_equal(train.x[1, :, 4], probes[: 700 - 24, 1])
    np.testing.assert_allclose(
        train.x[0, 1:, 2], np.diff(probes.mean(axis=1))[: 700 - 25], atol=1e-12
    )
    np.testing.assert_array_equal(train.target[1, :, 0], probes[24:700, 1])
    assert splits.test.scored(splits.test.target).shape == (2 * (150 - 24 + 1), 1)


@pytest.mark.parametrize("name", ["etth1", "soil_1h", "soil_24h"])
def test_forecast_score_adds_the_present_value(name):
    splits = splits_of(series(np.random.default_rng(4))[:, None])
    exact = splits.test.target - splits.test.base
    assert TASKS[name].score(exact, splits.test, splits)["mae"] == pytest.approx(0.0, abs=1e-12)
    silent = TASKS[name].score(np.zeros_like(exact), splits.test, splits)
    naive = TASKS[name].score_prediction(splits.naive["last value"], splits.test, splits)
    assert silent == naive
