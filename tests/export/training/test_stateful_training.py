"""Truncated backpropagation through time: states carried, states reset, gradients limited."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgernn.errors import TrainingError
from edgernn_export.training import clipping, cut_pieces, fit_stateful, stateful_batches
from edgernn_export.training.recipe import Training
from edgernn_export.training.streams.copies import reset_lanes, stateful_copy

RNG = np.random.default_rng(2)
#: Streams of unequal lengths.
STREAMS = [RNG.normal(size=(length, 2)) for length in (23, 8, 5, 14)]
TARGETS = [np.tanh(x.cumsum(axis=0)[:, :1] * 0.3) for x in STREAMS]


def small() -> Any:
    """One layer, which Keras compiles in a second."""
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    chain = [keras.Input((None, 2)), layers.SimpleRNN(3, return_sequences=True), layers.Dense(1)]
    return keras.Sequential(chain)


def network(functional: bool = False, stateful_batch: int | None = None) -> Any:
    import keras

    keras.utils.set_random_seed(1)
    stateful = stateful_batch is not None
    first = keras.Input(batch_shape=(stateful_batch, 6 if stateful else None, 2))
    chain = [
        keras.layers.Normalization(mean=[0.1, -0.2], variance=[1.0, 4.0]),
        keras.layers.LSTM(4, return_sequences=True, stateful=stateful),
        keras.layers.GRU(3, return_sequences=True, stateful=stateful),
        keras.layers.Dense(1),
    ]
    if not functional:
        return keras.Sequential([first, *chain])
    value = first
    for layer in chain:
        value = layer(value)
    return keras.Model(first, value)


@pytest.mark.parametrize("lanes", [1, 2, 3, 9])
def test_every_reading_of_every_stream_is_in_one_batch(lanes):
    pieces = cut_pieces(STREAMS, TARGETS, steps=6, lanes=lanes)
    lanes = min(lanes, len(pieces.x))
    seen: list[list[np.ndarray]] = [[] for _ in range(lanes)]
    whole: list[np.ndarray] = []
    for batch in stateful_batches(pieces, steps=6, lanes=lanes):
        assert batch.x.shape == (lanes, 6, 2)
        for lane in range(lanes):
            if batch.begins[lane] and seen[lane]:
                whole.append(np.concatenate(seen[lane]))
                seen[lane] = []
            counted = batch.weight[lane] > 0
            seen[lane].append(np.hstack([batch.x[lane], batch.y[lane]])[counted])
            assert not batch.x[lane][~counted].any()
    whole += [np.concatenate(rows) for rows in seen]
    pairs = [np.hstack(pair) for pair in zip(pieces.x, pieces.y, strict=True)]
    assert sorted(len(one) for one in whole) == sorted(len(pair) for pair in pairs)
    for pair in pairs:
        assert any(np.array_equal(pair, one) for one in whole)
    joined = np.concatenate(STREAMS).astype(np.float32)
    np.testing.assert_array_equal(np.concatenate(pieces.x), joined)


def test_the_warm_up_of_a_piece_does_not_count():
    pieces = cut_pieces(STREAMS, TARGETS, steps=4, lanes=1, warm_up=6)
    assert [len(x) for x in pieces.x] == [23, 8, 14]  # one is too short
    (first, second, *_) = stateful_batches(pieces, steps=4, lanes=1)
    assert first.weight.tolist() == [[0, 0, 0, 0]]
    assert second.weight.tolist() == [[0, 0, 1, 1]]
    long = np.zeros((100, 1))
    # Pieces are at least twice as long as what does not count of them.
    assert min(len(x) for x in cut_pieces(long, long, steps=4, lanes=50, warm_up=10).x) >= 20


@pytest.mark.tf
@pytest.mark.parametrize("functional", [False, True])
def test_a_network_with_carried_states_answers_whole_streams(functional):
    plain = network(functional)
    running = stateful_copy(plain, 2, 6)
    pieces = cut_pieces(STREAMS, TARGETS, steps=6, lanes=1)
    answers: dict[int, list[np.ndarray]] = {}
    lane_of = [-1, -1]
    order = [2, 0, 3, 1]
    waiting = iter(order)
    for batch in stateful_batches(pieces, steps=6, lanes=2, order=order):
        reset_lanes(running, batch.begins)
        ys = np.asarray(running(batch.x))
        for lane in range(2):
            if batch.begins[lane]:
                lane_of[lane] = next(waiting)
            answers.setdefault(lane_of[lane], []).append(ys[lane][batch.weight[lane] > 0])
    for stream, x in enumerate(pieces.x):
        wanted = np.asarray(plain(x[None]))[0]
        np.testing.assert_allclose(np.concatenate(answers[stream]), wanted, atol=1e-6)


@pytest.mark.long
@pytest.mark.tf
def test_it_trains_as_a_stateful_network_of_keras_does():
    import keras

    # Four pieces of 24 readings side by side, as docs/guides/windows.md does by hand.
    x, y = RNG.normal(size=(96, 2)), RNG.normal(size=(96, 1))
    own, theirs = network(), network(stateful_batch=4)
    theirs.set_weights(own.get_weights())
    result = fit_stateful(own, x, y, steps=6, lanes=4, epochs=2, learning_rate=0.01, clip_norm=0.1)
    cut = [v.reshape(4, 4, 6, -1).swapaxes(0, 1).reshape(16, 6, -1) for v in (x, y)]
    theirs.compile(keras.optimizers.Adam(0.01, clipnorm=0.1), "mse")
    losses = []
    for _ in range(2):
        for layer in theirs.layers[1:3]:
            layer.reset_state()
        fitted = theirs.fit(*cut, batch_size=4, shuffle=False, verbose=0)
        losses.append(fitted.history["loss"][0])
    for a, b in zip(own.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert result.losses == pytest.approx(losses, rel=1e-4)
    assert (result.updates, result.lanes) == (8, 4)


@pytest.mark.tf
def test_classes_at_every_reading_are_learnt():
    import keras

    x = RNG.normal(size=(400, 1))
    y = (x[:, 0] > 0).astype(int)
    layers = keras.layers
    keras.utils.set_random_seed(3)
    chain = [keras.Input((None, 1)), layers.SimpleRNN(3, return_sequences=True), layers.Dense(2)]
    model = keras.Sequential(chain)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    epochs: list[int] = []
    result = fit_stateful(
        model, x, y, loss=loss, steps=10, lanes=8, epochs=6, learning_rate=0.03,
        clip_norm=None, clip_value=0.5, on_epoch=epochs.append,
    )  # fmt: skip
    assert np.mean(np.asarray(model(x[None]))[0].argmax(axis=1) == y) > 0.95
    assert result.losses[-1] < 0.5 * result.losses[0]
    assert epochs == [1, 2, 3, 4, 5, 6]


@pytest.mark.tf
def test_gradients_are_limited():
    import keras

    for limit in ({"norm": 0.5}, {"value": 0.5}):
        layer = keras.layers.Dense(1, use_bias=False)
        model = keras.Sequential([keras.Input((2,)), layer])
        model.compile(keras.optimizers.SGD(1.0, **clipping(**limit)), "mse")
        before = layer.get_weights()[0]
        model.train_on_batch(np.full((1, 2), 100.0), np.full((1, 1), 1e4))
        moved = np.abs(layer.get_weights()[0] - before)
        found = np.linalg.norm(moved) if "norm" in limit else moved.max()
        assert found == pytest.approx(0.5, rel=1e-4)
    assert clipping() == {}


@pytest.mark.parametrize(
    "limits, words",
    [
        ({"clip_norm": 1.0, "clip_value": 0.5}, "clipping: expected a norm or a value"),
        ({"clip_norm": 0.0}, "clipping norm: expected a number above 0, got 0.0"),
        ({"clip_norm": None, "clip_value": -1}, "clipping value: expected a number above 0"),
    ],
)
def test_limits_that_cannot_be(limits, words):
    with pytest.raises(TrainingError, match=words):
        fit_stateful(None, STREAMS, TARGETS, **limits)
    with pytest.raises(TrainingError, match=words):
        Training(epochs=1, batch=1, learning_rate=0.1, **limits)


@pytest.mark.parametrize(
    "streams, targets, change, words",
    [
        (STREAMS, TARGETS[:2], {}, r"targets: expected one for each reading of 4 streams"),
        (STREAMS[0], TARGETS[1], {}, r"targets: expected one for each reading of 1 streams"),
        ([np.zeros((3, 1)), np.zeros((3, 2))], [np.zeros(3)] * 2, {}, "one number of channels"),
        (np.zeros((3, 1)), np.array([0.0, np.inf, 0.0]), {}, "targets: expected finite values"),
        (STREAMS, TARGETS, {"steps": 0}, "steps: expected a whole number >= 1"),
        (STREAMS, TARGETS, {"lanes": 0}, "lanes: expected a whole number >= 1"),
        (STREAMS, TARGETS, {"warm_up": -1}, "warm_up: expected a whole number >= 0"),
        (STREAMS, TARGETS, {"warm_up": 23}, "expected one of more than 23 readings"),
    ],
)
def test_streams_that_cannot_be_cut(streams, targets, change, words):
    with pytest.raises(TrainingError, match=words):
        cut_pieces(streams, targets, **{"steps": 4, "lanes": 2, **change})


@pytest.mark.tf
def test_networks_that_cannot_keep_states():
    import keras

    once = keras.Sequential([keras.Input((None, 2)), keras.layers.GRU(2)])
    with pytest.raises(TrainingError, match="expected an output for every reading"):
        fit_stateful(once, STREAMS, TARGETS)
    nested = keras.Sequential([keras.Input((None, 2)), network()])
    with pytest.raises(TrainingError, match="got nested models"):
        fit_stateful(nested, STREAMS, TARGETS)
    with pytest.raises(TrainingError, match=r"one input and one output.* got int"):
        fit_stateful(3, STREAMS, TARGETS)
    with pytest.raises(TrainingError, match="epoch 1: expected a finite loss, got inf"):
        fit_stateful(small(), STREAMS, [np.full((len(x), 1), 1e30) for x in STREAMS])
