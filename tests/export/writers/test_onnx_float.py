"""The float ONNX writer against the float64 oracle: every operator, gate order and activation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgernn.model.functions.pointwise import POINTWISE, PointwiseFunction
from edgernn.model.interface import Port, port_slices
from edgernn.model.merges import MergeOperation
from edgernn.model.routes import MODEL_INPUT, RoutePart
from edgernn_export.float_model.cell_plans import option_types, weight_shapes
from edgernn_export.float_model.float_run import (
    initial_state,
    run,
    softmax,
    state_widths,
    with_softmax,
)
from edgernn_export.float_model.model import (
    FloatCell,
    FloatDense,
    FloatLayerNorm,
    FloatPointwise,
    FloatPReLU,
)
from edgernn_export.writers.onnx.float_operators import write_onnx_float
from tests.support.models.float import FLOAT_CELLS, float_model, stream
from tests.support.models.float_networks import (
    delaying_network,
    merging_network,
    two_port_network,
)
from tests.support.models.registered import ALL_CELLS, float_network
from tests.support.runtimes import run_python
from tests.support.training import keras_answers

TOLERANCE = 1e-5
BATCH, STEPS = 3, 40


def run_onnx(content, xs, state=None):
    """Outputs [B, T, O] and final states by name; xs [B, T, I]."""
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    feed = {"x": np.ascontiguousarray(xs.transpose(1, 0, 2)).astype(np.float32)}
    for value in session.get_inputs()[1:]:
        zero = np.zeros((1, len(xs), value.shape[2]), np.float32)
        feed[value.name] = zero if state is None else state[value.name]
    ys, *final = session.run(None, feed)
    names = [v.name.removesuffix("_out") for v in session.get_outputs()[1:]]
    return ys.transpose(1, 0, 2), dict(zip(names, final, strict=True))


def streams(model):
    return np.stack([stream(STEPS, model.inputs, seed=s) for s in range(BATCH)])


def cases():
    for cell in FLOAT_CELLS:
        yield f"{cell}", float_model(cell)
        yield f"{cell}-stack", float_model(cell, stack=3, units=5, gain=1.5)
        yield f"{cell}-bare", float_model(cell, outputs=0)
    for cell in ("lstm", "gru_after", "gru_before"):
        yield f"{cell}-hard", float_model(cell, gate="hard_sigmoid", gain=4.0)
    dense = ((7, "relu"), (6, "tanh"), (5, "sigmoid"), (4, "linear"))
    yield "dense", float_model("lstm", dense=dense)
    yield "softmax", float_model("gru_after", outputs=5, final_activation="softmax")
    yield "one channel", float_model("gru_before", inputs=1, units=1, outputs=1)
    yield from ((f"{cell}-soft", float_network(cell)) for cell in ALL_CELLS)
    yield from ((f"{cell}-hard", float_network(cell, hard=True, gain=2.0)) for cell in ALL_CELLS)
    for cell in ("simple_rnn", "lstm", "gru_after", "projected_lstm"):
        made = float_network(cell) if cell in ALL_CELLS else float_model(cell)
        first = made.layers[0]
        start = np.linspace(-0.9, 0.8, sum(state_widths(first)))
        yield f"{cell}-begun", replace(made, layers=(replace(first, start=start), *made.layers[1:]))
    yield "delays", delaying_network(0.0)
    yield "delays that begin with numbers", delaying_network(-3.0)


def bent(layer):
    """A layer of three channels, put out beside an LSTM, without which there is no model."""
    lstm, dense = float_model("lstm", inputs=3).layers
    dense = FloatDense(name="out", kernel=np.ones((1, lstm.units + 3)), bias=np.zeros(1))
    x, seen = (RoutePart(source=source, start=0, width=3) for source in (MODEL_INPUT, 0))
    hidden = RoutePart(source=1, start=0, width=lstm.units)
    return replace(
        float_model("lstm", inputs=3),
        layers=(layer, lstm, dense),
        routes=((x,), (x,), (seen, hidden), (seen, RoutePart(source=2, start=0, width=1))),
        output_names=("a", "b", "c", "d"),
        output_units=("",) * 4,
    )


def function_cases():
    """Every function by itself, and in a cell."""
    for name, parameters in POINTWISE.items():
        given = {
            key: 0.75 if value == np.inf else value + 0.25 for key, value in parameters.items()
        }
        usual, other = PointwiseFunction.of(name), PointwiseFunction.of(name, **given)
        for function in dict.fromkeys((str(usual), str(other))):
            yield function, bent(FloatPointwise(name="bent", function=function, units=3))
    yield "prelu", bent(FloatPReLU(name="bent", slope=np.array([-0.5, 0.25, 2.0])))
    gain, offset = np.array([-0.5, 0.25, 2.0]), np.array([0.1, -0.2, 0.4])
    norm = FloatLayerNorm(name="bent", gain=gain, offset=offset, epsilon=1e-2)
    yield "layer norm", bent(norm)
    for kind, (gate, cell) in GENERAL.items():
        options = {"gate_function": gate, "cell_function": cell, "shown_function": "softsign"}
        options = {name: options[name] for name in option_types(kind)}
        rng = np.random.default_rng(3)
        shapes = weight_shapes(kind, 3, 3, options)
        weights = {name: rng.normal(0, 0.4, shape) for name, shape in shapes.items()}
        yield kind, bent(FloatCell.of(kind, "bent", options, weights))


#: Functions of gates and cells.
GENERAL = {
    "general_lstm": ("softsign", "elu(alpha=0.5)"),
    "general_gru_before": ("silu", "hard_sigmoid_keras2"),
    "general_gru_after": ("hard_sigmoid_keras2", "silu"),
    "general_rnn": ("", "softsign"),
    "three_function_lstm": ("sigmoid(limit=0.5)", "scaled_tanh(limit=0.7)"),
}
CASES = dict(cases()) | dict(function_cases())
#: Small models by name: every layer with states.
STATEFUL = {
    **{cell: float_model(cell, stack=2) for cell in FLOAT_CELLS},
    **{cell: float_network(cell) for cell in ALL_CELLS},
    "delays": delaying_network(0.0),
    "delays that begin with numbers": delaying_network(-3.0),
}


def states_in(model, state):
    """States in the file by name: those of delays are zero where a stream begins."""
    names = [value.name for value in onnx.load_from_string(write_onnx_float(model)).graph.input[1:]]
    begin = [vector for layer in initial_state(model, BATCH) for vector in layer]
    vectors = [vector for layer in state for vector in layer]
    return {
        name: (vector - zero)[None].astype(np.float32)
        for name, vector, zero in zip(names, vectors, begin, strict=True)
    }


@pytest.mark.parametrize("model", CASES.values(), ids=CASES.keys())
def test_outputs_and_states_equal_the_float_model(model):
    xs = streams(model)
    ys, state = run(model, xs)
    if model.final_activation == "softmax":
        ys = softmax(ys)
    got, final = run_onnx(write_onnx_float(model), xs)
    np.testing.assert_allclose(got, ys, rtol=0, atol=TOLERANCE)
    expected = states_in(model, state)
    assert list(final) == list(expected)
    for name, values in final.items():
        # States of 64 have five digits behind the point in single precision.
        atol = TOLERANCE * max(1.0, np.abs(expected[name]).max() / 8)
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=atol, err_msg=name)


def ported():
    """Its ports cut a layer in two, and one layer is put out twice."""
    model = merging_network(MergeOperation.SUM, units=4)
    route = (*model.routes[-1], *model.routes[-1])
    return replace(
        model,
        routes=(*model.routes[:-1], route),
        input_ports=(Port(name="u", width=2), Port(name="v", width=3)),
        output_ports=(
            Port(name="v", width=3, softmax=True), Port(name="rest", width=1),
            Port(name="again", width=4),
        ),
        output_names=tuple(f"y{i}" for i in range(8)),
        output_units=("",) * 8,
        final_activation="softmax",
    )  # fmt: skip


NETWORKS = {
    **{
        f"{o.value}-{p}": merging_network(o, plain=p) for o in MergeOperation for p in (True, False)
    },
    "two ports": two_port_network(),
    "ported": ported(),
}


@pytest.mark.parametrize("model", NETWORKS.values(), ids=NETWORKS.keys())
def test_networks_equal_the_float_model(model):
    xs = streams(model)
    ys, state = run(model, xs)
    wanted = with_softmax(model, ys).transpose(1, 0, 2)
    session = ort.InferenceSession(write_onnx_float(model), providers=["CPUExecutionProvider"])
    sources = port_slices(model.input_ports or (Port(name="x", width=model.inputs),))
    feed = {
        name: np.ascontiguousarray(xs[..., place].transpose(1, 0, 2)).astype(np.float32)
        for name, place in sources.items()
    }
    for value in session.get_inputs()[len(feed) :]:
        feed[value.name] = np.zeros((1, BATCH, value.shape[2]), np.float32)
    names = [value.name for value in session.get_outputs()]
    found = dict(zip(names, session.run(None, feed), strict=True))
    sinks = port_slices(model.output_ports or (Port(name="y", width=model.outputs),))
    for name, place in sinks.items():
        got = found.pop(f"{name}_out" if name in sources else name)
        np.testing.assert_allclose(got, wanted[..., place], rtol=0, atol=TOLERANCE, err_msg=name)
    carried = [vector for layer in state for vector in layer]
    for vector, (name, values) in zip(carried, found.items(), strict=True):
        np.testing.assert_allclose(values[0], vector, rtol=0, atol=TOLERANCE, err_msg=name)


def test_a_merge_that_scales_nothing_is_one_node():
    for plain, count in ((True, 0), (False, 3)):
        model = merging_network(MergeOperation.SUM, plain=plain)
        kinds = [n.op_type for n in onnx.load_from_string(write_onnx_float(model)).graph.node]
        assert [kinds.count(kind) for kind in ("Sum", "Mul", "Add")] == [1, count, count]


@pytest.mark.parametrize("model", STATEFUL.values(), ids=STATEFUL.keys())
def test_chunks_continue_through_the_states(model):
    content = write_onnx_float(model)
    xs = streams(model)
    whole, _ = run(model, xs)
    parts, state = [], None
    for chunk in np.split(xs, [1, 2, 17], axis=1):
        ys, state = run_onnx(content, chunk, state)
        parts.append(ys)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("model", STATEFUL.values(), ids=STATEFUL.keys())
def test_a_state_that_is_not_zero_enters(model):
    rng = np.random.default_rng(2)
    state = tuple(
        tuple(vector + rng.normal(size=vector.shape) * 0.5 for vector in layer)
        for layer in initial_state(model, BATCH)
    )
    ys, _ = run(model, streams(model), state)
    got, _ = run_onnx(write_onnx_float(model), streams(model), states_in(model, state))
    np.testing.assert_allclose(got, ys, rtol=0, atol=TOLERANCE)
    assert np.abs(run(model, streams(model))[0] - ys).max() > 100 * TOLERANCE


def test_a_layer_without_bias_has_no_add():
    model = float_model("lstm")
    dense = model.layers[-1]
    assert isinstance(dense, FloatDense)
    bare = replace(dense, bias=np.zeros_like(dense.bias), use_bias=False)
    model = replace(model, layers=(*model.layers[:-1], bare))
    content = write_onnx_float(model)
    operators = [node.op_type for node in onnx.load_from_string(content).graph.node]
    assert operators == ["LSTM", "Squeeze", "MatMul"]
    got, _ = run_onnx(content, streams(model))
    np.testing.assert_allclose(got, run(model, streams(model))[0], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("cell", "operator", "attributes"),
    [
        ("simple_rnn", "RNN", {"activations": [b"Tanh"]}),
        ("simple_rnn_relu", "RNN", {"activations": [b"Relu"]}),
        ("lstm", "LSTM", {"activations": [b"Sigmoid", b"Tanh", b"Tanh"]}),
        ("gru_after", "GRU", {"activations": [b"Sigmoid", b"Tanh"], "linear_before_reset": 1}),
        ("gru_before", "GRU", {"activations": [b"Sigmoid", b"Tanh"], "linear_before_reset": 0}),
    ],
)
def test_one_operator_per_layer(cell, operator, attributes):
    proto = onnx.load_from_string(write_onnx_float(float_model(cell)))
    (node,) = [n for n in proto.graph.node if n.op_type in ("RNN", "LSTM", "GRU")]
    got = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    assert (node.op_type, got) == (operator, {"hidden_size": 16, **attributes})


def test_same_model_same_bytes_and_the_checker_accepts_them():
    for model in CASES.values():
        content = write_onnx_float(model)
        assert content == write_onnx_float(replace(model))
        onnx.checker.check_model(content, full_check=True)


def test_names_and_free_axes():
    proto = onnx.load_from_string(write_onnx_float(float_model("lstm", stack=2)))

    def describe(values):
        return {
            v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
            for v in values
        }

    states = ["lstm_0.h", "lstm_0.c", "lstm_1.h", "lstm_1.c"]
    assert describe(proto.graph.input) == {
        "x": ["T", "B", 3], **{s: [1, "B", 16] for s in states}
    }  # fmt: skip
    assert describe(proto.graph.output) == {
        "y": ["T", "B", 2], **{f"{s}_out": [1, "B", 16] for s in states}
    }  # fmt: skip


@pytest.mark.tf
def test_keras_gives_the_same_values_chunk_by_chunk(tmp_path):
    run_python(str(Path(keras_answers.__file__)), str(tmp_path))
    for name in keras_answers.NAMES:
        content = (tmp_path / f"{name}.onnx").read_bytes()
        with np.load(tmp_path / f"{name}.npz") as arrays:
            xs, ys = arrays["xs"], arrays["ys"]
        state, got = None, []
        for chunk in np.split(xs, [4, 5], axis=1):
            values, state = run_onnx(content, chunk, state)
            got.append(values)
        got = np.concatenate(got, axis=1)
        np.testing.assert_allclose(got, ys, rtol=0, atol=TOLERANCE, err_msg=name)
