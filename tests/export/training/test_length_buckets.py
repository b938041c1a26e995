"""Batches of sequences of about one length: what they hold, and what training makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.errors import TrainingError
from edgernn_export.training import length_buckets

keras = pytest.importorskip("keras", reason="pip install 'edgernn[export]'")
pytestmark = pytest.mark.tf


def sequences(count=37, low=3, high=40, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(int(n), 2)) for n in rng.integers(low, high, count)]


def test_every_sequence_is_in_one_batch_of_its_length():
    xs = sequences()
    batches = length_buckets(xs, np.arange(len(xs)), batch=8, mask=-9.0, seed=1)
    assert len(batches) == 5
    seen, padding, steps = [], 0, 0
    for x, y in (batches[i] for i in range(len(batches))):
        assert (x.dtype, x.shape[0], x.shape[2]) == (np.float32, len(y), 2)
        for row, number in zip(x, y, strict=True):
            length = len(xs[number])
            assert np.array_equal(row[:length], xs[number].astype(np.float32))
            assert (row[length:] == -9.0).all()
            padding, steps = padding + len(row) - length, steps + len(row)
        seen += y.tolist()
    assert sorted(seen) == list(range(len(xs)))
    assert padding < 0.2 * steps  # of batches in the given order, 0.45


def test_epochs_differ_and_a_seed_repeats_them():
    xs = sequences()
    first, second = (length_buckets(xs, np.arange(len(xs)), batch=8, seed=3) for _ in range(2))
    before = [first[i][1].tolist() for i in range(len(first))]
    assert before == [second[i][1].tolist() for i in range(len(second))]
    first.on_epoch_end()
    assert before != [first[i][1].tolist() for i in range(len(first))]


def test_targets_of_each_reading_have_weights():
    xs = sequences(count=6)
    ys = [x.sum(axis=1, keepdims=True).astype(np.float32) for x in xs]
    x, y, weight = length_buckets(xs, ys, batch=6, mask=-9.0)[0]
    assert y.shape == (*x.shape[:2], 1) and weight.shape == x.shape[:2]
    assert np.array_equal(weight == 0.0, (x == -9.0).all(axis=2))
    assert np.abs((x.sum(axis=2) - y[..., 0]) * weight).max() < 1e-5


def test_padding_does_not_change_what_a_network_learns():
    """One batch of padded sequences and the mean of the sequences alone: one loss."""
    xs = sequences(count=5)
    ys = np.arange(5, dtype=np.float32)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((None, 2)), layers.Masking(-9.0), layers.GRU(3), layers.Dense(1)]
    )
    model.compile(loss="mse")
    together = model.evaluate(length_buckets(xs, ys, batch=5, mask=-9.0), verbose=0)
    assert together == pytest.approx(np.square(model_errors(model, xs, ys)).mean(), rel=1e-4)


def model_errors(model, xs, ys):
    return [float(model(x[None].astype(np.float32))[0, 0]) - y for x, y in zip(xs, ys, strict=True)]


def test_tokens_are_padded_with_0():
    xs = [np.array([3, 1, 2]), np.array([4])]
    x, y = length_buckets(xs, np.array([0, 1]), batch=2)[0]
    assert x.dtype == np.int32
    assert sorted(x.tolist()) == [[3, 1, 2], [4, 0, 0]] and len(y) == 2


@pytest.mark.parametrize(
    ("xs", "ys", "match"),
    [
        ([], [], "expected sequences"),
        ([np.ones((3, 2)), np.empty((0, 2))], [0, 1], "1 empty"),
        ([np.ones((3, 2))], [0, 1], "targets for 1 sequences"),
        ([np.zeros((3, 2))], [0], "masks reading 0 of sequence 0. Use another mask_value"),
        ([np.array([1, 0, 2])], [0], "or number tokens from 1"),
    ],
)
def test_refused(xs, ys, match):
    with pytest.raises(TrainingError, match=match):
        length_buckets(xs, ys)
