"""Turbofan engines: targets, parts, missing readings and scores, on small files."""

import lzma

import numpy as np
import pytest

from edgernn.errors import DataUnavailable, TrainingError
from edgernn_export.datasets import turbofan
from edgernn_export.datasets.machines.cmapss_life import nasa_score, read_engines
from tests.support.training.data_files import write_xz
from tests.support.training.machine_files import write_cmapss

TRAIN = (40, 45, 50, 55, 60, 42, 44)


def read_lines(path):
    with lzma.open(path, "rt") as file:
        return file.read().splitlines()


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGERNN_DATA", str(tmp_path))
    write_cmapss(tmp_path, train=TRAIN, test=(31, 38), left=(20, 3))
    return tmp_path


def test_engines_count_down_and_every_fifth_validates(data):
    task = turbofan(most="25")
    assert task.train.steps.tolist() == [40, 45, 50, 55, 42, 44]
    assert task.validation.steps.tolist() == [60]
    first = task.train.target[0, :40, 0]
    np.testing.assert_array_equal(first, np.minimum(np.arange(39, -1, -1), 25))
    # Validation counts from cycle 31 on, the test at the last cycle alone.
    assert task.validation.counted.sum() == 60 - 30
    np.testing.assert_array_equal(task.test.scored(task.test.target)[:, 0], [20, 3])
    assert task.test.target[0, 0, 0] == 25  # 50 cycles left, clipped
    assert task.target_scale == np.std(task.train.target[task.train.present])


def test_the_sensors_that_change_are_read(data):
    text = read_lines(data / "cmapss/train_FD001.txt.xz")[0].split()
    sensors = [text[4 + n] for n in (2, 3, 4, 7, 8, 9, 11, 12, 13, 14, 15, 17, 20, 21)]
    assert turbofan().train.x[0, 0].tolist() == [float(value) for value in sensors]


@pytest.mark.parametrize("word", ["NA", "'N/A'", "NAN", "None"])
def test_a_missing_reading_is_the_one_before(data, word):
    path = data / "cmapss/train_FD001.txt.xz"
    whole = read_engines("train_FD001.txt")
    lines = read_lines(path)
    cells = lines[7].split()
    cells[4 + 3] = word
    lines[7] = " ".join(cells)
    write_xz(path, "\n".join(lines))
    held = read_engines("train_FD001.txt")
    expected = whole[0].copy()
    expected[7, 1] = expected[6, 1]
    for got, wanted in zip(held, [expected, *whole[1:]], strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[1:], "expected units 1, 2, ... with cycles 1, 2"),
        (lambda lines: [lines[0].replace(" ", " NA ", 3), *lines[1:]], "expected 26 numbers in"),
        (lambda lines: [" ".join(["1", "1", *["NA"] * 24]), *lines[1:]], "all sensors at cycle 1"),
        (lambda lines: [lines[0] + "x", *lines[1:]], "expected lines of numbers, got could not"),
        (lambda lines: [], "expected 26 numbers in every line, got"),
    ],
)
def test_damaged_files_are_refused(data, change, message):
    path = data / "cmapss/train_FD001.txt.xz"
    write_xz(path, "\n".join(change(read_lines(path))))
    with pytest.raises(DataUnavailable, match=message):
        turbofan()


def test_a_missing_file_says_where_it_is_from(data):
    (data / "cmapss/RUL_FD001.txt.xz").unlink()
    with pytest.raises(DataUnavailable, match=r"cmapss/RUL_FD001.txt .*NASA .*US government"):
        turbofan()


@pytest.mark.parametrize("most", ["0", "-3", "many", "nan", "inf"])
def test_limits_that_are_none_are_refused(data, most):
    with pytest.raises(TrainingError, match="most: expected a number of cycles above 0"):
        turbofan(most=most)


def test_scores_by_hand(data):
    task = turbofan(most="15")  # the truth of the first test engine, 20, is clipped
    output = np.zeros_like(task.test.target)
    output[0, 30], output[1, 37] = 28.0, 3.0 - 13.0
    scores = task.score(output, task.test)
    assert scores["rmse"] == pytest.approx(np.sqrt((13**2 + 13**2) / 2))
    assert scores["rmse_unclipped"] == pytest.approx(np.sqrt((8**2 + 13**2) / 2))
    assert scores["nasa_score"] == pytest.approx(np.e**1.3 - 1 + np.e - 1)
    assert nasa_score(np.zeros(3)) == 0.0
    assert "rmse_unclipped" not in task.score(task.train.target * 0, task.train)


def test_naive_rules_read_no_sensor(data):
    task = turbofan(most="25")
    mean, age = task.naive.values()
    learnt = [np.minimum(np.arange(n), 25) for n in (40, 45, 50, 55, 42, 44)]
    np.testing.assert_allclose(mean, np.mean(np.concatenate(learnt)), rtol=1e-12)
    life = np.mean(TRAIN)
    assert age[0, 30, 0] == pytest.approx(np.clip(life - 31, 0, 25))
