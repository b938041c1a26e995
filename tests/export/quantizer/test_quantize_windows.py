"""Networks trained on windows: quantized, calibrated and judged as they answer."""

from __future__ import annotations

import dataclasses
import re
import warnings

import keras
import numpy as np
import pytest

import edgernn
from edgernn.errors import CalibrationError, QuantizationError, StreamKindWarning
from edgernn.model.interface import Window
from edgernn_export.calibration.statistics import calibrate, head_of
from edgernn_export.calibration.stream_kind import choose_window, endless_error
from edgernn_export.calibration.streams import as_windows
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatModel
from edgernn_export.keras_reader import read_keras
from edgernn_export.quantizer.quantizer import quantize
from edgernn_export.quantizer.report import quantization_report
from tests.support.models.float import float_model, stream

pytestmark = [pytest.mark.sampled(2), pytest.mark.tf]

L = keras.layers


def windowed(model: FloatModel, steps: int) -> FloatModel:
    return dataclasses.replace(model, return_sequences=False, steps=steps)


def windows_of(xs, steps, hop=1):
    return np.stack([xs[i - steps : i] for i in range(steps, len(xs) + 1, hop)])


def trained(steps: int, cell: str, units: int = 12, **options):
    """A network that answers the product of the last two channels' means over its window."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).uniform(0, 1, (1500, steps, 2))
    y = x.mean(axis=1).prod(axis=1, keepdims=True) + 0.3 * x[:, -1, :1]
    model = keras.Sequential(
        [keras.Input((steps, 2)), getattr(L, cell)(units, **options), L.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(x, y, epochs=8, verbose=0)
    return model


@pytest.mark.parametrize(("precision", "most"), [("w8a8", 0.08), ("w8a16", 0.05)])
@pytest.mark.parametrize(
    ("steps", "cell"), [(1, "GRU"), (8, "LSTM"), (8, "GRU"), (20, "SimpleRNN")]
)
def test_a_session_answers_what_predict_answers(steps, cell, precision, most):
    model = trained(steps, cell)
    xs = np.random.default_rng(1).uniform(0, 1, (600, 2))
    integer = quantize(model, xs[:400], precision, progress=False)
    assert integer.window == Window(steps=steps)
    wanted = model.predict(windows_of(xs[400:], steps), verbose=0)[:, 0]
    with edgernn.load(integer) as session:
        got = session.run(xs[400:])[:, 0]
    assert np.isnan(got[: steps - 1]).all()
    error = np.sqrt(np.mean(np.square(got[steps - 1 :] - wanted)))
    assert error < most * wanted.std()


def test_one_long_stream_calibrates_windows():
    """A state that grows without end is fine in windows of five readings."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5, 1)), L.SimpleRNN(16, activation="relu"), L.Dense(1)])
    weights = model.get_weights()
    weights[0][:], weights[1] = 0.3, np.eye(16) * 1.05
    model.set_weights(weights)
    rng = np.random.default_rng(0)
    integer = quantize(model, rng.uniform(0, 1, (1500, 1)), progress=False)
    xs = rng.uniform(0, 1, (300, 1))
    wanted = model.predict(windows_of(xs, 5), verbose=0)[:, 0]
    with edgernn.load(integer) as session:
        got = session.run(xs)[4:, 0]
    # States of 8 bits over a range that only the last of the five steps reaches.
    assert np.sqrt(np.mean(np.square(got - wanted))) < 0.12 * wanted.std()
    assert len(np.unique(got)) > 30  # all units are the same: one state of 8 bits


def test_streams_and_their_windows_give_the_same_model():
    model, xs = windowed(float_model("lstm"), 10), stream(500, 3)
    one = quantize(model, xs, progress=False)
    other = quantize(model, windows_of(xs, 10), progress=False)
    assert one.layers == other.layers
    assert one.input == other.input


