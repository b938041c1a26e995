"""From a .keras file to sessions, in the few lines a user types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgernn
from tests.support.models.float import stream

pytestmark = pytest.mark.tf


def test_keras_file_to_streaming_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from edgernn_export import export, quantize

    monkeypatch.chdir(tmp_path)
    layers = [
        keras.Input((None, 3)),
        keras.layers.Normalization(mean=[1.0, -2.0, 0.5], variance=[4.0, 1.0, 9.0]),
        keras.layers.LSTM(8, return_sequences=True),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(2),
    ]
    keras.utils.set_random_seed(1)
    network = keras.Sequential(layers)
    network.save("model.keras")
    streams = stream(400, 3) * [2.0, 1.0, 3.0] + [1.0, -2.0, 0.5]

    model = quantize("model.keras", calibration=streams, precision="w8a16", progress=False)
    model.save("model.edgernn")
    export(model, "build/", formats=("tflite", "onnx"))

    expected = np.asarray(network(streams[None, :50]))[0]
    with edgernn.load("model.edgernn") as session:
        ys = np.array([session.step(x) for x in streams[:50]])
    assert np.abs(ys - expected).max() < 0.02 * np.abs(expected).max()
    with edgernn.load("build/model.onnx") as session:
        assert np.array_equal(session.run(streams[:50]), ys)


def test_long_calibration_shows_a_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    from edgernn_export import quantize
    from tests.support.models.float import float_model

    quantize(float_model("simple_rnn"), stream(2500, 3), progress=True)
    assert "calibrating" in capsys.readouterr().err
    quantize(float_model("simple_rnn"), stream(100, 3), progress=True)
    assert capsys.readouterr().err == ""
