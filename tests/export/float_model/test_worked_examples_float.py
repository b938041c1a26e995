"""Textbook examples, recomputed here in plain Python without rounding on the way."""

import math

import numpy as np
import pytest

from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.model import FloatGRU, FloatLSTM, FloatModel, FloatSimpleRNN


def model_of(layer):
    def labels(prefix, count):
        return tuple(f"{prefix}{i}" for i in range(count))

    return FloatModel(
        name="example",
        layers=(layer,),
        input_names=labels("x", layer.inputs),
        input_units=("",) * layer.inputs,
        output_names=labels("y", layer.units),
        output_units=("",) * layer.units,
    )


def dot(row, values):
    return math.fsum(a * b for a, b in zip(row, values, strict=True))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_vanilla_rnn():
    w_xh, w_hh = [[0.5, 0.3], [0.1, 0.4]], [[0.2, 0.1], [0.3, 0.2]]
    readings = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    h = [0.0, 0.0]
    truth = []
    for x in readings:
        h = [math.tanh(dot(w_xh[k], x) + dot(w_hh[k], h)) for k in range(2)]
        truth.append(h)
    layer = FloatSimpleRNN(name="rnn", kernel=w_xh, recurrent=w_hh, bias=[0.0, 0.0])
    ys, (state,) = run(model_of(layer), np.array([readings]))
    np.testing.assert_allclose(ys[0], truth, rtol=0, atol=1e-6)
    np.testing.assert_allclose(state[0][0], truth[-1], rtol=0, atol=1e-6)
    # The printed figures are rounded at every step.
    assert ys[0, -1] == pytest.approx([0.7286, 0.6143], abs=1e-3)


def test_lstm_step():
    # Columns are [h0, x]; the order of the gates in the records is i f g o.
    w_f, b_f = [[0.1, 0.2, 0.3, 0.1], [0.2, 0.1, 0.1, 0.3]], 0.5
    w_i = [[0.3, 0.1, 0.2, 0.2], [0.1, 0.3, 0.3, 0.1]]
    w_c = [[0.2, 0.3, 0.4, 0.1], [0.3, 0.2, 0.1, 0.4]]
    w_o = [[0.1, 0.1, 0.5, 0.2], [0.2, 0.2, 0.2, 0.5]]
    given = [0.0, 0.0, 1.0, 0.5]
    c, truth = [], []
    for k in range(2):
        forget = sigmoid(dot(w_f[k], given) + b_f)
        admit = sigmoid(dot(w_i[k], given))
        c.append(forget * 0.0 + admit * math.tanh(dot(w_c[k], given)))
        truth.append(sigmoid(dot(w_o[k], given)) * math.tanh(c[k]))
    stacked = np.array(w_i + w_f + w_c + w_o)
    layer = FloatLSTM(
        name="lstm",
        kernel=stacked[:, 2:],
        recurrent=stacked[:, :2],
        bias=[0.0, 0.0, b_f, b_f, 0.0, 0.0, 0.0, 0.0],
    )
    ys, (state,) = run(model_of(layer), np.array([[given[2:]]]))
    np.testing.assert_allclose(ys[0, 0], truth, rtol=0, atol=1e-6)
    np.testing.assert_allclose(state[1][0], c, rtol=0, atol=1e-6)
    # Printed from values rounded on the way.
    assert ys[0, 0] == pytest.approx([0.1536, 0.1034], abs=2e-3)


@pytest.mark.parametrize(("kind", "wanted"), [("rnn", 24_704), ("lstm", 98_816), ("gru", 74_112)])
def test_parameter_counts_at_128_units_and_64_inputs(kind, wanted):
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[kind]
    rows = gates * 128
    weights = {
        "name": kind,
        "kernel": np.zeros((rows, 64)),
        "recurrent": np.zeros((rows, 128)),
        "bias": np.zeros(rows),
    }
    layer = {
        "rnn": lambda: FloatSimpleRNN(**weights),
        "lstm": lambda: FloatLSTM(**weights),
        "gru": lambda: FloatGRU(**weights, recurrent_bias=np.zeros(rows), reset_after=False),
    }[kind]()
    assert layer.parameters == wanted
    assert model_of(layer).parameters == wanted