@pytest.mark.parametrize("hop", [1, 4, 3000])
@pytest.mark.parametrize("steps", [1, 20, 60])
def test_windows_of_long_streams_hold_every_reading(steps, hop, monkeypatch):
    monkeypatch.setattr("edgernn_export.calibration.streams._MOST_WINDOW_STEPS", 4000)
    xs = np.arange(5000.0)[:, None]
    windows = as_windows([xs[None], xs[None, :steps]], Window(steps=steps, hop=hop))
    firsts = windows[:, 0, 0]
    np.testing.assert_array_equal(windows[:, :, 0], firsts[:, None] + np.arange(steps))
    assert len(np.setdiff1d(xs, windows)) == 0
    assert len(windows) * steps <= max(4000, 2 * 5000) + 3 * steps


def test_windows_of_many_short_streams_hold_their_ends(monkeypatch):
    monkeypatch.setattr("edgernn_export.calibration.streams._MOST_WINDOW_STEPS", 4000)
    streams = np.arange(300 * 119.0).reshape(300, 119, 1)
    windows = as_windows([streams], Window(steps=60))
    assert len(np.setdiff1d(streams, windows)) == 0
    ends = float_model("lstm", inputs=1)
    late = np.concatenate([np.zeros((9, 60, 1)), np.full((9, 59, 1), 5.0)], axis=1)
    late[:, ::7] += 0.5
    model = quantize(windowed(ends, 60), late, progress=False)
    assert float(model.input.offset[0] + 127 * model.input.scale[0]) > 5.5


def test_streams_shorter_than_a_window_are_refused():
    model = windowed(float_model("gru_after"), 10)
    with pytest.raises(CalibrationError, match=r"at least 10 readings, one window .*got one of 9"):
        quantize(model, [stream(50, 3), stream(9, 3)], progress=False)


def test_what_follows_the_state_is_calibrated_where_the_network_answers():
    model = windowed(float_model("gru_after", stack=2, dense=((4, "relu"),)), 12)
    windows = windows_of(stream(300, 3), 12)
    found = calibrate(model, [windows], windows=True)
    every = calibrate(model, [windows])
    answers: dict[tuple[int, str], np.ndarray] = {}
    float_run.run(model, windows, observe=lambda i, n, v: answers.update({(i, n): v[-1]}))
    head = head_of(model)
    assert head == {2, 3}
    for key, statistics in found.items():
        if key[0] not in head:
            np.testing.assert_array_equal(statistics.low, every[key].low)
            np.testing.assert_array_equal(statistics.sample, every[key].sample)
        else:
            np.testing.assert_allclose(statistics.low, answers[key].min(axis=0), atol=1e-12)
            np.testing.assert_allclose(statistics.high, answers[key].max(axis=0), atol=1e-12)
            if key[1] == "x":
                np.testing.assert_allclose(statistics.sample, answers[key], atol=1e-12)


def test_the_report_judges_the_answers():
    model, xs = windowed(float_model("lstm", gain=2.0), 15), stream(900, 3)
    integer = quantize(model, xs, progress=False)
    report = quantization_report(model, integer, xs)
    windows = windows_of(xs, 15)
    wanted = float_run.run(model, windows)[0][:, -1]
    with edgernn.load(integer) as session:
        got = session.run(xs)[14:]
    noise = np.square(got - wanted).sum()
    signal = np.square(wanted - wanted.mean(axis=0)).sum()
    assert report.windows == len(windows)
    assert report.tensors[-1].sqnr_db == pytest.approx(10 * np.log10(signal / noise), abs=0.05)
    assert f"the outputs for {len(windows)} windows" in report.table()


def test_how_far_an_endless_stream_strays_is_measured():
    model, xs = windowed(float_model("gru_after", gain=1.5), 6), stream(400, 3)
    wanted = float_run.run(model, windows_of(xs, 6))[0][:, -1]
    endless = float_run.run(model, xs[None])[0][0, 5:]
    share = np.sqrt(np.mean(np.square(endless - wanted))) / np.sqrt(
        np.mean(np.square(wanted - wanted.mean(axis=0)))
    )
    for given in (xs[None], windows_of(xs, 6)):
        found = endless_error(model, [given], Window(steps=6))
        assert found is not None
        assert found.share == pytest.approx(share, rel=1e-6)
        assert found.answers == 395
    apart = endless_error(model, [windows_of(xs, 6, hop=6)], Window(steps=6))
    assert apart is not None
    assert apart.answers == 66
    assert apart.share == pytest.approx(share, rel=0.3)


