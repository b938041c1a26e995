"""Windows and folds of a stream: what a session sees, and in which order it is learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import edgernn
from edgernn.errors import TrainingError
from edgernn_export import quantize
from edgernn_export.training import walk_forward, windows

RNG = np.random.default_rng(8)
STREAM = RNG.normal(size=(60, 2))


@pytest.fixture(scope="module")
def network() -> Any:
    import keras

    keras.utils.set_random_seed(4)
    layers = [keras.Input((7, 2)), keras.layers.GRU(5), keras.layers.Dense(2)]
    return keras.Sequential(layers)


@pytest.mark.tf
@pytest.mark.parametrize("pad", [False, True])
@pytest.mark.parametrize("hop", [1, 3, 7, 9])
def test_windows_are_those_that_a_session_answers(network, hop, pad):
    model = quantize(network, STREAM, hop=hop, progress=False)
    examples = windows(STREAM, 7, hop=hop, pad=pad)
    with edgernn.load(model, warm_up="pad" if pad else "nothing") as session:
        ys = session.run(STREAM)
    answers = edgernn.run_many(model, examples.x, last=True)
    np.testing.assert_array_equal(answers, ys[examples.ends])
    # Between two ends a session says again what it said, and nothing before the first.
    held = np.full(len(STREAM), -1)
    held[examples.ends] = np.arange(len(examples.ends))
    held = np.maximum.accumulate(held)
    np.testing.assert_array_equal(ys[held >= 0], answers[held[held >= 0]])
    assert np.isnan(ys[held < 0]).all()


def test_targets_lie_a_horizon_after_their_windows():
    examples = windows(STREAM[:, 0], 4, hop=2, horizon=3, targets=np.arange(60))
    assert examples.x.shape == (27, 4, 1)
    for x, end, y in zip(examples.x, examples.ends, examples.y, strict=True):
        assert y == end + 3
        np.testing.assert_array_equal(x[:, 0], STREAM[end - 3 : end + 1, 0])
    assert windows(STREAM, 4, targets=STREAM).y.shape == (57, 2)
    assert windows(STREAM, 60).ends.tolist() == [59]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"window": 0}, "windows window: expected a whole number >= 1, got 0"),
        ({"window": 40_000}, "windows window: expected at most 32767"),
        ({"hop": 1.5}, "windows hop: expected a whole number >= 1, got 1.5"),
        ({"horizon": -1}, "windows horizon: expected a whole number >= 0, got -1"),
        ({"window": 58, "horizon": 3}, "expected at least 61 readings for a window of 58"),
        ({"targets": np.arange(59)}, r"windows targets: expected \[60\] or \[60, O\]"),
        ({"stream": STREAM[None]}, r"stream: expected numbers \[T, I\] or \[T\]"),
        ({"stream": np.array(["a"])}, "stream: expected numbers"),
        ({"stream": np.array([1.0, np.nan])}, "stream: expected finite values, got 1 NaN"),
    ],
)
def test_windows_that_cannot_be_cut(change, words):
    with pytest.raises(TrainingError, match=words):
        windows(**{"stream": STREAM, "window": 4, **change})


@pytest.mark.parametrize("gap", [0, 4])
def test_expanding_folds_are_those_of_scikit_learn(gap):
    pytest.importorskip("sklearn")
    from sklearn.model_selection import TimeSeriesSplit

    split = TimeSeriesSplit(n_splits=4, test_size=10, gap=gap)
    folds = walk_forward(60, 20 - gap, 10, gap=gap, expanding=True)
    for (train, test), (own_train, own_test) in zip(split.split(STREAM), folds, strict=True):
        np.testing.assert_array_equal(train, own_train)
        np.testing.assert_array_equal(test, own_test)


def test_folds_walk_forward():
    folds = walk_forward(30, 10, 4, step=5, gap=2)
    assert [(a[0], a[-1], b[0], b[-1]) for a, b in folds] == [
        (0, 9, 12, 15),
        (5, 14, 17, 20),
        (10, 19, 22, 25),
    ]
    assert [list(test) for _, test in walk_forward(9, 3, 2)] == [[3, 4], [5, 6], [7, 8]]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"n": 12}, "expected at least 13 rows .train 10, gap 0, test 3., got 12"),
        ({"train": 0}, "walk_forward train: expected a whole number >= 1"),
        ({"step": 0}, "walk_forward step: expected a whole number >= 1"),
        ({"gap": -1}, "walk_forward gap: expected a whole number >= 0"),
    ],
)
def test_folds_that_cannot_be_made(change, words):
    with pytest.raises(TrainingError, match=words):
        walk_forward(**{"n": 30, "train": 10, "test": 3, **change})
