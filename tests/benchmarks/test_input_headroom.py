"""The figures of the headroom benchmark where they are known, and the table that was decided by."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import input_headroom
from tests.support.models.float import float_model

DECISION = Path(__file__).parents[2] / "docs" / "decisions" / "0006-input-headroom.md"


def trial(test, target):
    model = float_model("gru_after", inputs=test.shape[2])
    return input_headroom.Trial(model=model, calibration=test, test=test, target=target)


def test_steps_are_beyond_for_a_day_after_a_reading_that_is():
    xs = np.zeros((1, 100, 2))
    xs[0, 30, 1] = 1.5
    beyond = input_headroom._recently_beyond(
        trial(xs, np.zeros((1, 100, 1))), np.full(2, -1.0), np.ones(2)
    )
    assert np.flatnonzero(beyond[0]).tolist() == list(range(30, 30 + input_headroom.RECENT_STEPS))


def test_windows_are_beyond_as_a_whole():
    xs = np.zeros((3, 60, 1))
    xs[1, 2] = 2.0
    beyond = input_headroom._recently_beyond(
        trial(xs, np.zeros((3, 1, 1))), -np.ones(1), np.ones(1)
    )
    assert beyond[:, -1].tolist() == [False, True, False]


def test_figures_by_hand():
    truth = np.array([[[1.0], [3.0], [1.0], [3.0]]])
    answer = truth + np.array([0.1, -0.1, 1.0, -1.0])[None, :, None]
    target = truth + 0.2
    beyond = np.array([[False, False, True, True]])
    found = input_headroom._figures(answer, truth, target, beyond)
    assert found["noise_within"] == pytest.approx(0.1)
    assert found["noise_beyond"] == pytest.approx(1.0)
    assert found["kept_within"] == pytest.approx(0.2 / np.sqrt((0.1**2 + 0.3**2) / 2))
    assert found["kept_beyond"] == pytest.approx(0.2 / np.sqrt((0.8**2 + 1.2**2) / 2))


def test_the_decision_rests_on_what_the_benchmark_wrote():
    results = json.loads(input_headroom.RESULTS.read_text(encoding="utf-8"))
    assert "\n".join(input_headroom.table(results)) in DECISION.read_text(encoding="utf-8")
