"""Networks in ONNX files are read as what ONNX Runtime computes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgernn.errors import StreamKindWarning, UnsupportedModelError
from edgernn_export.float_model.float_run import answers, with_softmax
from edgernn_export.onnx_reader.reader import read_onnx
from tests.support.models.onnx_files import model_of, reference_outputs, runtime_outputs

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


def test_the_last_step_of_either_direction():
    """The last output of a forward layer is not that of the step at which a backward one ends."""
    both = {f"{name}{way}": value for way in "fb" for name, value in recurrent("GRU", 5, 4).items()}
    nodes = [
        helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["xt", "Wf", "Rf", "Bf"], ["f"], hidden_size=4),
        helper.make_node("GRU", ["xt", "Wb", "Rb", "Bb"], ["", "b"], hidden_size=4,
                         direction="reverse"),
        helper.make_node("Squeeze", ["f", "one"], ["f1"]),
        helper.make_node("Gather", ["f1", "last"], ["f2"], axis=0),
        helper.make_node("Squeeze", ["b", "zero"], ["b1"]),
        helper.make_node("Concat", ["f2", "b1"], ["y"], axis=1),
    ]  # fmt: skip
    own = both | {"one": np.array([1]), "zero": np.array([0]), "last": np.array(-1)}
    check(model_of(nodes, {"x": ["b", "t", 5]}, ["y"], own), XS)


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
        helper.make_node("Sinh", ["a"], ["g"], name="bend"),
        helper.make_node("Unsqueeze", ["g", "one"], ["h"]),
        helper.make_node("Add", ["f", "h"], ["y"], name="sum"),
    ]
    data = model_of(nodes, {"x": ["t", "b", 5]}, ["y"], own | {"one": np.array([1])})
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(data)
    reasons = caught.value.reasons
    assert [reason.split(":")[0] for reason in reasons] == [
        "node 'core' (GRU)",
        "node 'bend' (Sinh)",
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


def test_a_cast_that_rounds_is_refused_and_one_between_floats_is_none():
    own = recurrent("GRU", 5, 4)

    def model(to):
        nodes = [
            helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
            helper.make_node("GRU", ["xt", "W", "R", "B"], ["", "h"], hidden_size=4),
            helper.make_node("Cast", ["h"], ["c"], to=to, name="change"),
            helper.make_node("Cast", ["c"], ["y"], to=TensorProto.FLOAT),
        ]
        return model_of(nodes, {"x": [2, 7, 5]}, ["y"], own)

    check(model(TensorProto.DOUBLE), XS)
    with pytest.raises(
        UnsupportedModelError,
        match=r"node 'change' \(Cast\): expected a cast between types of floats, got one to type "
        r"6\. Train without rounding inside the network\.",
    ):
        read_onnx(model(TensorProto.INT32))


def test_states_that_are_inputs_and_outputs_are_kept_by_the_session():
    nodes = [
        helper.make_node(
            "LSTM", ["x", "W", "R", "B", "", "h", "c"], ["f", "h2", "c2"], hidden_size=4
        ),
        helper.make_node("Squeeze", ["f", "one"], ["y"]),
    ]
    own = {"one": np.array([1]), **recurrent("LSTM", 5, 4)}
    shapes = {"x": ["t", "b", 5], "h": [1, "b", 4], "c": [1, "b", 4]}
    data = model_of(nodes, shapes, ["y", "h2", "c2"], own)
    with pytest.warns(StreamKindWarning, match="session keeps the states itself"):
        found = read_onnx(data)
    zeros = np.zeros((1, 2, 4), np.float32)
    feeds = {"x": XS.transpose(1, 0, 2).astype(np.float32), "h": zeros, "c": zeros}
    want = runtime_outputs(data, feeds)[0]
    assert found.stateful
    np.testing.assert_allclose(answers(found, XS), want.transpose(1, 0, 2), atol=1e-5)


def test_states_of_several_layers_in_one_input_are_told_apart():
    nodes = []
    for layer, read in enumerate(["x", "a0"]):
        nodes += [
            helper.make_node("Slice", ["h", f"n{layer}", f"n{layer + 1}", "n0"], [f"h{layer}"]),
            helper.make_node(
                "GRU", [read, f"W{layer}", f"R{layer}", f"B{layer}", "", f"h{layer}"],
                [f"f{layer}", f"e{layer}"], hidden_size=4,
            ),
            helper.make_node("Squeeze", [f"f{layer}", "n1"], [f"a{layer}"]),
        ]  # fmt: skip
    nodes += [
        helper.make_node("Identity", ["a1"], ["y"]),
        helper.make_node("Concat", ["e0", "e1"], ["h2"], axis=0),
    ]
    own = {f"n{number}": np.array([number]) for number in range(3)}
    for layer, inputs in enumerate([5, 4]):
        own |= {f"{k}{layer}": v for k, v in recurrent("GRU", inputs, 4).items()}
    data = model_of(nodes, {"x": ["t", "b", 5], "h": [2, "b", 4]}, ["y", "h2"], own)
    with pytest.warns(StreamKindWarning):
        found = read_onnx(data)
    feeds = {"x": XS.transpose(1, 0, 2).astype(np.float32), "h": np.zeros((2, 2, 4), np.float32)}
    want = runtime_outputs(data, feeds)[0]
    np.testing.assert_allclose(answers(found, XS), want.transpose(1, 0, 2), atol=1e-5)


def test_last_states_beside_the_outputs_are_left_to_the_session():
    nodes = [
        helper.make_node("GRU", ["x", "W", "R", "B"], ["f", "h2"], hidden_size=4),
        helper.make_node("Squeeze", ["f", "one"], ["y"]),
    ]
    own = {"one": np.array([1]), **recurrent("GRU", 5, 4)}
    data = model_of(nodes, {"x": ["t", "b", 5]}, ["y", "h2"], own)
    with pytest.warns(StreamKindWarning, match="returns its last states as h2"):
        found = read_onnx(data)
    want = runtime_outputs(data, {"x": XS.transpose(1, 0, 2).astype(np.float32)})[0]
    np.testing.assert_allclose(answers(found, XS), want.transpose(1, 0, 2), atol=1e-5)


def after_dense(nodes, weights_=None, opset=21):
    """A network whose Dense is followed by nodes from "c" to "d", then by a GRU."""
    around = [
        helper.make_node("MatMul", ["x", "k"], ["c"]),
        *nodes,
        helper.make_node("Transpose", ["d"], ["e"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["e", "W", "R", "B"], ["f"], hidden_size=4),
        helper.make_node("Transpose", ["f"], ["g"], perm=[2, 0, 1, 3]),
        helper.make_node("Reshape", ["g", "flat"], ["y"]),
    ]
    own = {"k": 3 * weights(5, 6), "flat": np.array([0, 0, -1]), **recurrent("GRU", 6, 4)}
    return model_of(around, {"x": ["b", "t", 5]}, ["y"], own | (weights_ or {}), opset)


ONE_INPUT = [
    ("Relu", {}, 21), ("Sigmoid", {}, 21), ("Tanh", {}, 21), ("Softsign", {}, 21),
    ("Softplus", {}, 21), ("Elu", {"alpha": 0.5}, 21), ("Celu", {"alpha": 0.7}, 21),
    ("Selu", {}, 21), ("LeakyRelu", {"alpha": 0.2}, 21), ("ThresholdedRelu", {"alpha": 0.3}, 21),
    ("HardSigmoid", {}, 21), ("HardSigmoid", {"alpha": 0.4, "beta": 0.3}, 21),
    ("HardSwish", {}, 21), ("Mish", {}, 21), ("Gelu", {}, 21),
    ("Gelu", {"approximate": "tanh"}, 21), ("Shrink", {"lambd": 0.4, "bias": 0.4}, 21),
    ("Shrink", {"lambd": 0.4}, 21), ("Neg", {}, 21), ("Exp", {}, 21), ("Identity", {}, 21),
    ("Dropout", {}, 21), ("Dropout", {}, 7), ("Clip", {"min": -0.5, "max": 1.0}, 7),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "attributes", "opset"), ONE_INPUT)
def test_functions(kind, attributes, opset):
    check(after_dense([helper.make_node(kind, ["c"], ["d"], **attributes)], opset=opset), XS)


def test_functions_that_exporters_take_apart():
    silu = [helper.make_node("Sigmoid", ["c"], ["s"]), helper.make_node("Mul", ["c", "s"], ["d"])]
    gelu = [
        helper.make_node("Div", ["c", "root"], ["p"]),
        helper.make_node("Erf", ["p"], ["q"]),
        helper.make_node("Add", ["q", "one"], ["r"]),
        helper.make_node("Mul", ["c", "r"], ["s"]),
        helper.make_node("Mul", ["s", "half"], ["d"]),
    ]
    mish = [
        helper.make_node("Softplus", ["c"], ["p"]),
        helper.make_node("Tanh", ["p"], ["q"]),
        helper.make_node("Mul", ["q", "c"], ["d"]),
    ]
    numbers = {"root": np.float32(np.sqrt(2)), "one": np.float32(1), "half": np.float32(0.5)}
    for name, nodes in {"silu": silu, "gelu": gelu, "mish": mish}.items():
        found = check(after_dense(nodes, numbers), XS)
        assert [getattr(layer, "function", "") for layer in found.layers] == ["", name, ""]


BESIDE = [
    ("Add", {}, weights(6)), ("Sub", {}, weights(1, 6)), ("Mul", {}, weights(1, 1, 6)),
    ("Div", {}, weights(6) + 3), ("Mul", {}, np.float32(0.3)), ("PRelu", {}, np.abs(weights(6))),
    ("PRelu", {}, np.float32([0.2])), ("Max", {}, np.float32(0.1)), ("Min", {}, np.float32(0.4)),
    ("Pow", {}, np.float32(2)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "attributes", "constant"), BESIDE)
def test_a_value_and_a_constant(kind, attributes, constant):
    node = helper.make_node(kind, ["c", "constant"], ["d"], **attributes)
    check(after_dense([node], {"constant": constant}), XS)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Max", "Min", "Mean", "Sum", "Concat"])
def test_two_values(kind):
    more = {"k2": weights(5, 6), "k": weights(5, 3)} if kind == "Concat" else {"k2": weights(5, 6)}
    if kind == "Concat":
        more["k2"] = weights(5, 3)
    nodes = [
        helper.make_node("MatMul", ["x", "k2"], ["c2"]),
        helper.make_node(kind, ["c", "c2"], ["d"], **({"axis": -1} if kind == "Concat" else {})),
    ]
    check(after_dense(nodes, more), XS)


def test_slices_and_splits_of_features():
    nodes = [
        helper.make_node("Split", ["c", "sizes"], ["p", "q"], axis=2),
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["r"]),
        helper.make_node("Concat", ["q", "r", "p"], ["s"], axis=-1),
        helper.make_node("MatMul", ["s", "m"], ["d"]),
    ]
    more = {"sizes": np.array([2, 4]), "from": np.array([-3]), "to": np.array([2**63 - 1])}
    check(after_dense(nodes, more | {"axis": np.array([-1]), "m": weights(9, 6)}), XS)


def test_a_convolution_whose_late_steps_are_sliced_off():
    nodes = [
        helper.make_node("Transpose", ["c"], ["p"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["p", "kernel"], ["q"], pads=[2, 2]),
        helper.make_node("Slice", ["q", "zero", "end", "two"], ["r"]),
        helper.make_node("Transpose", ["r"], ["d"], perm=[0, 2, 1]),
    ]
    more = {"kernel": weights(6, 6, 3), "zero": np.array([0]), "end": np.array([-2])}
    check(after_dense(nodes, more | {"two": np.array([2])}), XS)
    del nodes[2]
    nodes[2] = helper.make_node("Transpose", ["q"], ["d"], perm=[0, 2, 1], name="turn")
    with pytest.raises(UnsupportedModelError, match=r"node 'turn'.*2 such steps"):
        read_onnx(after_dense(nodes, more))


@pytest.mark.parametrize(
    ("kernel", "attributes"),
    [((6, 6, 3), {"pads": [2, 0]}), ((6, 1, 3), {"group": 6, "pads": [4, 0], "dilations": [2]}),
     ((6, 6, 1), {}), ((6, 6, 1, 2), {"pads": [0, 1, 0, 0]})],
)  # fmt: skip
def test_convolutions(kernel, attributes):
    flat = len(kernel) == 4
    nodes = [
        helper.make_node("Transpose", ["c"], ["p0"], perm=[0, 2, 1]),
        *([helper.make_node("Unsqueeze", ["p0", "two"], ["p"])] * flat),
        helper.make_node("Conv", ["p" if flat else "p0", "kernel"], ["q"], **attributes),
        *([helper.make_node("Squeeze", ["q", "two"], ["q0"])] * flat),
        helper.make_node("Transpose", ["q0" if flat else "q"], ["d"], perm=[0, 2, 1]),
    ]
    check(after_dense(nodes, {"kernel": weights(*kernel), "two": np.array([2])}), XS)


def test_padding_before_a_convolution():
    nodes = [
        helper.make_node("Transpose", ["c"], ["p"], perm=[0, 2, 1]),
        helper.make_node("Pad", ["p", "pads"], ["q"]),
        helper.make_node("Conv", ["q", "kernel"], ["r"]),
        helper.make_node("Transpose", ["r"], ["d"], perm=[0, 2, 1]),
    ]
    more = {"kernel": weights(6, 6, 3), "pads": np.array([0, 0, 2, 0, 0, 0])}
    check(after_dense(nodes, more), XS)


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_pooling(kind):
    nodes = [
        helper.make_node("Transpose", ["c"], ["p"], perm=[0, 2, 1]),
        helper.make_node(kind, ["p"], ["q"], kernel_shape=[2], strides=[2]),
        helper.make_node("Transpose", ["q"], ["e"], perm=[2, 0, 1]),
        helper.make_node("GRU", ["e", "W", "R", "B"], ["", "f"], hidden_size=4),
        helper.make_node("Squeeze", ["f", "zero"], ["y"]),
    ]
    first = helper.make_node("MatMul", ["x", "k"], ["c"])
    own = {"k": weights(5, 6), "zero": np.array([0]), **recurrent("GRU", 6, 4)}
    data = model_of([first, *nodes], {"x": ["b", "t", 5]}, ["y"], own)
    check(data, XS)


def test_matrices_of_steps_taken_together():
    nodes = [
        helper.make_node("Shape", ["c"], ["s"]),
        helper.make_node("Slice", ["s", "zero", "two"], ["bt"]),
        helper.make_node("Reshape", ["c", "rows"], ["p"]),
        helper.make_node("Gemm", ["p", "m", "n"], ["q"], transB=1),
        helper.make_node("Concat", ["bt", "width"], ["shape"], axis=0),
        helper.make_node("Reshape", ["q", "shape"], ["d"]),
    ]
    more = {"rows": np.array([-1, 6]), "m": weights(6, 6), "n": weights(6), "two": np.array([2])}
    check(after_dense(nodes, more | {"zero": np.array([0]), "width": np.array([6])}), XS)


def test_weights_that_an_exporter_took_apart():
    own = recurrent("GRU", 5, 4)
    pieces = {"W0": own["W"][0, :4], "W1": own["W"][0, 4:], "R0": own["R"][0].T, "B": own["B"]}
    nodes = [
        helper.make_node("Concat", ["W0", "W1"], ["W2"], axis=0),
        helper.make_node("Unsqueeze", ["W2", "zero"], ["W"]),
        helper.make_node("Transpose", ["R0"], ["R1"], perm=[1, 0]),
        helper.make_node("Unsqueeze", ["R1", "zero"], ["R"]),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "one"], ["b"]),
        helper.make_node("Concat", ["one", "b", "four"], ["size"], axis=0),
        helper.make_node("ConstantOfShape", ["size"], ["h"]),
        helper.make_node("GRU", ["x", "W", "R", "B", "", "h"], ["f"], hidden_size=4),
        helper.make_node("Squeeze", ["f", "one"], ["y"]),
    ]
    pieces |= {"zero": np.array([0]), "one": np.array([1]), "four": np.array([4])}
    data = model_of(nodes, {"x": ["t", "b", 5]}, ["y"], pieces)
    found = read_onnx(data)
    want = runtime_outputs(data, {"x": XS.transpose(1, 0, 2).astype(np.float32)})[0]
    np.testing.assert_allclose(answers(found, XS), want.transpose(1, 0, 2), atol=1e-5)


@pytest.mark.parametrize("opset", [13, 18, 23, onnx.defs.onnx_opset_version()])
def test_later_sets_of_operators(opset):
    data = after_dense([helper.make_node("Gelu" if opset > 19 else "Relu", ["c"], ["d"])],
                        opset=opset)  # fmt: skip
    found = read_onnx(data)
    (want,) = reference_outputs(data, {"x": XS.astype(np.float32)})
    np.testing.assert_allclose(answers(found, XS), want, atol=1e-5)


@pytest.mark.parametrize("target", [[1, 4], [-1, 4], [4]])
def test_a_network_of_one_step(target):
    nodes = [
        helper.make_node(
            "LSTM", ["x", "W", "R", "B", "", "h", "c"], ["f", "h2", "c2"], hidden_size=4
        ),
        helper.make_node("Reshape", ["f", "flat"], ["g"]),
        helper.make_node("MatMul", ["g", "m"], ["y"]),
    ]
    own = {"flat": np.array(target), "m": weights(4, 3), **recurrent("LSTM", 5, 4)}
    data = model_of(nodes, {"x": [1, 1, 5], "h": [1, 1, 4], "c": [1, 1, 4]}, ["y", "h2", "c2"], own)
    with pytest.warns(StreamKindWarning):
        found = read_onnx(data)
    state, wanted = [np.zeros((1, 1, 4), np.float32)] * 2, []
    for x in XS[0].astype(np.float32):
        feeds = {"x": x[None, None], "h": state[0], "c": state[1]}
        y, *state = runtime_outputs(data, feeds)
        wanted.append(y.reshape(-1))
    np.testing.assert_allclose(answers(found, XS[:1])[0], wanted, atol=1e-5)
