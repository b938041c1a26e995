"""Causal convolutions from Keras: the float run is `predict`, and the integers are near it."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

import edgernn
from edgernn.backends import open_model
from edgernn.errors import QuantizationError, UnsupportedModelError
from edgernn.model.layers import Delay
from edgernn_export import quantize
from edgernn_export.float_model.float_run import run, with_softmax
from edgernn_export.keras_reader.reader import read_keras
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from edgernn_firmware_sim.reference.reference import Reference

L = keras.layers
MEAN, VARIANCE = [1.0, 2.0, -20.0], [1.0, 4.0, 9.0]


def randomized(model):
    rng = np.random.default_rng(0)
    for layer in model.layers:
        weights = layer.get_weights()
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in weights])
        elif not isinstance(layer, L.Normalization):
            layer.set_weights([w + rng.normal(size=w.shape) * 0.1 for w in weights])
    return model


def chain(*layers):
    return randomized(keras.Sequential([keras.Input((None, 3)), *layers]))


def residual():
    given = keras.Input((None, 3))
    first = L.Conv1D(4, 3, padding="causal", activation="relu")(given)
    both = L.Concatenate()([given, first])
    second = L.Conv1D(3, 2, padding="causal", dilation_rate=3)(both)
    hidden = L.GRU(5, return_sequences=True)(L.Add()([second, given]))
    return randomized(keras.Model(given, L.Dense(2)(hidden)))


NETWORKS = {
    "before a GRU": lambda: chain(
        L.Conv1D(5, 3, padding="causal", activation="relu"), L.GRU(6, return_sequences=True),
        L.Dense(2),
    ),
    "behind scalings": lambda: chain(
        L.Normalization(mean=MEAN, variance=VARIANCE),
        L.Conv1D(5, 4, padding="causal", dilation_rate=2, activation="tanh"),
        L.BatchNormalization(), L.Conv1D(4, 2, padding="causal", use_bias=False), L.ReLU(),
        L.LSTM(5, return_sequences=True), L.Dense(3, activation="softmax"),
    ),
    "depthwise and separable": lambda: chain(
        L.ZeroPadding1D((4, 0)), L.DepthwiseConv1D(3, dilation_rate=2, activation="relu"),
        L.ZeroPadding1D((2, 0)), L.SeparableConv1D(4, 3, activation="relu"), L.Conv1D(2, 1),
    ),
    "one tap": lambda: chain(
        L.Conv1D(4, 1, activation="relu"), L.DepthwiseConv1D(1),
        L.Conv1D(4, 3, padding="causal"), L.Dropout(0.1), L.Dense(2),
    ),
    "behind a GRU": lambda: chain(
        L.GRU(4, return_sequences=True), L.BatchNormalization(),
        L.Conv1D(4, 3, padding="causal", activation="sigmoid"), L.Dense(2),
    ),
    "residual": residual,
}  # fmt: skip


def readings(name="", streams=2, steps=40, seed=1):
    """Around 0, but for the network that takes the mean away itself."""
    mean = MEAN if name == "behind scalings" else (0, 0, 0)
    rng = np.random.default_rng(seed)
    return rng.normal(size=(streams, steps, 3)).astype(np.float32) + np.float32(mean)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(4)


@pytest.mark.parametrize("suffix", ["", ".keras", ".h5"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_float_run_is_predict(name, suffix, tmp_path):
    model, xs = NETWORKS[name](), readings(name)
    wanted = model.predict(xs, verbose=0)
    source = model
    if suffix:
        source = tmp_path / f"network{suffix}"
        model.save(source)
    network = read_keras(source)
    whole, _ = run(network, xs.astype(np.float64))
    tolerance = 1e-6 * max(1.0, np.abs(wanted).max())
    assert np.abs(with_softmax(network, whole) - wanted).max() < tolerance
    first, state = run(network, xs[:, :13].astype(np.float64))
    rest, _ = run(network, xs[:, 13:].astype(np.float64), state)
    assert np.allclose(np.concatenate([first, rest], axis=1), whole, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore::edgernn.LongMemoryWarning")
@pytest.mark.parametrize(("precision", "limit"), [("w8a8", 0.06), ("w8a16", 0.015)])
@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"behind a GRU"}))
def test_the_integers_are_near_it_from_the_first_reading_on(name, precision, limit):
    model, xs = NETWORKS[name](), readings(name, 3, 400)
    wanted = model.predict(xs, verbose=0)
    integer = quantize(model, xs, precision, progress=False)
    session = edgernn.Session(open_model(integer, "reference"))
    softmax = integer.output.softmax
    got = session.run(xs[0], softmax=softmax)
    spread = wanted.std()
    assert np.sqrt(np.mean((got - wanted[0]) ** 2)) < limit * spread
    assert np.abs(got[:6] - wanted[0, :6]).max() < 8 * limit * spread
    session.reset()
    pieces = [session.run(part, softmax=softmax) for part in np.split(xs[0], [1, 2, 9, 100])]
    assert np.array_equal(np.concatenate(pieces), got)
    saved, before = session.state, session.run(xs[1, :5], softmax=softmax)
    session.reset()
    session.state = saved
    assert np.array_equal(session.run(xs[1, :5], softmax=softmax), before)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (L.Conv1D(4, 3, padding="same"), "A stream has no future"),
        (L.Conv1D(3, 3, padding="causal", groups=3), "Train with groups=1"),
        (L.DepthwiseConv1D(3, depth_multiplier=2), "Train with depth_multiplier=1"),
        (L.ZeroPadding1D((1, 1)), "pad only its start"),
        (L.ZeroPadding1D((2, 0)), "Move it directly before the convolution"),
        (L.Conv1D(4, 3, padding="causal", activation="glu"), "which combines two values"),
    ],
)
def test_what_a_stream_cannot_do_is_refused(layer, message):
    with pytest.raises(UnsupportedModelError, match=message):
        read_keras(chain(layer, L.GRU(3)))


def test_padding_that_a_convolution_does_not_need_is_refused():
    model = chain(L.ZeroPadding1D((2, 0)), L.Conv1D(4, 3, padding="causal"), L.GRU(3))
    with pytest.raises(UnsupportedModelError, match="2 before padding='causal'"):
        read_keras(model)
    tanh = chain(L.ZeroPadding1D((2, 0)), L.DepthwiseConv1D(3, activation="tanh"), L.GRU(3))
    assert [layer.kind for layer in read_keras(tanh).layers][-2:] == ["pointwise", "gru"]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_float_onnx_form_answers_as_predict_from_the_first_reading_on(name):
    ort = pytest.importorskip("onnxruntime")
    model, xs = NETWORKS[name](), readings(name)
    wanted, content = model.predict(xs, verbose=0), write_onnx_float(read_keras(model))
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    states = {v.name: np.zeros((1, 2, v.shape[2]), np.float32) for v in session.get_inputs()[1:]}
    got = []
    for chunk in np.split(xs.swapaxes(0, 1), [1, 3, 20]):
        y, *after = session.run(None, {"x": chunk, **states})
        states = dict(zip(states, after, strict=True))
        got.append(y)
    tolerance = 1e-5 * max(1.0, np.abs(wanted).max())
    assert np.abs(np.concatenate(got).swapaxes(0, 1) - wanted).max() < tolerance


def test_the_range_of_an_input_holds_what_stands_for_rows_before_the_stream():
    model, xs = NETWORKS["before a GRU"](), readings("", 3, 400) + np.float32(MEAN)
    integer = quantize(model, xs, progress=False)
    low, high = _range(integer)
    assert (low <= 0).all() and (high >= 0).all()
    delay = integer.layers[0]
    assert isinstance(delay, Delay)
    real = delay.start * integer.input.scale + integer.input.offset
    assert np.abs(real).max() <= integer.input.scale.max() / 2
    with pytest.raises(QuantizationError, match="expected a range that includes 0"):
        quantize(model, xs, input_range=[None, None, (-25.0, -15.0)], progress=False)


def test_rows_that_a_layer_has_no_codes_for_are_refused():
    """0 behind the BatchNormalization is 1.4 in front of it, and the state of a GRU ends at 1."""
    with pytest.raises(QuantizationError, match="Train without the scaling"):
        quantize(NETWORKS["behind a GRU"](), readings("", 3, 400), progress=False)


def _range(integer):
    high = 127 * integer.input.scale
    return integer.input.offset - high, integer.input.offset + high


def test_a_window_of_a_convolution_is_predict_on_it():
    """Each window begins with the rows of zeros that Keras pads with."""
    model = randomized(
        keras.Sequential(
            [keras.Input((12, 3)), L.Conv1D(4, 3, padding="causal"), L.GRU(5), L.Dense(2)]
        )
    )
    xs = readings("", 1, 300)
    integer = quantize(model, xs, "w8a16", progress=False)
    assert integer.window is not None
    assert integer.window.steps == 12
    session = edgernn.Session(open_model(integer, "reference"))
    got = session.run(xs[0])
    windows = np.stack([xs[0, t - 11 : t + 1] for t in range(11, 300)])
    wanted = model.predict(windows, verbose=0)
    assert np.isnan(got[:11]).all()
    assert np.sqrt(np.mean((got[11:] - wanted) ** 2)) < 0.005 * wanted.std()
    endless = dataclasses.replace(integer, window=None)
    codes = integer.interface().quantize(xs[0, 20:32])
    assert np.array_equal(
        integer.interface().dequantize(Reference(endless).run(codes)[0][-1]), got[31]
    )
