"""The float records check themselves; the float run obeys the cell equations."""

import dataclasses
import math

import numpy as np
import pytest

from edgernn.errors import ShapeError, StateError, UnsupportedModelError
from edgernn_export.float_model import float_run
from edgernn_export.float_model.cells import ACTIVATIONS, hard_sigmoid, sigmoid
from edgernn_export.float_model.float_run import initial_state, run, softmax, step
from edgernn_export.float_model.model import FloatDense, FloatModel
from tests.support.models.float import FLOAT_CELLS, float_model, stream

GATES = {
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "hard_sigmoid": lambda v: min(max(v / 6 + 0.5, 0.0), 1.0),
}
OUTER = {
    "linear": lambda v: v,
    "relu": lambda v: max(v, 0.0),
    "tanh": math.tanh,
    "sigmoid": GATES["sigmoid"],
}


def scalar_step(layer, x, state):
    """One step of one stream in plain Python floats, unit by unit, from the equations."""

    def row(matrix, k, values):
        return math.fsum(float(w) * v for w, v in zip(matrix[k], values, strict=True))

    units = range(layer.units)
    size = layer.units
    if layer.kind == "dense":
        outer = OUTER[layer.activation]
        return [outer(row(layer.kernel, k, x) + layer.bias[k]) for k in units], state
    h = state[0]

    def pre(gate, k, hidden=None):
        at = gate * size + k
        own = row(layer.recurrent, at, h if hidden is None else hidden)
        return row(layer.kernel, at, x) + own + layer.bias[at]

    if layer.kind == "simple_rnn":
        h = [OUTER[layer.activation](pre(0, k)) for k in units]
        return h, (h,)
    gate = GATES[layer.recurrent_activation]
    if layer.kind == "lstm":
        c = [gate(pre(1, k)) * state[1][k] + gate(pre(0, k)) * math.tanh(pre(2, k)) for k in units]
        h = [gate(pre(3, k)) * math.tanh(c[k]) for k in units]
        return h, (h, c)
    second = layer.recurrent_bias
    z = [gate(pre(0, k) + second[k]) for k in units]
    r = [gate(pre(1, k) + second[size + k]) for k in units]
    if layer.reset_after:
        inner = [row(layer.recurrent, 2 * size + k, h) + second[2 * size + k] for k in units]
        zero = [0.0] * size
        n = [math.tanh(pre(2, k, zero) + r[k] * inner[k]) for k in units]
    else:
        reset = [a * b for a, b in zip(r, h, strict=True)]
        n = [math.tanh(pre(2, k, reset)) for k in units]
    h = [z[k] * h[k] + (1 - z[k]) * n[k] for k in units]
    return h, (h,)


@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid"])
@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_run_follows_the_equations(cell, gate):
    dense = ((4, "relu"), (3, "tanh"), (3, "sigmoid"))
    model = float_model(cell, seed=3, units=5, stack=2, gain=2.0, gate=gate, dense=dense)
    xs = stream(30, 3) * 3.0
    states = [tuple([0.0] * layer.units for _ in range(2)) for layer in model.layers]
    truth = []
    for x in xs.tolist():
        values = x
        for index, layer in enumerate(model.layers):
            values, states[index] = scalar_step(layer, values, states[index])
        truth.append(values)
    ys, _ = run(model, xs[None])
    np.testing.assert_allclose(ys[0], truth, rtol=0, atol=1e-10)


@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_any_chunking_gives_the_same_stream(cell, monkeypatch):
    """Up to the order in which a matrix product sums; the run takes 5 steps at once."""
    model = float_model(cell, stack=2)
    xs = np.stack([stream(24, 3, seed) for seed in (5, 6)])
    monkeypatch.setattr(float_run, "_STRETCH_VALUES", 5 * 2 * float_run.widest(model) + 1)
    whole, end = run(model, xs)
    state = initial_state(model, 2)
    parts = []
    for low, high in ((0, 1), (1, 7), (7, 24)):
        ys, state = run(model, xs[:, low:high], state)
        parts.append(ys)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=0, atol=1e-12)
    single = initial_state(model, 2)
    for t in range(24):
        y, single = step(model, xs[:, t], single)
        np.testing.assert_allclose(y, whole[:, t], rtol=0, atol=1e-12)
    for a, b, c in zip(end, state, single, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
        np.testing.assert_allclose(a, c, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("simple_rnn", ["x", "h_in", "z", "h"]),
        ("lstm", ["x", "h_in", "z", "keep", "c", "h"]),
        ("gru_after", ["x", "h_in", "zr", "keep", "n_x", "n_h", "n", "h"]),
        ("gru_before", ["x", "h_in", "zr", "keep", "r*h", "n", "h"]),
    ],
)
def test_observer_sees_every_tensor_of_every_stretch(cell, names, monkeypatch):
    seen, done = [], []
    model = float_model(cell)
    monkeypatch.setattr(float_run, "_STRETCH_VALUES", 2 * 2 * float_run.widest(model))
    xs = np.stack([stream(3, 3, seed) for seed in (5, 6)])
    ys, _ = run(model, xs, observe=lambda i, n, v: seen.append((i, n, v)), progress=done.append)
    per_stretch = [(0, name) for name in names] + [(1, "x"), (1, "y"), (1, "a")]
    assert [(i, n) for i, n, _ in seen] == per_stretch * 2
    assert done == [2, 1]
    assert [values.shape[:2] for _, _, values in seen] == [(2, 2)] * len(per_stretch) + [
        (1, 2)
    ] * len(per_stretch)
    np.testing.assert_array_equal(seen[0][2], xs[:, :2].swapaxes(0, 1))
    np.testing.assert_array_equal(seen[-1][2][0], ys[:, -1])


