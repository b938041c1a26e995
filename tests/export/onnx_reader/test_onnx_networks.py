"""Networks in ONNX files are read as what ONNX Runtime computes."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgernn.errors import UnsupportedModelError
from edgernn_export.float_model.float_run import answers, with_softmax
from edgernn_export.onnx_reader.reader import read_onnx
from tests.support.models.onnx_files import model_of, runtime_outputs

rng = np.random.default_rng(11)


def weights(*shape):
    return (rng.normal(size=shape) / 2).astype(np.float32)


def recurrent(kind, inputs, units, directions=1):
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    return {
        "W": weights(directions, gates * units, inputs),
        "R": weights(directions, gates * units, units),
        "B": weights(directions, 2 * gates * units),
    }


def check(data, xs, output=0, order=None):
    """Compare with ONNX Runtime, given readings [B, T, I]."""
    found = read_onnx(data)
    fed = xs if order is None else xs.transpose(order)
    want = runtime_outputs(data, {"x": fed.astype(np.float32)})[output]
    got = found.run(xs) if hasattr(found, "programs") else with_softmax(found, answers(found, xs))
    if not hasattr(found, "programs") and not found.return_sequences:
        got = got[:, -1]
    np.testing.assert_allclose(got.reshape(want.shape), want, atol=1e-5)
    return found


XS = rng.normal(size=(2, 7, 5))


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("output", ["Y", "Y_h"])
def test_a_recurrent_operator_alone(kind, direction, output):
    count = 2 if direction == "bidirectional" else 1
    node = helper.make_node(
        kind, ["xt", "W", "R", "B"], ["Y", "Y_h"], hidden_size=4, direction=direction
    )
    nodes = [helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]), node]
    if output == "Y":
        nodes += [
            helper.make_node("Transpose", ["Y"], ["turned"], perm=[2, 0, 1, 3]),
            helper.make_node("Reshape", ["turned", "flat"], ["y"]),
        ]
        flat = np.array([0, 0, -1])
    else:
        nodes += [
            helper.make_node("Transpose", ["Y_h"], ["turned"], perm=[1, 0, 2]),
            helper.make_node("Reshape", ["turned", "flat"], ["y"]),
        ]
        flat = np.array([0, -1])
    data = model_of(
        nodes, {"x": ["b", "t", 5]}, ["y"], {**recurrent(kind, 5, 4, count), "flat": flat}
    )
    check(data, XS)


def test_layers_around_it_are_those_of_the_network():
    nodes = [
        helper.make_node("MatMul", ["x", "k"], ["a"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Transpose", ["d"], ["e"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["e", "W", "R", "B"], ["f"], hidden_size=4, linear_before_reset=1),
        helper.make_node("Squeeze", ["f", "one"], ["g"]),
        helper.make_node("Gather", ["g", "last"], ["h"], axis=0),
        helper.make_node("Gemm", ["h", "m", "n"], ["i"], transB=1, alpha=0.5, beta=2.0),
        helper.make_node("Softmax", ["i"], ["y"]),
    ]
    own = {"k": weights(5, 6), "b": weights(6), "m": weights(3, 4), "n": weights(3)}
    more = {"one": np.array([1]), "last": np.array(-1), **recurrent("GRU", 6, 4)}
    found = check(model_of(nodes, {"x": ["b", "t", 5]}, ["y"], own | more), XS)
    assert [layer.kind for layer in found.layers] == ["dense", "gru", "dense"]
    assert found.final_activation == "softmax"


def test_a_network_whose_steps_come_first():
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R", "B"], ["f"], hidden_size=4),
        helper.make_node("Squeeze", ["f", "one"], ["y"]),
    ]
    own = {"one": np.array([1]), **recurrent("LSTM", 5, 4)}
    data = model_of(nodes, {"x": ["t", "b", 5]}, ["y"], own)
    found = read_onnx(data)
    want = runtime_outputs(data, {"x": XS.transpose(1, 0, 2).astype(np.float32)})[0]
    np.testing.assert_allclose(answers(found, XS), want.transpose(1, 0, 2), atol=1e-5)


def test_convolutions_and_normalization_before_it():
    nodes = [
        helper.make_node("Transpose", ["x"], ["a"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["a", "k", "b"], ["c"], pads=[4, 0], dilations=[2]),
        helper.make_node("BatchNormalization", ["c", "s", "o", "m", "v"], ["d"], epsilon=1e-3),
        helper.make_node("Clip", ["d", "low", "high"], ["e"]),
        helper.make_node("Transpose", ["e"], ["f"], perm=[2, 0, 1]),
        helper.make_node("GRU", ["f", "W", "R", "B"], ["", "g"], hidden_size=4),
        helper.make_node("Squeeze", ["g", "zero"], ["y"]),
    ]
    own = {"k": weights(6, 5, 3), "b": weights(6), "s": weights(6), "o": weights(6)}
    own |= {"m": weights(6), "v": np.abs(weights(6)) + 0.5, "zero": np.array([0])}
    own |= {"low": np.float32(0), "high": np.float32(1.5), **recurrent("GRU", 6, 4)}
    check(model_of(nodes, {"x": ["b", "t", 5]}, ["y"], own), XS)


def test_tokens_are_looked_up_in_a_table():
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["a"]),
        helper.make_node("LSTM", ["a", "W", "R", "B"], ["", "b"], hidden_size=4, layout=1),
        helper.make_node("Reshape", ["b", "flat"], ["y"]),
    ]
    own = {"table": weights(10, 3), "flat": np.array([-1, 4]), **recurrent("LSTM", 3, 4)}
    data = model_of(nodes, {"x": (["b", "t"], TensorProto.INT64)}, ["y"], own)
    found = read_onnx(data)
    tokens = rng.integers(0, 10, size=(1, 6))
    turned = [helper.make_node("Transpose", ["a"], ["at"], perm=[1, 0, 2])]
    plain = [
        nodes[0],
        *turned,
        helper.make_node("LSTM", ["at", "W", "R", "B"], ["", "b"], hidden_size=4),
        nodes[2],
    ]  # ONNX Runtime has no layout 1
    first = model_of(plain, {"x": (["b", "t"], TensorProto.INT64)}, ["y"], own)
    want = runtime_outputs(first, {"x": tokens})[0]
    got = answers(found, tokens[..., None].astype(np.float64))[:, -1]
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_every_reason_is_told_at_once_and_names_its_node():
    own = recurrent("GRU", 5, 4)
    own["R"][0, 0, 0] = np.nan
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="first"),
        helper.make_node("GRU", ["a", "W", "R", "B"], ["f"], hidden_size=4, name="core"),
        helper.make_node("Erf", ["a"], ["g"], name="bend"),
        helper.make_node("Unsqueeze", ["g", "one"], ["h"]),
        helper.make_node("Add", ["f", "h"], ["y"], name="sum"),
    ]
    data = model_of(nodes, {"x": ["t", "b", 5]}, ["y"], own | {"one": np.array([1])})
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(data)
    reasons = caught.value.reasons
    assert [reason.split(":")[0] for reason in reasons] == [
        "node 'core' (GRU)",
        "node 'bend' (Erf)",
    ]


def test_steps_may_not_be_swapped_with_features():
    nodes = [
        helper.make_node("Transpose", ["x"], ["a"], perm=[0, 2, 1], name="turn"),
        helper.make_node("LSTM", ["x", "W", "R", "B"], ["f"], hidden_size=4),
        helper.make_node("MatMul", ["a", "k"], ["g"], name="mix"),
        helper.make_node("Add", ["f", "g"], ["y"], name="sum"),
    ]
    own = {"k": weights(2, 4), **recurrent("LSTM", 5, 4)}
    with pytest.raises(
        UnsupportedModelError, match=r"node 'mix' \(MatMul\): expected the features"
    ):
        read_onnx(model_of(nodes, {"x": [7, 2, 5]}, ["y"], own))
