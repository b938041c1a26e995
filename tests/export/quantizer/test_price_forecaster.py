"""The textbook's stacked forecaster, scored where the series has risen beyond its training part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgernn
from edgernn.model.formats import FloatArray
from edgernn.model.interface import Window
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import FloatModel
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.verification.comparison import verify
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector
from edgernn_firmware_sim.emulator import emulate
from tests.support.models.hand_made import core_named
from tests.support.runtimes import require

pytestmark = [pytest.mark.tf, pytest.mark.slow]

WINDOW, TRAINED = 60, 750
#: Largest RMSE of the integers over that of the float network.
ALLOWED = {"w8a8": 1.05, "w8a16": 1.01}


@pytest.fixture(scope="module")
def prices() -> FloatArray:
    """A rising price with a slow wave and noise, scaled to 0..1; its training part ends at 0.8."""
    rng, steps = np.random.default_rng(0), 1000
    price = np.linspace(11000, 22000, steps) + 500 * np.sin(np.linspace(0, 8 * np.pi, steps))
    price += rng.normal(size=steps) * 200
    scaled: FloatArray = (price - price.min()) / (price.max() - price.min())
    return scaled


def windows(prices: FloatArray) -> FloatArray:
    return np.stack([prices[i - WINDOW : i] for i in range(WINDOW, len(prices))])[..., None]


@pytest.fixture(scope="module")
def network(prices: FloatArray) -> FloatModel:
    import keras

    from edgernn_export.keras_reader import read_keras

    keras.utils.set_random_seed(0)
    lstm, dropout = keras.layers.LSTM, keras.layers.Dropout
    model: Any = keras.Sequential(
        [
            keras.Input((WINDOW, 1)),
            *(lstm(64, return_sequences=True), dropout(0.2)),
            *(lstm(64, return_sequences=True), dropout(0.2)),
            *(lstm(32), dropout(0.2)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    x, y = windows(prices)[:TRAINED], prices[WINDOW:][:TRAINED]
    model.fit(x, y, epochs=6, batch_size=32, verbose=0)
    return read_keras(model)


def rmse(answer: FloatArray, prices: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(answer - prices[WINDOW + TRAINED :]))))


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
@pytest.mark.parametrize("cut", ["windows", "stream", "shorter stream"])
def test_integers_are_as_good_as_the_network_beyond_its_training_part(
    network: FloatModel, prices: FloatArray, cut: str, precision: Any
) -> None:
    seen = windows(prices)[:TRAINED] if cut == "windows" else prices[: WINDOW + TRAINED, None]
    if cut == "shorter stream":
        seen = prices[:TRAINED, None]
    later = windows(prices)[TRAINED:]
    assert later.max() > 1.15 * seen.max()
    model = quantize(network, seen, precision, progress=False)
    assert model.window == Window(steps=WINDOW)
    float_error = rmse(run(network, later)[0][:, -1, 0], prices)
    for backend in ("reference", "native"):
        with edgernn.load(model, backend) as session:
            answers = session.run(prices[TRAINED:-1])[WINDOW - 1 :, 0]
        assert rmse(answers, prices) <= ALLOWED[precision] * float_error


@pytest.mark.parametrize("precision", ["w8a8", pytest.param("w8a16", marks=pytest.mark.long)])
def test_every_runtime_and_firmware_gives_the_same_forecasts(
    network: FloatModel, prices: FloatArray, precision: Any, tmp_path: Path
) -> None:
    require("tflite_runtime", "ai_edge_litert", "onnxruntime")
    model = quantize(network, prices[: WINDOW + TRAINED, None], precision, progress=False)
    codes = model.interface().quantize(prices[-3 * WINDOW :, None])
    found = verify(model, codes)
    assert {outcome.status for outcome in found.outcomes} == {"ran"}
    assert found.differing == 0
    sources = write_c(model, golden_vector(model))
    for name in ("cortex-m0", "cortex-m4"):
        folder = tmp_path / name
        folder.mkdir()
        result = emulate(model, sources, core_named(name), codes[-3:], folder)
        assert (result.differing, result.first_difference) == (0, "")
