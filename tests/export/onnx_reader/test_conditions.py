"""Conditions in ONNX files: the branch that is chosen is read, the other one is not looked at."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgernn.errors import EdgeRnnError, UnsupportedModelError
from edgernn_export.float_model.float_run import answers
from edgernn_export.networks.front_door import read_network
from edgernn_export.onnx_reader.reader import read_onnx
from tests.support.models.onnx_files import model_of, runtime_outputs
from tests.support.models.onnx_loops import gru_step, loop_file

rng = np.random.default_rng(5)
W = {
    name: (rng.normal(size=shape) / 2).astype(np.float32)
    for name, shape in {"W": (1, 12, 3), "R": (1, 12, 4), "k": (4, 2), "m": (4, 2)}.items()
}
XS = rng.normal(size=(1, 6, 3))
INTEGERS = {
    "one": np.array(1), "axis": np.array([1]), "rate": np.array(16000), "last": np.array([-1]),
    "first": np.array([0]),
}  # fmt: skip


def node(kind, read, given, **attributes):
    return helper.make_node(kind, read.split(), given.split(), **attributes)


def branch(nodes, outputs, weights=None):
    made = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    return helper.make_graph(nodes, "branch", [], told, made)


def condition(read, given, chosen, other, outputs=("inner",)):
    """A condition whose branches are lists of operators that give the same names."""
    return node(
        "If", read, given, then_branch=branch(chosen, outputs), else_branch=branch(other, outputs)
    )


def gru(*more, inputs=None, batch="b", time="t"):
    """A GRU over x [B, T, 3], whose steps are y [T, B, 4], and more operators."""
    nodes = [
        node("Transpose", "x", "xt", perm=[1, 0, 2]),
        node("GRU", "xt W R", "Y", hidden_size=4),
        node("Squeeze", "Y axis", "y"),
        *more,
    ]
    given = {"x": [batch, time, 3], **(inputs or {})}
    return model_of(nodes, given, ["z"], {**W, **INTEGERS})


def with_rate(*more, **options):
    """The same, with an input of one integer."""
    model = onnx.ModelProto.FromString(gru(*more, **options))
    model.graph.input.append(helper.make_tensor_value_info("sr", TensorProto.INT64, []))
    return model.SerializeToString()


BY_RATE = [
    node("Equal", "sr rate", "fast"),
    condition("fast", "z", [node("MatMul", "y k", "inner")], [node("MatMul", "y m", "inner")]),
]


def check(data, feeds=None, **options):
    found = read_onnx(data, **options)
    want = runtime_outputs(data, {"x": XS.astype(np.float32), **(feeds or {})})[0]
    np.testing.assert_allclose(answers(found, XS).reshape(want.shape), want, atol=1e-5)
    return found


@pytest.mark.parametrize("rate", [16000, 8000])
def test_the_value_of_an_input_chooses(rate):
    data = with_rate(*BY_RATE)
    found = check(data, {"sr": np.array(rate)}, input_values={"sr": rate})
    assert found.input_names == ("x0", "x1", "x2")
    np.testing.assert_allclose(
        found.layers[-1].kernel, W["k" if rate == 16000 else "m"].T, atol=1e-7
    )


def test_an_input_without_a_value_is_one_reason_with_its_cure():
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(with_rate(*BY_RATE))
    (reason,) = caught.value.reasons
    assert reason == (
        "node 'z' (If): expected a condition that is known before the network runs, got one that "
        "depends on 'sr'. Say what 'sr' is: input_values={'sr': VALUE}, or --input-value sr=VALUE."
    )


def test_nothing_of_the_other_branch_is_looked_at():
    """Not even what was computed for it, outside."""
    data = with_rate(
        node("Equal", "sr rate", "fast"),
        node("Det", "y", "strange"),
        condition(
            "fast", "z",
            [node("MatMul", "y k", "inner")],
            [node("Unheard", "strange", "inner", body=branch([], ["strange"]))],
        ),
    )  # fmt: skip
    read_onnx(data, input_values={"sr": 16000})
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(data, input_values={"sr": 1})
    found = [reason.split(": expected")[0] for reason in caught.value.reasons]
    assert found == ["node 'strange' (Det)", "node 'inner' (Unheard)"]


def test_conditions_inside_of_conditions_and_names_that_come_twice():
    """Both inner conditions call their results alike, which scopes allow."""
    inner = [
        node("Shape", "y", "sizes"),
        node("Size", "sizes", "rank"),
        node("Equal", "rank one", "flat"),
        condition("flat", "inner", [node("Det", "y", "deep")],
                  [node("MatMul", "y k", "deep")], ("deep",)),
    ]  # fmt: skip
    data = with_rate(
        node("Equal", "sr rate", "fast"),
        condition("fast", "a", inner, [node("Det", "y", "inner")]),
        node("Not", "fast", "slow"),
        condition("slow", "c", [node("Det", "y", "inner")], inner),
        node("Add", "a c", "z"),
    )
    check(data, {"sr": np.array(16000)}, input_values={"sr": 16000})


def test_a_branch_that_passes_a_value_on():
    """A branch may give what is around it."""
    data = with_rate(
        node("Equal", "sr rate", "fast"),
        node("MatMul", "y k", "inner"),
        node(
            "If", "fast", "a c",
            then_branch=branch([node("Identity", "inner", "d"), node("Relu", "inner", "e")], "de"),
            else_branch=branch([node("Identity", "y", "d"), node("Det", "y", "e")], "de"),
        ),
        node("Add", "a c", "z"),
    )  # fmt: skip
    check(data, {"sr": np.array(16000)}, input_values={"sr": 16000})


def sized(index):
    """A condition on the size of an axis of y [T, B, 4]."""
    return [
        node("Shape", "y", "sizes"),
        node("Gather", f"sizes {index}", "size", axis=0),
        node("Equal", "size axis", "alone"),
        condition("alone", "z", [node("MatMul", "y k", "inner")], [node("MatMul", "y m", "inner")]),
    ]


def test_a_network_is_called_with_one_stream():
    found = check(gru(*sized("axis")))
    np.testing.assert_allclose(found.layers[-1].kernel, W["k"].T, atol=1e-7)


def test_the_number_of_steps_is_not_known_until_it_is_told():
    data = gru(*sized("first"))
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(data)
    (reason,) = caught.value.reasons
    assert "depends on 'x'. Say what shape 'x' has: input_shapes={'x': (1, ...)}" in reason
    check(data, input_shapes={"x": (1, 6, 3)})


def test_a_condition_on_readings():
    data = gru(
        node("ReduceSum", "y", "sum", keepdims=0),
        node("Greater", "sum sum", "more"),
        condition("more", "z", [node("MatMul", "y k", "inner")], [node("Identity", "y", "inner")]),
        time=6, batch=1,
    )  # fmt: skip
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(data)
    (reason,) = caught.value.reasons
    assert "depends on 'x'. Export the network for one of both, or train without it." in reason


@pytest.mark.parametrize(
    ("values", "shapes", "text"),
    [
        ({"rate_hz": 1}, {}, "input_values: expected names of inputs: 'x', 'sr', got 'rate_hz'"),
        ({}, {"w": (1,)}, "input_shapes: expected names of inputs: 'x', 'sr', got 'w'"),
        ({"sr": 1.5}, {}, "input 'sr': expected a value of type int64, got 1.5"),
        ({"sr": "fast"}, {}, "input 'sr': expected a value of type int64, got 'fast'"),
        ({"sr": [1, 2]}, {}, "input 'sr': expected a value of shape (), got (2)"),
        ({"sr": 1}, {"sr": ()}, "input 'sr': expected a value or a shape, got both"),
        ({"sr": 1}, {"x": (1, 6)}, "expected a shape like that of the file, (?, ?, 3), got (1, 6)"),
        ({"sr": 1}, {"x": (1, 6, 4)}, "of the file, (?, ?, 3), got (1, 6, 4)"),
        ({"sr": 1}, {"x": (1, 0, 3)}, "of the file, (?, ?, 3), got (1, 0, 3)"),
    ],
)
def test_what_inputs_cannot_be(values, shapes, text):
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(with_rate(*BY_RATE), input_values=values, input_shapes=shapes)
    assert any(text in reason for reason in caught.value.reasons)


def test_other_formats_have_no_such_inputs():
    with pytest.raises(EdgeRnnError, match="input_values: expected it with another format"):
        read_network({"rnn.weight_ih_l0": np.zeros((12, 3))}, input_values={"sr": 1})


def test_a_loop_inside_of_a_condition():
    """Operators of a branch are read as those of a graph are; the bodies of loops among them."""
    alone = onnx.load_from_string(loop_file(gru_step(rng, inputs=2, units=2), inputs=2))
    inside = onnx.ModelProto()
    inside.CopyFrom(alone)
    del inside.graph.node[:]
    (last,) = alone.graph.output
    chosen = [*alone.graph.node, node("Identity", last.name, "inner")]
    inside.graph.node.append(condition("yes", "z", chosen, [node("Det", "readings", "inner")]))
    inside.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    inside.graph.output[0].name = "z"
    xs = rng.normal(size=(2, 5, 2))
    want, got = (answers(read_onnx(file), xs) for file in (alone, inside))
    np.testing.assert_array_equal(got, want)
