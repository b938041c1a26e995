"""The benchmark of a head that learns: its series, when true values come, and what it compares."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.adaptation import run
from benchmarks.adaptation.tasks import AFTER_STEPS, RAMP_STEPS, TASKS, _forecast
from edgernn.adapt.adaptation import Adaptation
from edgernn.adapt.integer_head import IntegerHead


def recorded(steps, gain=1.5, offset=4000.0):
    rng = np.random.default_rng(0)
    states = np.clip(rng.normal(0, 9000, (steps, 16)), -32768, 32767).astype(np.int16)
    codes = np.rint(states[:, :4].mean(axis=1, keepdims=True)).astype(np.int16)
    targets = np.rint(gain * codes + offset).astype(np.int64)
    return run.Recorded(states=states, codes=codes, targets=targets)


def test_heads_and_refitted_heads_follow_a_drift():
    of = recorded(1500)
    plain = np.abs(of.targets - of.codes).mean()
    head = IntegerHead(Adaptation(rate=0.2), 16, 1)
    learned = np.abs(run.adapted(head, of, 0))
    assert learned[-300:].mean() < 0.1 * plain
    assert np.abs(run.refitted(of, 0))[-300:].mean() < 0.1 * plain
    weights = head.weights.copy()
    run.adapted(head, of, 0, learns=False)
    np.testing.assert_array_equal(head.weights, weights)


@pytest.mark.parametrize("horizon", [0, 24])
def test_no_method_sees_a_true_value_early(horizon):
    of, other = recorded(600), recorded(600)
    other.targets[300:] = -of.targets[300:]
    for method in (
        lambda one: run.adapted(IntegerHead(Adaptation(delay=horizon), 16, 1), one, horizon),
        lambda one: run.refitted(one, horizon),
    ):
        outputs = [one.targets[:, 0] - method(one) for one in (of, other)]
        same = 300 + horizon
        np.testing.assert_allclose(outputs[0][:same], outputs[1][:same], atol=1e-6)
        assert np.abs(outputs[0][same + 60 :] - outputs[1][same + 60 :]).max() > 100


@pytest.mark.parametrize("name", ["gain and offset", "season"])
def test_made_up_series_change_in_the_new_regime_alone(name):
    task = TASKS[name](0)
    assert len(task.new[0][0]) == AFTER_STEPS
    assert task.settled > RAMP_STEPS
    errors = []
    x, y = task.train[0]
    fit = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0]
    for u, v in (*task.train, *task.old, *task.new):
        errors.append(np.std(v - np.c_[u, np.ones(len(u))] @ fit))
    assert errors[1] < 1.2 * errors[0]
    assert errors[2] > 1.1 * errors[0]


def test_forecasts_are_of_the_change_in_a_day():
    values = np.arange(200.0) ** 2
    readings, changes = _forecast(values, 30, 100)
    assert (readings.shape, changes.shape) == ((70, 2), (70,))
    assert changes[0] == values[30 + 24] - values[30]
    assert readings[0].tolist() == [values[30] - values[29], values[30] - values[7:31].mean()]
