"""Recipes with every cell that they can have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgernn.backends.native import NativeBackend
from edgernn.errors import TrainingError
from edgernn_export import quantize
from edgernn_export.datasets import Dataset
from edgernn_export.float_model.float_run import answers as answers_of
from edgernn_export.keras_reader import read_keras
from edgernn_export.training import Network, build_network, build_text_network, evaluate, train
from edgernn_export.training.networks import CELLS, repeatable_keras
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.training.training_runs import class_data, forecast_data, forecaster

pytestmark = pytest.mark.tf
#: How the layers behind the noise begin.
LAYERS = {
    "SimpleRNN": "SimpleRNN",
    "LSTM": "LSTM",
    "GRU": "GRU",
    "FastRNN": "FastRNNCell",
    "FastGRNN": "FastGRNNCell",
    "CfC": "CfCCell",
}


def timed_data() -> Dataset:
    """The wave with the time since the reading before as its last channel."""
    data = forecast_data()
    parts = {}
    for name in ("train", "validation", "test"):
        part = getattr(data, name)
        x = part.x.copy()
        x[..., 1] = np.random.default_rng(5).exponential(1.0, x.shape[:2])
        parts[name] = replace(part, x=x)
    return replace(data, input_names=("level", "elapsed"), **parts)


@pytest.mark.parametrize("cell", CELLS)
def test_a_network_of_any_cell_becomes_integers(cell: str) -> None:
    repeatable_keras(0)
    data = timed_data() if cell == "CfC" else forecast_data()
    network = build_network(forecaster(), Network(cell=cell, units=5), data)
    layer = network.get_layer(f"{cell.lower()}_1")
    own = type(layer if cell in ("SimpleRNN", "LSTM", "GRU") else layer.cell).__name__
    assert own == LAYERS.get(cell, "RegisteredCell")
    assert getattr(getattr(layer, "cell", None), "kind", cell) == cell
    model = quantize(
        network, data.calibration(), "w8a16", **data.labels(), stream="endless", progress=False
    )
    x = data.test.x[0]
    codes = model.interface().quantize(x)
    found = NativeBackend(model).new_stream().advance(codes)
    np.testing.assert_array_equal(found, Reference(model).run(codes[None])[0][0])
    wanted = answers_of(read_keras(network), x[None])[0]
    difference = model.interface().dequantize(found) - wanted
    assert np.sqrt(np.mean(difference**2)) < 0.02 * np.std(wanted)


@pytest.mark.long
def test_a_fast_grnn_learns() -> None:
    data, recipe = forecast_data(), forecaster(window_steps=16, epochs=2)
    size = Network(cell="FastGRNN", units=8)
    network, result = train(recipe, network=size, data=data, progress=False)
    still = data.score(np.zeros_like(data.validation.base), data.validation)["mse"]
    assert result.validation < 0.7 * still
    assert evaluate(network, recipe, data=data)["mse"] < 0.7 * still


def test_a_linear_recurrence_has_a_function_behind_it() -> None:
    size = Network(cell="linear_recurrence", units=4, layers=2)
    layers = [layer.name for layer in build_network(forecaster(), size, forecast_data()).layers]
    pairs = ["linear_recurrence_1", "linear_recurrence_1_mix", "linear_recurrence_2"]
    assert layers[2:5] == pairs


def test_a_cfc_needs_the_elapsed_time() -> None:
    size = Network(cell="CfC", units=4)
    for build in (build_network, build_text_network):
        with pytest.raises(TrainingError, match=r"'elapsed', as the last input .* got 'change'"):
            build(forecaster(), size, forecast_data())
    with pytest.raises(TrainingError, match="network layers: expected 1 for cell CfC, got 2"):
        build_network(forecaster(), replace(size, layers=2), timed_data())


def test_every_output_has_its_own_scale() -> None:
    import keras

    from edgernn_export.training.networks import loss_of

    data: Any = replace(forecast_data(), target_scale=np.array([0.5, 20.0]))
    recipe = forecaster(linear_from=1.0, window_steps=4, loss_from=2)
    network = build_network(recipe, Network(units=3), data)
    assert network.layers[-1].scale == [0.5, 20.0]
    loss = loss_of(data, recipe.training)
    y, got = np.zeros((1, 4, 2), np.float32), np.zeros((1, 4, 2), np.float32)
    got[0, 2] = [1.5, 10.0]  # three scales off, half a scale off; the steps before 2 do not count
    got[0, 0] = [9.0, 9.0]
    wanted = (1.0 * (3.0 - 0.5) + 0.5 * 0.5**2) / 4
    for one in (loss, keras.losses.deserialize(keras.losses.serialize(loss))):
        assert float(one(y, got)) == pytest.approx(wanted)
    with pytest.raises(TrainingError, match="linear_from: expected a number above 0, got 0"):
        forecaster(linear_from=0)


def test_classifiers_have_other_cells_too() -> None:
    data = class_data()
    network = build_network(forecaster(), Network(cell="minimal_gru", units=3), data)
    assert network.output_shape == (None, 2)
