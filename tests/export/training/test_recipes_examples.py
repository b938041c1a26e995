"""What a recipe's training is fitted to: the network, the examples, the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgernn.errors import TrainingError
from edgernn_export.training import (
    Network,
    Training,
    train,
    training_data,
    updates,
)
from tests.support.training.training_runs import class_data, classifier, forecast_data, forecaster

pytestmark = pytest.mark.tf


def test_network_size_and_cells_are_those_asked_for() -> None:
    size = Network(cell="LSTM", units=3, layers=2)
    model, result = train(classifier(), network=size, epochs=1, progress=False)
    assert [type(layer).__name__ for layer in model.layers[2:]] == ["LSTM", "LSTM", "Dense"]
    assert result.parameters == 4 * 3 * (2 + 3 + 1) + 4 * 3 * (3 + 3 + 1) + 2 * 4


def test_windows_and_targets_by_index() -> None:
    data = forecast_data()
    recipe = forecaster(window_steps=100, stride_steps=60)
    x, y = training_data(recipe, data)
    assert x.shape == (3, 100, 2)
    assert x.dtype == y.dtype == np.float32
    wanted = data.train.target - data.train.base
    for row, at in enumerate((0, 60, 120)):
        np.testing.assert_allclose(x[row], data.train.x[0, at : at + 100], rtol=1e-6)
        np.testing.assert_allclose(y[row], wanted[0, at : at + 100], rtol=1e-5, atol=1e-6)
    assert updates(recipe, data) == 4
    assert updates(forecaster(window_steps=None, loss_from=0), data, epochs=7) == 7


def test_classes_are_fitted_whole() -> None:
    data = class_data()
    x, y = training_data(classifier(), data)
    np.testing.assert_array_equal(x, data.train.x.astype(np.float32))
    np.testing.assert_array_equal(y, data.train.target[:, -1, 0])
    assert updates(classifier(batch=10), data) == 4 * 7


def test_what_chooses_nothing_is_learnt() -> None:
    data, recipe = class_data(), classifier(batch=10, keep="last")
    x, y = training_data(recipe, data)
    parts = (data.train, data.validation)
    np.testing.assert_array_equal(x, np.concatenate([p.x for p in parts]).astype(np.float32))
    np.testing.assert_array_equal(y, np.concatenate([p.target[:, -1, 0] for p in parts]))
    assert updates(recipe, data, epochs=1) == -(-len(x) // 10)


def test_a_forecaster_keeps_its_best_epoch() -> None:
    recipe, data = forecaster(keep="last"), forecast_data()
    for count in (training_data, updates):
        with pytest.raises(TrainingError, match="training keep: expected best for a forecaster"):
            count(recipe, data)


def test_the_forecast_loss_is_hubers_from_a_step_on() -> None:
    import keras

    from edgernn_export.training.networks import loss_of

    data = forecast_data()
    recipe = forecaster(loss_from=2, window_steps=4)
    loss = loss_of(data, recipe.training)
    y = np.zeros((1, 4, 1), dtype=np.float32)
    out = data.target_scale * np.array([50.0, 50.0, 1.0, -5.0], dtype=np.float32)[None, :, None]
    # Huber with delta 2: 1/2 of the square inside, delta (|e| - delta / 2) outside.
    assert float(loss(y, out)) == pytest.approx((0.5 + 2.0 * 4.0) / 2)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(y, out)) == float(loss(y, out))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Network(cell="QRNN"),
            "expected a cell among SimpleRNN, LSTM, GRU, .*, got 'QRNN'",
        ),
        (lambda: Network(units=0), "network units: expected a whole number >= 1, got 0"),
        (lambda: Network(layers=1.5), "network layers: expected a whole number >= 1, got 1.5"),
        (lambda: Network(units=True), "got True"),
        (lambda: classifier(epochs=0), "training epochs: expected a whole number >= 1, got 0"),
        (lambda: classifier(batch=-1), "training batch"),
        (lambda: classifier(learning_rate=0.0), r"learning_rate: expected a number in \(0, 1\]"),
        (lambda: classifier(learning_rate=float("nan")), "got nan"),
        (lambda: forecaster(loss_from=24), r"loss_from: expected a step of the window 0\.\.23"),
        (lambda: Training(epochs=1, batch=1, learning_rate=0.1, stride_steps=0), "stride_steps"),
        (
            lambda: classifier(keep="first"),
            "training keep: expected one of best, last, got 'first'",
        ),
    ],
)
def test_settings_are_refused(make: Any, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        make()


def test_streams_shorter_than_a_window_are_refused() -> None:
    recipe = forecaster(window_steps=1000)
    with pytest.raises(TrainingError, match=r"train streams of at least 1000 steps .* got 240"):
        training_data(recipe, forecast_data())
