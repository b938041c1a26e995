"""Strides, pooling and valid padding from Keras: answer by answer what `predict` gives."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest

from edgernn.errors import (
    CalibrationError,
    QuantizationError,
    StreamKindWarning,
    UnsupportedModelError,
)
from edgernn.model.interface import Rate
from edgernn_export import quantize
from edgernn_export.float_model import float_run
from edgernn_export.float_model.float_run import with_softmax
from edgernn_export.float_model.model import FloatDelay
from edgernn_export.keras_reader.reader import read_keras
from edgernn_export.quantizer.report import quantization_report
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from edgernn_firmware_sim.reference.reference import Reference

L = keras.layers


def network(*layers, steps=None, inputs=3):
    given = made = keras.Input((steps, inputs))
    for layer in layers:
        made = layer(made)
    model = keras.Model(given, made)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if not isinstance(layer, L.Normalization):
            drawn = [w + rng.normal(size=w.shape) * 0.1 for w in layer.get_weights()]
            layer.set_weights([np.abs(w) for w in drawn] if "batch" in layer.name else drawn)
    return model


def branches():
    """Two ways with the same strides, and one of them with a residual."""
    given = keras.Input((None, 3))
    first = L.Conv1D(4, 3, strides=2, padding="causal", activation="relu")(given)
    again = L.Conv1D(4, 3, padding="causal", activation="tanh")(first)
    second = L.AveragePooling1D(1, strides=2)(L.Dense(4, activation="relu")(given))
    joined = L.Concatenate()([L.Add()([first, again]), second])
    return keras.Model(given, L.Dense(2)(L.GRU(5, return_sequences=True)(joined)))


def last(cell):
    return cell(6, return_sequences=True), L.Dense(2)


#: The network, readings of a step, readings until the first answer, readings it comes late.
NETWORKS = {
    "pooled": (lambda: network(L.Conv1D(5, 3, activation="relu"), L.MaxPooling1D(2), *last(L.GRU)),
               (2, 4, 0)),
    "strided": (lambda: network(L.Normalization(mean=[1.0, 2, 3], variance=[4.0, 1, 1]),
                                L.Conv1D(5, 4, strides=2, padding="causal"), *last(L.LSTM)),
                (2, 1, 0)),
    "twice": (lambda: network(L.Conv1D(5, 3, strides=2, padding="causal", activation="relu"),
                              L.Conv1D(4, 3, strides=2, padding="causal"), *last(L.SimpleRNN)),
              (4, 3, 2)),
    "valid": (lambda: network(L.Conv1D(5, 3, activation="relu"), L.BatchNormalization(),
                              L.Conv1D(4, 3, dilation_rate=2, activation="tanh"), *last(L.GRU)),
              (1, 7, 0)),
    "separable": (lambda: network(L.SeparableConv1D(5, 3, activation="relu"),
                                  L.AveragePooling1D(3, strides=2), L.DepthwiseConv1D(2, strides=2),
                                  *last(L.GRU)),
                  (4, 7, 0)),
    "padded by a layer": (lambda: network(L.ZeroPadding1D((3, 0)), L.DepthwiseConv1D(4, strides=3),
                                          *last(L.GRU)), (3, 1, 0)),
    "one tap": (lambda: network(L.Conv1D(4, 1, strides=3, activation="relu"), *last(L.GRU)),
                (3, 1, 0)),
    "branches": (branches, (2, 1, 0)),
}  # fmt: skip


def readings(streams=2, steps=60, inputs=3, seed=1):
    return np.random.default_rng(seed).normal(size=(streams, steps, inputs))


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(4)


@pytest.mark.parametrize("suffix", ["", ".keras", ".h5"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_float_run_is_predict(name, suffix, tmp_path):
    make, (every, first, late) = NETWORKS[name]
    source = model = make()
    if suffix:
        source = tmp_path / f"network{suffix}"
        model.save(source)
    read = read_keras(source)
    assert read.rate == Rate(readings=every, first=first, latency=late)
    xs = readings()
    wanted = model.predict(xs, verbose=0)
    got = float_run.answers(read, xs)
    # The last answer of an exact number of readings may come behind them, where it is late.
    assert 0 <= wanted.shape[1] - got.shape[1] <= (late > 0)
    assert np.abs(got - wanted[:, : got.shape[1]]).max() < 1e-6


@pytest.mark.parametrize("name", NETWORKS)
def test_the_float_onnx_form_takes_steps_and_begins_anew_before_the_first_answer(name):
    ort = pytest.importorskip("onnxruntime")
    model, xs = NETWORKS[name][0](), readings()
    read, wanted = read_keras(model), model.predict(xs, verbose=0)
    session = ort.InferenceSession(write_onnx_float(read), providers=["CPUExecutionProvider"])
    first = {v.name: np.zeros((1, 2, v.shape[2]), np.float32) for v in session.get_inputs()[1:]}
    steps = float_run.blocks_of(read, read.rate, xs).swapaxes(0, 1).astype(np.float32)
    states, early = first, read.rate.unanswered
    if early:
        _, *after = session.run(None, {"x": steps[:early], **first})
        held = {f"{x.name}.h" for x in read.layers if isinstance(x, FloatDelay)}
        went = dict(zip(first, after, strict=True))
        states = {name: went[name] if name in held else zero for name, zero in first.items()}
    got = session.run(["y"], {"x": steps[early:], **states})[0].swapaxes(0, 1)
    assert np.abs(got - wanted[:, : got.shape[1]]).max() < 1e-5


def test_the_float_onnx_form_of_strides_takes_one_input():
    a, b = keras.Input((None, 2), name="a"), keras.Input((None, 1), name="b")
    pooled = L.Conv1D(4, 2, strides=2, padding="causal")(L.Concatenate()([a, b]))
    model = keras.Model([a, b], L.Dense(2)(L.GRU(3, return_sequences=True)(pooled)))
    with pytest.raises(UnsupportedModelError, match="expected one input for a float ONNX file"):
        write_onnx_float(read_keras(model))


def drawn(rng):
    """A stack of convolutions and pooling; ValueError where it is longer than the readings."""
    kind = rng.choice(["valid", "causal"])
    given = made = keras.Input((40, 2))
    for _ in range(rng.randint(2, 4)):
        width, stride = rng.randint(1, 4), rng.choice([1, 2, 3])
        options = {"padding": kind, "bias_initializer": "normal"}
        layer = rng.choice(
            [
                L.Conv1D(3, width, strides=stride, activation="relu", **options),
                L.Conv1D(2, width, dilation_rate=2, activation="tanh", **options),
                L.MaxPooling1D(width, strides=rng.choice([None, stride])),
                L.AveragePooling1D(width, strides=stride),
                L.Dense(3, activation="sigmoid"),
            ]
        )
        made = layer(made)
    recurrent = rng.choice([L.GRU, L.LSTM, L.SimpleRNN])(3, return_sequences=rng.random() < 0.6)
    return keras.Model(given, L.Dense(2)(recurrent(made)))


@pytest.mark.slow
def test_stacks_that_were_drawn_are_predict_or_refused():
    rng, read = random.Random(5), 0
    for _ in range(40):
        try:
            model = drawn(rng)
            network = read_keras(model)
        except UnsupportedModelError as error:
            assert "padding='causal' in all" in str(error) or "more than its" in str(error)
            continue
        except ValueError:
            continue
        xs = readings(1, 40, 2)
        wanted, got = model.predict(xs, verbose=0), float_run.answers(network, xs)
        got = got[:, : wanted.shape[1]] if wanted.ndim == 3 else got[:, -1]
        assert np.abs(got - wanted[:, : got.shape[1]] if got.ndim == 3 else got - wanted).max() < (
            1e-6
        )
        read += network.rate is not None
    assert read >= 15


@pytest.mark.parametrize(("precision", "limit"), [("w8a8", 0.08), ("w8a16", 0.02)])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_integers_are_near_it_from_the_first_answer_on(name, precision, limit):
    model, xs = NETWORKS[name][0](), readings(3, 400)
    integer = quantize(model, xs, precision, progress=False)
    network = read_keras(model)
    reference, interface = Reference(integer), integer.interface()
    q_ys, _ = reference.run(*reference.begun(interface.quantize(xs)))
    got, wanted = interface.dequantize(q_ys), with_softmax(network, float_run.answers(network, xs))
    assert np.sqrt(np.mean((got - wanted) ** 2)) < limit * wanted.std()
    assert np.abs(got[:, :3] - wanted[:, :3]).max() < 8 * limit * wanted.std()


@pytest.mark.parametrize(("steps", "precision"), [(None, "w8a8"), (21, "w8a16")])
def test_the_report_compares_what_is_computed_for_several_rows(steps, precision):
    layers = L.Conv1D(5, 3, activation="relu", name="conv"), L.MaxPooling1D(2), L.LSTM(6)
    model, xs = network(*layers, L.Dense(2), steps=steps), readings(1, 200)
    if steps is None:
        with pytest.warns(StreamKindWarning, match="with one answer every 2 readings, the first"):
            integer = quantize(model, xs, precision, progress=False)
    else:
        integer = quantize(model, xs, precision, progress=False)
    report = quantization_report(read_keras(model), integer, xs)
    (rows,) = (tensor for tensor in report.tensors if tensor.name == "conv.out")
    assert rows.sqnr_db > 30
    assert rows.worst_unit < 10  # of 5 filters at 2 readings


def test_a_window_is_answered_as_predict_does():
    layers = L.Conv1D(5, 3, activation="relu"), L.MaxPooling1D(2), L.LSTM(6), L.Dense(2)
    model, xs = network(*layers, steps=21), readings(1, 400)
    integer = quantize(model, xs, "w8a16", progress=False)
    assert integer.window is not None
    assert integer.window.steps == 21
    assert integer.rate == Rate(readings=2, first=4)
    windows = np.lib.stride_tricks.sliding_window_view(xs[0], 21, axis=0).swapaxes(1, 2)
    reference, interface = Reference(integer), integer.interface()
    q_ys, _ = reference.run(*reference.begun(interface.quantize(windows)))
    got, wanted = interface.dequantize(q_ys[:, -1]), model.predict(windows, verbose=0)
    assert np.sqrt(np.mean((got - wanted) ** 2)) < 0.01 * wanted.std()


def refused(model):
    with pytest.raises(UnsupportedModelError) as caught:
        read_keras(model)
    return str(caught.value)


def test_recurrent_layers_before_strides_are_refused_and_the_cure_works():
    text = refused(network(L.GRU(4, return_sequences=True), L.MaxPooling1D(2), *last(L.GRU)))
    assert "one with a value every reading" in text
    assert "Move strides, pooling and padding='valid' before all recurrent layers" in text
    read_keras(network(L.MaxPooling1D(2), L.GRU(4, return_sequences=True), *last(L.GRU)))
    text = refused(network(L.GRU(4, return_sequences=True), L.Conv1D(4, 3), L.Dense(2)))
    assert "starting at reading 3" in text
    causal = L.Conv1D(4, 3, padding="causal")
    read_keras(network(L.GRU(4, return_sequences=True), causal, L.Dense(2)))


def test_padding_behind_valid_is_refused_and_the_cure_works():
    text = refused(network(L.Conv1D(4, 3), L.Conv1D(4, 3, padding="causal"), *last(L.GRU)))
    assert "Train with padding='causal' in all convolutions" in text
    both = [L.Conv1D(4, 3, padding="causal") for _ in range(2)]
    assert read_keras(network(*both, *last(L.GRU))).rate is None
    # The other way round nothing is computed of padding that Keras pads with 0.
    mixed = [L.Conv1D(4, 3, padding=padding) for padding in ("causal", "valid")]
    assert read_keras(network(*mixed, *last(L.GRU))).rate == Rate(readings=1, first=3)


def test_branches_of_several_rates_are_refused():
    given = keras.Input((None, 3))
    slow, fast = L.Conv1D(4, 2, strides=2)(given), L.Conv1D(4, 2)(given)
    joined = L.Concatenate()([slow, fast])
    text = refused(keras.Model(given, L.Dense(1)(L.GRU(3, return_sequences=True)(joined))))
    assert "every 2 readings, starting at reading 2; every reading, starting at reading 2" in text
    outputs = [L.Dense(1)(L.GRU(3, return_sequences=True)(flow)) for flow in (slow, fast)]
    assert "outputs at the same readings" in refused(keras.Model(given, outputs))


def test_a_window_whose_last_answer_comes_late_is_refused_and_the_cure_works():
    def model(steps):
        twice = (L.Conv1D(4, 3, strides=2, padding="causal") for _ in range(2))
        return network(*twice, L.GRU(4), L.Dense(1), steps=steps)

    text = refused(model(21))
    assert "expected windows of 23 readings, 2 more" in text
    assert "keras.Input((23, features))" in text
    longer = model(23)
    longer.set_weights(model(21).get_weights())
    xs = readings(4, 23)
    got = float_run.answers(read_keras(longer), xs)[:, -1]
    assert np.abs(got - longer.predict(xs, verbose=0)).max() < 1e-6


def test_networks_without_a_state_and_other_pooling_are_refused():
    text = refused(network(L.Conv1D(4, 2, strides=2), L.Dense(2)))
    assert "A network without a state needs no session" in text
    assert "train with padding='valid'" in refused(
        network(L.MaxPooling1D(2, padding="same"), *last(L.GRU))
    )


def test_streams_without_an_answer_are_refused():
    model = network(L.Conv1D(4, 8, activation="relu"), *last(L.GRU))
    with pytest.raises(CalibrationError, match="at least 8 readings"):
        quantize(model, readings(2, 7), progress=False)
    with pytest.raises(QuantizationError, match="at least 8 readings, after which"):
        quantize(model, readings(2, 60), stream="window", window=7, progress=False)
