"""The comparison of recurrent cells in textbooks: one temperature series, three networks of a size.

Each learns the temperature in 12 hours from the last two days, and goes from .keras to integers,
every back-end and C.
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
SEQUENCE, DELAY = 48, 12


def temperatures(hours=2400):
    """Warm days, cold nights, and weather: an autoregressive process of about three days."""
    rng = np.random.default_rng(3)
    weather = np.zeros(hours)
    for hour in range(1, hours):
        weather[hour] = 0.985 * weather[hour - 1] + 0.5 * rng.normal()
    return 10 + 6 * np.sin(2 * np.pi * np.arange(hours) / 24) + weather


@pytest.mark.parametrize("cell", ["SimpleRNN", "LSTM", "GRU"])
def test_from_keras_to_c(cell, tmp_path, monkeypatch):
    require("gcc")
    keras = pytest.importorskip("keras")
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    raw = temperatures()
    cut = int(len(raw) * 0.75)
    mean, std = raw[:cut].mean(), raw[:cut].std()
    data = (raw - mean) / std
    starts = np.arange(len(data) - SEQUENCE - DELAY + 1)
    x = np.stack([data[i : i + SEQUENCE] for i in starts])[..., None]
    y = data[starts + SEQUENCE + DELAY - 1]
    train = starts < cut - SEQUENCE - DELAY
    test = starts >= cut

    model = keras.Sequential(
        [
            keras.Input((SEQUENCE, 1)),
            getattr(keras.layers, cell)(16),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", metrics=["mae"])
    model.fit(x[train], y[train], epochs=6, batch_size=64, verbose=0)
    model.save("temperature.keras")

    def mae(said):
        return float(np.mean(np.abs(said - y[test]))) * std

    naive = mae(x[test][:, -1, 0])  # it will be as warm as it is now
    wanted = mae(model.predict(x[test], verbose=0)[:, 0])
    assert wanted < 0.5 * naive
    np.savetxt("train.csv", data[:cut], header="temperature", comments="")
    for precision in ("w8a8", "w8a16"):
        arguments = ["--calibration", "train.csv", "--precision", precision]
        assert main(["quantize", "temperature.keras", *arguments, "-o", "t.edgernn"]) == 0
        integers = IntegerModel.load("t.edgernn")
        assert integers.window.steps == SEQUENCE
        stream = data[cut : len(data) - DELAY, None]
        with edgernn.load("t.edgernn") as session:
            got = session.run(stream)[SEQUENCE - 1 :, 0]
            session.reset()
            codes = session.interface.quantize(stream)
            answers = session.run_codes(codes)
        assert mae(got) == pytest.approx(wanted, rel=0.01 if precision == "w8a16" else 0.05)
        backends = "native,tflite-runtime,onnxruntime"
        assert main(["verify", "t.edgernn", "--steps", "120", "--backends", backends]) == 0
        in_c = host_outputs(integers, codes, tmp_path / precision)
        np.testing.assert_array_equal(in_c[SEQUENCE - 1 :], np.ma.getdata(answers)[SEQUENCE - 1 :])
