"""A window network becomes one for endless streams, and what that gains is measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgernn.errors import TrainingError
from edgernn_export import quantize
from edgernn_export.training import to_stream, windows
from edgernn_export.training.streams.copies import endless_copy

pytestmark = pytest.mark.tf

WINDOW = 8


def level(readings: int = 1200, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Readings above zero, and their mean over a window: the state of a window only rises."""
    x = np.random.default_rng(seed).uniform(0.0, 1.0, size=(readings, 1))
    y = np.convolve(x[:, 0], np.full(WINDOW, 1 / WINDOW))[:readings, None]
    return x, y


@pytest.fixture(scope="module")
def network() -> Any:
    import keras

    keras.utils.set_random_seed(2)
    layers = keras.layers
    chain = [keras.Input((WINDOW, 1)), layers.GRU(6), layers.Dense(1)]
    model = keras.Sequential(chain, name="mean")
    model.compile(keras.optimizers.Adam(0.02), "mse")
    examples = windows(level()[0], WINDOW, targets=level()[1])
    model.fit(examples.x, examples.y, epochs=12, verbose=0)
    return model


def rms(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(a - b))))


def test_the_errors_are_those_of_keras(network):
    x, y = level()
    endless, result = to_stream(
        network, x, y, epochs=8, learning_rate=0.01, lanes=4, seed=1, held_out=0.25
    )
    assert result.after < 0.8 * result.before
    assert 1 <= result.best_epoch <= 8
    assert (result.metric, result.reference, result.readings) == ("RMS error", "targets", 300)
    assert result.spread == pytest.approx(np.std(y[900:]))
    # By Keras, and over the whole stream.
    answers = np.asarray(endless.predict(x[None], verbose=0))[0]
    assert result.after == pytest.approx(rms(answers[900:], y[900:]), rel=1e-3)
    held = windows(x[900 - WINDOW + 1 :], WINDOW)
    on_windows = network.predict(held.x, verbose=0)
    assert result.windows == pytest.approx(rms(on_windows, y[900:]), rel=1e-3)
    table = result.table().splitlines()
    assert [line.rsplit(maxsplit=1)[0] for line in table[1:4]] == [
        "windows", "endless stream, before", "endless stream, after",
    ]  # fmt: skip
    assert table[4].startswith("against the targets, 300 readings held out; standard deviation")
    assert quantize(endless, x, progress=False).window is None


@pytest.mark.long
def test_without_targets_it_follows_its_own_windows(network):
    before = network.get_weights()
    _, result = to_stream(network, level()[0], epochs=4, learning_rate=0.01, lanes=4)
    assert result.windows == 0.0
    assert result.reference == "window outputs"
    assert result.after < result.before
    for a, b in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.long
def test_the_weights_stay_where_no_epoch_is_better(network):
    endless, result = to_stream(network, *level(), epochs=1, learning_rate=1.0)
    assert result.best_epoch == 0
    assert result.after == result.before
    for a, b in zip(endless.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.long
def test_classes_are_scored_by_their_errors():
    import keras

    x, y = level(600)
    codes = (y[:, 0] > 0.5).astype(np.int64)
    keras.utils.set_random_seed(0)
    layers = [keras.Input((WINDOW, 1)), keras.layers.GRU(4)]
    value = layers[0]
    for layer in (*layers[1:], keras.layers.Dense(2, activation="softmax")):
        value = layer(value)
    model = keras.Model(layers[0], value)
    endless, result = to_stream(model, x, codes, epochs=12, learning_rate=0.03, lanes=4)
    answers = np.asarray(endless(x[None].astype(np.float32)))[0].argmax(axis=1)
    assert result.metric == "error rate"
    assert result.after == pytest.approx(np.mean(answers[480:] != codes[480:]))
    assert result.after < 0.6 * result.before
    assert np.isnan(result.spread)


LAST_STEPS = {
    "x[:, -1]": lambda x: x[:, -1],
    "x[..., -1, 1:3]": lambda x: x[..., -1, 1:3],
    "x[:, -1][:, 1:3]": lambda x: x[:, -1][:, 1:3],
    "x[:, :, 1:3][:, -1, :]": lambda x: x[:, :, 1:3][:, -1, :],
}


def selecting(select: Any) -> Any:
    import keras

    keras.utils.set_random_seed(3)
    x = keras.Input((WINDOW, 1))
    seen = select(keras.layers.GRU(4, return_sequences=True)(x))
    return keras.Model(x, keras.layers.Dense(1)(seen))


@pytest.mark.parametrize("select", LAST_STEPS.values(), ids=LAST_STEPS)
def test_a_network_that_selects_its_last_step_answers_every_reading(select):
    network, x = selecting(select), level(WINDOW)[0][None].astype(np.float32)
    answers = np.asarray(endless_copy(network)(x))[0]
    assert answers.shape == (WINDOW, 1)
    np.testing.assert_allclose(answers[-1], np.asarray(network(x))[0], atol=1e-6)
    np.testing.assert_allclose(answers[:3], np.asarray(endless_copy(network)(x[:, :3]))[0])


def test_a_network_that_selects_its_last_step_is_trained_on():
    x, y = level(200)
    endless, result = to_stream(selecting(LAST_STEPS["x[:, -1]"]), x, y, epochs=1, lanes=4)
    assert endless.output_shape == (None, None, 1)
    assert np.isfinite(result.after) and result.readings == 40


def refused(*chain: Any) -> Any:
    import keras

    return keras.Sequential(list(chain))


def test_networks_that_are_not_made_for_windows(network):
    from keras import Input, layers

    x, y = level(300)
    every = refused(Input((8, 1)), layers.GRU(2, return_sequences=True), layers.Dense(1))
    with pytest.raises(TrainingError, match="got one with outputs at every reading"):
        to_stream(every, x, y)
    with pytest.raises(TrainingError, match="got one with an input of any length"):
        to_stream(refused(Input((None, 1)), layers.GRU(2), layers.Dense(1)), x, y)
    with pytest.raises(
        TrainingError, match=r"a window of 8 readings to fit into the first 60%.* one of 10"
    ):
        to_stream(network, x[:10], y[:10])
    with pytest.raises(TrainingError, match=r"held_out: expected a share between 0 and 0\.5"):
        to_stream(network, x, y, held_out=0.5)
