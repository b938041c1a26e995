"""Metrics of the accuracy benchmark against figures worked out by hand."""

import math

import numpy as np
import pytest

from benchmarks.accuracy.metrics import kept
from edgernn_export.datasets import splits as parts
from edgernn_export.datasets.dataset import accuracy, forecast_errors


def small_part(target, scored_from=1):
    target = np.array(target, dtype=float)
    return parts.Part(
        x=np.zeros((*target.shape[:2], 1)),
        target=target,
        base=np.zeros_like(target),
        scored_from=scored_from,
    )


def test_errors_by_hand_without_the_warm_up():
    part = small_part([[[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]])
    prediction = np.array([[[9.0, 9.0], [2.0, 2.0], [3.0, 0.0]]])
    scores = forecast_errors(prediction, part, np.array([1.0, 2.0]))
    assert scores == {
        "mse": pytest.approx(5 / 4),
        "rmse": pytest.approx(math.sqrt(5 / 4)),
        "mae": pytest.approx(3 / 4),
    }


def test_accuracy_by_hand():
    part = small_part([[[1.0], [1.0]], [[0.0], [0.0]], [[2.0], [2.0]], [[2.0], [2.0]]])
    logits = np.zeros((4, 2, 3))
    logits[:, 0] = [9.0, 0.0, 0.0]
    logits[:, 1] = [[0, 1, 0], [-1, -2, -3], [0, 0, 5], [1, 0, 0]]
    assert accuracy(logits, part) == {"accuracy": 0.75}


@pytest.mark.parametrize(
    ("metric", "original", "integer", "share"),
    [("accuracy", 0.9, 0.45, 0.5), ("mse", 0.9, 1.8, 0.5), ("mae", 0.9, 0.45, 2.0)],
)
def test_kept(metric, original, integer, share):
    assert kept(metric, original, integer) == pytest.approx(share)
