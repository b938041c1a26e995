"""The price network of textbooks, typed as a reader does: windows of 60, LSTM 64-64-32, Dense 16-1.

Its own forecasts go from .keras to integers, every back-end and C.
"""

from __future__ import annotations

import numpy as np
import pytest

import edgernn
from edgernn.cli import main
from edgernn.model.integer_model import IntegerModel
from tests.support.native.compilers import require
from tests.support.native.stream_programs import host_outputs

pytestmark = [pytest.mark.tf, pytest.mark.long]
WINDOW = 60


def closing_prices(days=700):
    """A rising index: 0.05 % a day, 1 % of noise."""
    rng = np.random.default_rng(1)
    return 1000 * np.exp(np.cumsum(0.0005 + 0.01 * rng.normal(size=days)))


def test_from_keras_to_c(tmp_path, monkeypatch):
    require("gcc")
    keras = pytest.importorskip("keras")
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    prices = closing_prices()
    cut = int(len(prices) * 0.8)
    low, high = prices[:cut].min(), prices[:cut].max()  # the scaler sees no test price
    scaled = (prices - low) / (high - low)
    x = np.stack([scaled[i - WINDOW : i] for i in range(WINDOW, len(scaled))])[..., None]
    y = scaled[WINDOW:]
    x_train, y_train, x_test, y_test = (
        x[: cut - WINDOW],
        y[: cut - WINDOW],
        x[cut - WINDOW :],
        y[cut - WINDOW :],
    )
    model = keras.Sequential(
        [
            keras.Input((WINDOW, 1)),
            keras.layers.LSTM(64, return_sequences=True),
            keras.layers.Dropout(0.2),
            keras.layers.LSTM(64, return_sequences=True),
            keras.layers.Dropout(0.2),
            keras.layers.LSTM(32),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer="adam", loss="mean_squared_error")
    model.fit(x_train, y_train, epochs=4, batch_size=32, verbose=0)
    model.save("price.keras")

    def rmse(said):
        return float(np.sqrt(np.mean(np.square(said - y_test)))) * (high - low)

    wanted = rmse(model.predict(x_test, verbose=0)[:, 0])
    np.savetxt("train.csv", scaled[:cut], header="close", comments="")
    for precision in ("w8a8", "w8a16"):
        arguments = ["--calibration", "train.csv", "--precision", precision, "-o", "price.edgernn"]
        assert main(["quantize", "price.keras", *arguments]) == 0
        integers = IntegerModel.load("price.edgernn")
        assert (integers.window.steps, integers.window.hop) == (WINDOW, 1)
        stream = scaled[cut - WINDOW : -1, None]
        with edgernn.load("price.edgernn") as session:
            got = session.run(stream)[WINDOW - 1 :, 0]
            session.reset()
            codes = session.interface.quantize(stream)
            answers = session.run_codes(codes)
        assert rmse(got) <= 1.01 * wanted
        verify = ["verify", "price.edgernn", "--steps", "150"]
        assert main([*verify, "--backends", "native,tflite-runtime,onnxruntime"]) == 0
        in_c = host_outputs(integers, codes, tmp_path / precision)
        np.testing.assert_array_equal(in_c[WINDOW - 1 :], np.ma.getdata(answers)[WINDOW - 1 :])