def test_activations_at_their_edges():
    x = np.array([-1e4, -3.0, 0.0, 3.0, 1e4])
    np.testing.assert_array_equal(hard_sigmoid(x), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(sigmoid(x), [0, 0.04742587318, 0.5, 0.95257412682, 1], atol=1e-11)
    assert set(ACTIVATIONS) == {"hard_sigmoid", "linear", "relu", "sigmoid", "tanh"}


def test_softmax_of_large_logits():
    np.testing.assert_allclose(softmax(np.array([1000.0, 1000.0, -1000.0])), [0.5, 0.5, 0.0])


def test_run_refuses_wrong_readings_and_states():
    model = float_model("gru_after")
    with pytest.raises(ShapeError, match=r"xs: expected shape \[B, T, 3\], got \(4, 3\)"):
        run(model, np.zeros((4, 3)))
    with pytest.raises(ShapeError, match=r"x: expected shape \[B, 3\], got \(1, 2\)"):
        step(model, np.zeros((1, 2)), initial_state(model, 1))
    with pytest.raises(StateError, match=r"gru_after\.state: expected shapes"):
        run(model, np.zeros((2, 1, 3)), initial_state(model, 1))


def changed(record, **values):
    return lambda: dataclasses.replace(record, **values)


MODEL = float_model("lstm")
LSTM, DENSE = MODEL.layers
GRU = float_model("gru_before").layers[0]
OTHER = float_model("gru_before", inputs=7, units=3, outputs=0).layers[0]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (changed(LSTM, bias=np.zeros(3)), ShapeError, r"lstm_0\.bias: expected shape \(64,\)"),
        (changed(LSTM, kernel=np.zeros((63, 3))), ShapeError, r"expected a multiple of 4 rows"),
        (changed(LSTM, recurrent=np.zeros((64, 3))), ShapeError, r"lstm_0\.recurrent: expected"),
        (changed(LSTM, kernel=np.zeros(4)), ShapeError, r"expected 2 non-empty axes"),
        (changed(LSTM, use_bias=False), ShapeError, r"expected all zero with use_bias=False"),
        (changed(GRU, recurrent_bias=np.ones(48)), ShapeError, r"all zero unless reset_after"),
        (
            changed(LSTM, kernel=LSTM.kernel * np.nan),
            UnsupportedModelError,
            r"expected finite weights, got 192 NaN or infinite",
        ),
        (
            changed(LSTM, recurrent_activation="relu"),
            UnsupportedModelError,
            r"lstm_0\.recurrent_activation: expected sigmoid or hard_sigmoid, got 'relu'",
        ),
        (changed(DENSE, activation="gelu"), UnsupportedModelError, r"got 'gelu'"),
        (changed(MODEL, layers=(DENSE,)), UnsupportedModelError, r"expected 1\.\.8 recurrent"),
        (changed(MODEL, layers=(LSTM,) * 9), UnsupportedModelError, r"got 9"),
        (changed(MODEL, layers=(LSTM, DENSE, DENSE)), ShapeError, r"expected distinct names"),
        (changed(MODEL, layers=(LSTM, OTHER)), ShapeError, r"expected 16 inputs \(lstm_0\.units\)"),
        (changed(MODEL, input_names=("a",)), ShapeError, r"input_names: expected 3 strings"),
        (changed(MODEL, input_names=("a", "b\tc", "d")), ShapeError, r"got .b\\tc.\. Pass"),
        (changed(MODEL, output_units=("C",)), ShapeError, r"output_units: expected 2 strings"),
        (changed(MODEL, final_activation="relu"), UnsupportedModelError, r"linear or softmax"),
    ],
)
def test_records_refuse(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_weights_are_read_only_copies():
    kernel = np.ones((2, 3), dtype=np.float32, order="F")
    dense = FloatDense(name="d", kernel=kernel, bias=np.zeros(2))
    kernel[:] = 7.0
    assert dense.kernel.dtype == np.float64
    assert dense.kernel.flags.c_contiguous
    assert np.all(dense.kernel == 1.0)
    with pytest.raises(ValueError, match="read-only"):
        dense.kernel[0, 0] = 2.0


def test_hash_covers_structure_and_weights_and_not_names():
    other = dataclasses.replace(LSTM, name="another")
    bias = LSTM.bias.copy()
    bias[0] = np.nextafter(bias[0], 9.0)
    assert dataclasses.replace(MODEL, layers=(other, DENSE), name="m").sha256 == MODEL.sha256
    altered = (
        dataclasses.replace(MODEL, layers=(dataclasses.replace(LSTM, bias=bias), DENSE)),
        dataclasses.replace(
            MODEL,
            layers=(dataclasses.replace(LSTM, recurrent_activation="hard_sigmoid"), DENSE),
        ),
        dataclasses.replace(MODEL, final_activation="softmax"),
        dataclasses.replace(
            MODEL, layers=(LSTM,), output_names=("y",) * 16, output_units=("",) * 16
        ),
    )
    hashes = {MODEL.sha256, *(model.sha256 for model in altered)}
    assert len(hashes) == 5
    assert all(len(value) == 64 for value in hashes)


def test_models_compare_by_value():
    assert float_model("lstm", seed=4) == float_model("lstm", seed=4)
    assert float_model("lstm", seed=4) != float_model("lstm", seed=5)
    assert isinstance(MODEL, FloatModel)
