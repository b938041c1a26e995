"""Both models answer as they do when they run: sessions and Keras are the oracles."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import edgernn
from edgernn.errors import EdgeRnnError
from edgernn.model.interface import Window
from edgernn_export import evaluate
from edgernn_export.evaluation import answers as answering
from edgernn_export.float_model.float_run import run
from tests.support.models.evaluation import classifier, forecaster, readings
from tests.support.models.keras import answer, randomised
from tests.support.models.keras import readings as keras_readings

WINDOWS = (None, Window(steps=7), Window(steps=7, hop=3), Window(steps=1))
BACKENDS = ("native", "reference")


@pytest.fixture(params=BACKENDS)
def backend(request, monkeypatch):
    if request.param == "native":
        pytest.importorskip("edgernn._native")
    monkeypatch.setattr(answering, "model_backend", lambda: request.param)
    return request.param


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_integer_answers_are_those_of_a_session(window, backend):
    _, model = forecaster(window)
    streams = [readings(40, seed=1), readings(23, seed=2), readings(40, seed=3)]
    found = evaluate(model, streams, progress=False)
    position = 0
    for stream in streams:
        with edgernn.load(model) as session:
            ys = session.run(stream)
        rows = range(40 if len(stream) == 40 else 23)
        if window is not None:
            rows = rows[window.steps - 1 :: window.hop]
        here = slice(position, position + len(rows))
        assert found.answered.row[here].tolist() == list(rows)
        np.testing.assert_array_equal(found.answered.integer_y[here], ys[list(rows)])
        position += len(rows)
    assert position == found.answers == len(found.answered.row)


def test_probabilities_are_those_of_a_session(backend):
    network, model = classifier(Window(steps=5))
    stream = readings(30)
    found = evaluate(model, stream, float_model=network, progress=False)
    with edgernn.load(model) as session:
        ys = session.run(stream, softmax=True)
    np.testing.assert_array_equal(found.answered.integer_y, ys[4:])
    np.testing.assert_allclose(found.answered.float_y.sum(axis=1), 1.0)


def test_float_answers_to_streams_of_several_lengths_are_those_of_each_alone():
    network, model = forecaster(cell="lstm")
    streams = [readings(n, seed=n) for n in (9, 31, 4, 31, 20)]
    found = evaluate(model, streams, float_model=network, progress=False)
    alone = [run(network, stream[None])[0][0] for stream in streams]
    np.testing.assert_allclose(found.answered.float_y, np.concatenate(alone), rtol=1e-12)


def test_many_windows_run_in_several_batches(monkeypatch):
    window = Window(steps=6)
    network, model = forecaster(window)
    streams = [readings(n, seed=n) for n in (30, 5, 17, 8)]
    whole = evaluate(model, streams, float_model=network, progress=False)
    monkeypatch.setattr(answering, "_BATCH", 4)
    cut = evaluate(model, streams, float_model=network, progress=False)
    np.testing.assert_array_equal(cut.answered.integer_y, whole.answered.integer_y)
    np.testing.assert_allclose(cut.answered.float_y, whole.answered.float_y, rtol=1e-12)
    first = run(network, streams[0][None, :6])[0][0, -1]
    np.testing.assert_allclose(whole.answered.float_y[0], first, rtol=1e-12)
    assert whole.answered.stream.tolist() == [0] * 25 + [2] * 12 + [3] * 3


@pytest.mark.tf
def test_float_answers_are_those_of_keras(tmp_path):
    import keras

    layers = keras.layers
    network = randomised(
        keras.Sequential(
            [
                keras.Input((9, 3)),
                layers.LSTM(6, return_sequences=True),
                layers.GRU(5),
                layers.Dense(3, activation="softmax"),
            ]
        )
    )
    from edgernn_export.keras_reader import read_keras
    from tests.support.models.evaluation import integer

    model = integer(read_keras(network), Window(steps=9))
    windows = keras_readings(20, 9)
    found = evaluate(model, windows, float_model=network, progress=False)
    np.testing.assert_allclose(found.answered.float_y, answer(network, windows), atol=1e-5)
    assert found.answers == 20
    (tmp_path / "net.json").write_text(network.to_json(), encoding="utf-8")
    network.save_weights(tmp_path / "other.weights.h5")
    again = evaluate(
        model,
        windows,
        float_model=tmp_path / "net.json",
        weights=tmp_path / "other.weights.h5",
        progress=False,
    )
    assert again.to_json() == found.to_json()


def test_a_float_network_of_windows_runs_on_them_whatever_the_model_does():
    network, model = forecaster(Window(steps=7))
    endless = dataclasses.replace(model, window=None)
    stream = readings(30)
    found = evaluate(endless, stream, float_model=network, progress=False)
    windows = evaluate(model, stream, float_model=network, progress=False)
    assert np.isnan(found.answered.float_y[:6]).all()
    np.testing.assert_allclose(found.answered.float_y[6:], windows.answered.float_y, rtol=1e-12)
    assert found.left_out == {"before the float network's first window": 6}
    assert found.answers == 24
    assert "windows of 7 readings" in found.notes[0]
    assert "an endless stream" in found.notes[0]
    assert windows.notes == ()


def test_an_open_network_runs_as_the_model_does():
    network, model = forecaster()
    once = dataclasses.replace(network, return_sequences=False)
    windowed = dataclasses.replace(model, window=Window(steps=4))
    windows = np.stack([readings(4, seed=s) for s in range(6)])
    found = evaluate(windowed, windows, float_model=once, progress=False)
    np.testing.assert_allclose(found.answered.float_y, run(network, windows)[0][:, -1], rtol=1e-12)
    # Without a window, many sequences meet a network that answers once.
    last = evaluate(model, windows, float_model=once, progress=False)
    assert last.answered.row.tolist() == [3] * 6
    np.testing.assert_allclose(last.answered.float_y, found.answered.float_y, rtol=1e-12)
    each = evaluate(model, windows, float_model=once, answers="each", progress=False)
    assert each.answers == 24


def test_streams_shorter_than_a_window_are_refused():
    network, model = forecaster(Window(steps=7))
    with pytest.raises(EdgeRnnError, match=r"at least one output.*at least 7 readings"):
        evaluate(model, readings(6), float_model=network, progress=False)


def test_another_network_is_told():
    network, model = forecaster()
    other = dataclasses.replace(network, layers=forecaster(cell="gru_before")[0].layers)
    found = evaluate(model, readings(20), float_model=other, progress=False)
    assert found.notes == ("The integer model was not quantized from this float network.",)
    wide, _ = forecaster(outputs=2)
    with pytest.raises(EdgeRnnError, match=r"2 inputs and 1 outputs.*got 2 and 2"):
        evaluate(model, readings(20), float_model=wide, progress=False)
