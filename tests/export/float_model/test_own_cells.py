"""Registered cells in real numbers: Keras, formulas written by hand, and the layers' own cells."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.errors import LongMemoryWarning, ModelError, RangeRefused, UnsupportedModelError
from edgernn.graph.lowering import register_cell
from edgernn.model.layers import LSTM
from edgernn_export.cells import FloatCell, RegisteredCell
from edgernn_export.float_model import float_run
from edgernn_export.float_model.cells import CELLS, sigmoid
from edgernn_export.float_model.model import FloatGRU, FloatLSTM, FloatSimpleRNN
from edgernn_export.keras_reader.reader import read_keras
from edgernn_export.quantizer.quantizer import quantize
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.coupled_lstm import keras_cell
from tests.support.models.float import stream
from tests.support.models.keras import answer, randomised, readings, sequential
from tests.support.models.registered import ALL_CELLS, float_cell, float_network, inner_widths

pytestmark = pytest.mark.sampled(2)

INPUTS, UNITS = 3, 5


def tensors(layer, states):
    xs = np.random.default_rng(3).normal(size=(40, 2, INPUTS))
    found, new = CELLS[type(layer)](layer, xs, tuple(np.zeros((2, UNITS)) for _ in range(states)))
    return found, new


def as_cell(layer, kind, options, maps):
    """The same layer, run by its lowering; maps: name -> rows, source of the recurrent matrix."""
    weights = {}
    for name, (rows, source) in maps.items():
        bias = layer.bias[rows]
        if source != "h" or name != "n_h":
            weights[f"{name}.x"] = layer.kernel[rows]
        if name == "n_h":
            bias = layer.recurrent_bias[rows]
        elif name == "zr":
            bias = bias + layer.recurrent_bias[rows]
        if source:
            weights[f"{name}.{source}"] = layer.recurrent[rows]
        weights[f"{name}.bias"] = bias
    return FloatCell.of(kind, layer.name, options, weights)


def weights(gates, **more):
    rng = np.random.default_rng(8)
    rows = gates * UNITS
    shapes = {"kernel": (rows, INPUTS), "recurrent": (rows, UNITS), "bias": (rows,)}
    return {"name": "a", **{k: rng.normal(0, 0.6, s) for k, s in shapes.items()}, **more}


ALL, ZR, N = slice(None), slice(0, 2 * UNITS), slice(2 * UNITS, None)
BY_HAND = {
    "simple_rnn": (
        FloatSimpleRNN(**weights(1, activation="relu")),
        {"activation": "relu", "state_exponent": 11},
        {"gates": (ALL, "h")},
    ),
    "lstm": (
        FloatLSTM(**weights(4, recurrent_activation="hard_sigmoid")),
        {"gate_activation": "hard_sigmoid", "cell_exponent": 12},
        {"gates": (ALL, "h")},
    ),
    "gru_before": (
        FloatGRU(**weights(3, reset_after=False, recurrent_bias=np.zeros(3 * UNITS))),
        {"gate_activation": "sigmoid"},
        {"zr": (ZR, "h"), "n": (N, "rh")},
    ),
    "gru_after": (
        FloatGRU(**weights(3, reset_after=True, recurrent_bias=np.linspace(-1, 1, 3 * UNITS))),
        {"gate_activation": "sigmoid"},
        {"zr": (ZR, "h"), "n_x": (N, ""), "n_h": (N, "h")},
    ),
}


@pytest.mark.parametrize("kind", BY_HAND)
def test_cells_written_by_hand_do_what_their_lowering_does(kind):
    layer, options, maps = BY_HAND[kind]
    cell = as_cell(layer, kind, options, maps)
    states = len(cell.state_widths)
    (wanted, end), (got, last) = tensors(layer, states), tensors(cell, states)
    assert np.abs(got["h"] - wanted["h"]).max() < 1e-12
    assert all(np.abs(a - b).max() < 1e-12 for a, b in zip(end, last, strict=True))


def even(z, w, name, gain=None):
    """Layer normalization, its gain and its offset, where there is one."""
    v, gain = z[name], f"gain_{gain or name}"
    centred = v - v.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(v.var(axis=-1, keepdims=True) + 1e-3)
    return w[gain] * centred / deviation + w.get(f"{gain}.offset", 0)


def by_formula(kind, w, xs):
    """The equations of the papers; xs [T, B, I]."""
    h, c = np.zeros((xs.shape[1], UNITS)), 0.0
    outputs = []
    for x in xs:
        z = {
            name: w.get(f"{name}.bias", 0)
            + (x @ w[f"{name}.x"].T if f"{name}.x" in w else 0)
            + (h @ w[f"{name}.h"].T if f"{name}.h" in w else 0)
            for name in {key.partition(".")[0] for key in w}
        }
        if kind == "minimal_gru":
            f = sigmoid(z["f"])
            h = (1 - f) * h + f * np.tanh(z["n"] + (f * h) @ w["n.rh"].T)
        elif kind == "min_gru":
            gate = sigmoid(z["z"])
            h = (1 - gate) * h + gate * z["n"]
        elif kind == "linear_recurrence":
            h = w["decay"] * h + z["entry"]
        elif kind == "peephole_lstm":
            i, f, g, o = np.split(z["gates"], 4, axis=-1)
            i, f = sigmoid(i + w["peephole_i"] * c), sigmoid(f + w["peephole_f"] * c)
            c = f * c + i * np.tanh(g)
            h = sigmoid(o + w["peephole_o"] * c) * np.tanh(c)
        elif kind == "layer_norm_lstm":
            i, f, g, o = np.split(even(z, w, "gates_x", "x") + even(z, w, "gates_h", "h"), 4, -1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(even({"c": c}, w, "c", "c"))
        elif kind == "layer_norm_gru":
            update, r = np.split(sigmoid(even(z, w, "zr_x") + even(z, w, "zr_h")), 2, -1)
            n = np.tanh(even(z, w, "n_x") + r * even(z, w, "n_h"))
            h = (1 - update) * h + update * n
        elif kind == "projected_lstm":
            i, f, g, o = np.split(z["gates"], 4, axis=-1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = (sigmoid(o) * np.tanh(c)) @ w["projection.rh"].T + z["projection"]
        elif kind == "fast_rnn":
            h = w["alpha"] * np.tanh(z["gates"]) + w["beta"] * h
        elif kind.endswith("fast_grnn"):
            v = z["gates"]
            if "reduced.h" in w:
                v = v + z["reduced"] @ w["gates.rh"].T
            gate, n = sigmoid(v), np.tanh(v + w["candidate.offset"])
            h = (w["mix.offset"] + w["mix"] * gate) * n + gate * h
        elif kind == "cfc":
            m = np.tanh(z["backbone"])
            first, second, a, b = np.split(m @ w["heads.rh"].T + z["heads"], 4, axis=-1)
            s = sigmoid(a * z["elapsed"] + b)
            h = (1 - s) * np.tanh(first) + s * np.tanh(second)
        elif kind == "zoneout_lstm":
            i, f, g, o = np.split(z["gates"], 4, axis=-1)
            new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = w["keep_h"] * h + w["take_h"] * sigmoid(o) * np.tanh(new)
            c = w["keep_c"] * c + w["take_c"] * new
        elif kind == "zoneout_gru":
            update, r = np.split(sigmoid(z["zr"]), 2, axis=-1)
            n = np.tanh(z["n_x"] + r * z["n_h"])
            h = w["keep_h"] * h + w["take_h"] * (update * h + (1 - update) * n)
        else:
            f, g, o = np.split(z["gates"], 3, axis=-1)
            c = sigmoid(f) * c + (1 - sigmoid(f)) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs)


@pytest.mark.parametrize("kind", ALL_CELLS)
def test_the_equations(kind):
    cell = float_cell(kind, "a", INPUTS, UNITS)
    xs = np.random.default_rng(3).normal(size=(40, 2, INPUTS))
    got, _ = CELLS[FloatCell](cell, xs, tuple(np.zeros((2, n)) for n in cell.state_widths))
    wanted = by_formula(kind, cell.by_name, xs)
    output = got[cell.plan.output]
    assert np.abs(output - wanted).max() < 1e-12 * max(1.0, np.abs(wanted).max())


@pytest.mark.tf
@pytest.mark.parametrize("kind", [*ALL_CELLS, "hand-written"])
def test_keras_and_its_files(kind, tmp_path):
    import keras

    if kind == "hand-written":
        made = keras_cell(UNITS)
    else:
        made = RegisteredCell(kind, UNITS, inner_widths(kind, UNITS))
    model = sequential(
        keras.layers.Rescaling(0.5, offset=0.2),
        keras.layers.RNN(made, return_sequences=True, name="own"),
        keras.layers.GRU(4, return_sequences=True),
        keras.layers.Dense(2),
    )
    for variable in model.weights:
        if variable.name == "decay":
            variable.assign(np.linspace(0, 0.95, UNITS))
    read = read_keras(model)
    assert isinstance(read.layers[0], FloatCell)
    assert read.parameters == model.count_params()
    xs = readings(steps=50)
    ys, _ = float_run.run(read, xs)
    assert np.abs(ys - answer(model, xs)).max() < 1e-6 * max(1.0, np.abs(ys).max())
    for name in ("a.keras", "a.h5"):
        model.save(tmp_path / name)
        assert read_keras(tmp_path / name).sha256 == read.sha256
    again = keras.saving.load_model(tmp_path / "a.keras")
    assert np.array_equal(answer(again, xs), answer(model, xs))


@pytest.mark.tf
def test_a_cell_learns():
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((None, 1)),
            keras.layers.RNN(RegisteredCell("linear_recurrence", 4)),
            keras.layers.Dense(1),
        ]
    )
    xs = np.random.default_rng(0).normal(size=(256, 12, 1)).astype(np.float32)
    model.compile("adam", "mse")
    model.optimizer.learning_rate = 0.02
    losses = model.fit(xs, xs.sum(axis=1), epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 4
    decay = next(np.asarray(v) for v in model.weights if v.name == "decay")
    assert (decay.min() >= 0, decay.max() <= 1) == (True, True)


@pytest.mark.tf
def test_what_nobody_registered_is_refused_with_a_cure():
    import keras

    class Strange(keras.layers.SimpleRNNCell):
        pass

    model = randomised(keras.Sequential([keras.Input((None, 2)), keras.layers.RNN(Strange(3))]))
    with pytest.raises(UnsupportedModelError, match=r"or register it: docs/guides/add-a-cell\.md"):
        read_keras(model)
    with pytest.raises(UnsupportedModelError, match=r"got an unknown name.*register_cell"):
        RegisteredCell("nobody", 3)
    with pytest.raises(UnsupportedModelError, match=r"gate_activation='sigmoid' or 'hard_sigmoid'"):
        float_cell_with(gate_activation="softmax")
    with pytest.raises(UnsupportedModelError, match=r"expected options \['gate_activation'\]"):
        float_cell_with(gates="sigmoid")


def float_cell_with(**options):
    cell = float_cell("min_gru", "a", INPUTS, UNITS)
    return replace(cell, options=tuple(options.items()))


def test_a_kind_is_of_one_cell():
    class Other(LSTM):
        kind = "lstm"

    with pytest.raises(ModelError, match=r"that no other layer uses, got 'lstm'"):
        register_cell(Other, None)


def test_states_that_no_exponent_holds_are_refused():
    network = float_network("linear_recurrence", gain=200.0)
    xs = 1e9 * np.random.default_rng(0).normal(size=(1, 400, 3))
    with pytest.raises(RangeRefused, match=r"first\.h: expected values within ±2147418112"):
        quantize(network, xs, progress=False)


@pytest.mark.parametrize(("kind", "most"), [("layer_norm_lstm", 64), ("layer_norm_gru", 128)])
def test_what_is_normalised_at_once_has_256_elements(kind, most):
    assert float_cell(kind, "a", 1, most).units == most
    message = rf"{kind}: expected at most {most} units, .* got {most + 1}\. Stack layers"
    with pytest.raises(UnsupportedModelError, match=message):
        RegisteredCell(kind, most + 1)
    cell = float_cell(kind, "a", INPUTS, UNITS)
    for wrong in (0.0, -1e-3, float("nan"), "small"):
        with pytest.raises(UnsupportedModelError, match="expected epsilon to be a number above 0"):
            replace(cell, options=tuple((dict(cell.options) | {"epsilon": wrong}).items()))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"gain_c.offset": 40.0},
            r"first\.gain_c\.offset: expected offsets within ±31\.999, got 40",
        ),
        ({"gain_c": 4e4}, r"first\.gain_c: expected constants within ±32767, got 40000"),
        ({"epsilon": 1e6}, r"first\.norm_x: normalization: expected an epsilon .* got 1e\+06"),
    ],
)
def test_normalizations_beyond_their_integers_are_refused(changed, message):
    network = float_network("layer_norm_lstm")
    cell = network.layers[0]
    weights = {
        name: np.full(w.shape, changed.get(name, 0)) if name in changed else w
        for name, w in cell.by_name.items()
    }
    options = {name: changed.get(name, option) for name, option in cell.options}
    cell = FloatCell.of(cell.kind, cell.name, options, weights)
    network = replace(network, layers=(cell, *network.layers[1:]))
    with pytest.raises(RangeRefused, match=message):
        quantize(network, np.random.default_rng(0).normal(size=(1, 50, 3)), progress=False)


def test_normalised_cells_keep_their_states_by_gates():
    (lstm,) = float_cell("layer_norm_lstm", "a", INPUTS, UNITS).plan.kept
    assert (lstm.state, lstm.value, lstm.complement) == (1, "f", False)
    (gru,) = float_cell("layer_norm_gru", "a", INPUTS, UNITS).plan.kept
    assert (gru.state, gru.value, gru.complement) == (0, "gates.z", True)


@pytest.mark.parametrize(("kind", "units"), [("layer_norm_lstm", 64), ("layer_norm_gru", 128)])
def test_normalised_integers_follow_the_real_numbers(kind, units):
    cell = float_cell(kind, "first", 3, units)
    network = float_network(kind)
    names = tuple(f"h{k}" for k in range(units))
    network = replace(network, layers=(cell,), output_names=names, output_units=("",) * units)
    xs = np.random.default_rng(0).normal(size=(2, 120, 3))
    wanted, _ = float_run.run(network, xs)
    for precision, error in (("w8a8", 0.05), ("w8a16", 0.004)):
        model = quantize(network, xs, precision, progress=False)
        codes, _ = Reference(model).run(model.interface().quantize(xs))
        got = model.interface().dequantize(codes)
        assert np.sqrt(np.mean((got - wanted) ** 2)) < error * wanted.std(), precision


@pytest.mark.parametrize("kind", ["linear_recurrence", "min_gru"])
def test_long_memory_is_said(kind):
    cell = float_cell(kind, "a", INPUTS, UNITS)
    changed = cell.by_name
    if kind == "linear_recurrence":
        changed["decay"] = np.array([0.5, 0.99999, 0.5, 0.5, 0.5])
        # What entered early and large stays in the range of later steps.
    else:
        changed["z.bias"] = np.array([0.0, -12.0, 0.0, 0.0, 0.0])
        changed["z.x"] = np.zeros((UNITS, INPUTS))
        changed["n.bias"] = np.array([0.0, 9.0, 0.0, 0.0, 0.0])
    network = float_network(kind)
    cell = FloatCell.of(kind, "a", dict(cell.options), changed)
    network = replace(
        network, layers=(cell,), output_names=tuple("abcde"), output_units=("",) * UNITS
    )
    xs = np.random.default_rng(0).normal(size=(1, 3000, 3))
    with pytest.warns(
        LongMemoryWarning, match=r"a: expected units .* 1 with a longer memory: 1 \("
    ):
        quantize(network, xs, "w8a16", state="16", progress=False)


@pytest.mark.parametrize("kind", ["peephole_lstm", "layer_norm_gru"])
def test_constants_are_parameters(kind, tmp_path, capsys):
    network = float_network(kind)
    quantize(network, stream(300, network.inputs), progress=False).save(tmp_path / "m.edgernn")
    assert main(["info", str(tmp_path / "m.edgernn"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == network.parameters