def test_quantize_says_what_an_endless_stream_would_change(capsys):
    model = windowed(float_model("gru_after", gain=1.5), 6)
    integer = quantize(model, stream(400, 3), progress=True)
    said = capsys.readouterr().err
    assert "as an endless stream instead of windows" in said
    assert "395 outputs in the calibration data" in said
    share = dict(integer.provenance.settings)["endless_error"]
    assert float(said.split(" by ")[1].split("%")[0]) / 100 == pytest.approx(float(share), rel=0.06)
    with pytest.warns(StreamKindWarning, match=r"gru_after: as an endless stream.*stream='window'"):
        ended = quantize(model, stream(400, 3), stream="endless", progress=False)
    assert ended.window is None


def test_a_network_without_a_number_of_steps_is_asked_about():
    model = dataclasses.replace(float_model("lstm"), return_sequences=False)
    with pytest.warns(StreamKindWarning, match="one output per sequence .*window=T"):
        assert quantize(model, stream(600, 3), progress=False).window is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert quantize(model, stream(600, 3), stream="endless", progress=False).window is None
        asked = quantize(model, stream(600, 3), window=7, hop=2, progress=False)
    assert asked.window == Window(steps=7, hop=2)


CHOICES = {
    "auto": ({}, Window(steps=12)),
    "hop": ({"hop": 4}, Window(steps=12, hop=4)),
    "named": ({"stream": "window"}, Window(steps=12)),
    "another length": ({"window": 30}, Window(steps=30)),
    "endless": ({"stream": "endless"}, None),
}


@pytest.mark.parametrize(("own", "steps"), [(24, 4), (4, 24)])
def test_another_window_than_the_networks_is_said_with_its_size(own, steps):
    model, xs = windowed(float_model("gru_after", gain=0.5), own), stream(600, 3)
    said = r"windows of (\d+) readings and is quantized for windows of (\d+); .* by ([\d.]+)% of"
    with pytest.warns(StreamKindWarning, match=said) as caught:
        assert quantize(model, xs, window=steps, progress=False).window == Window(steps=steps)
    (warned,) = (str(w.message) for w in caught if w.category is StreamKindWarning)
    found = re.search(said, warned)
    assert (int(found[1]), int(found[2])) == (own, steps)
    ends = np.arange(24, 601)
    wanted, got = (
        float_run.run(model, np.stack([xs[end - t : end] for end in ends]))[0][:, -1]
        for t in (own, steps)
    )
    share = np.sqrt(np.mean(np.square(got - wanted)) / np.mean(wanted.var(axis=0)))
    assert share > 0.005
    assert float(found[3]) / 100 == pytest.approx(share, rel=0.1)


def test_another_window_that_no_stream_can_measure_is_said_to():
    model = windowed(float_model("gru_after"), 24)
    with pytest.warns(StreamKindWarning, match="12; the effect is unknown"):
        quantize(model, stream(240, 3).reshape(12, 20, 3), window=12, progress=False)


@pytest.mark.parametrize("name", CHOICES)
def test_choices_for_a_network_of_windows(name):
    options, window = CHOICES[name]
    model = keras.Sequential([keras.Input((12, 2)), L.GRU(3)])
    assert choose_window(read_keras(model), **options) == window


REFUSED = {
    "kind": ({"stream": "windows"}, r"stream: expected one of 'auto', 'window', 'endless'"),
    "window of an endless stream": ({"stream": "endless", "window": 5}, "window: expected none"),
    "hop of an endless stream": ({"hop": 5}, "hop: expected none for an endless stream, got 5"),
    "no length": ({"stream": "window"}, r"expected the number of readings .*window=T"),
    "length": ({"window": 0}, "window: expected 1 to 32767 readings, got 0"),
    "hop": ({"window": 5, "hop": 1.5}, "hop: expected 1 to 32767 readings, got 1.5"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_choices(name):
    options, match = REFUSED[name]
    with pytest.raises(QuantizationError, match=match):
        choose_window(float_model("lstm"), **options)
