"""Loop and Scan whose body is a step of a recurrent layer are read as this layer."""

from dataclasses import replace

import numpy as np
import pytest
from onnx import helper

from edgernn.errors import StreamKindWarning, UnsupportedModelError
from edgernn_export.float_model.float_run import answers
from edgernn_export.onnx_reader.reader import read_onnx
from tests.support.models.onnx_files import model_of, runtime_outputs
from tests.support.models.onnx_loops import (
    Step,
    gru_step,
    loop_file,
    lstm_step,
    scan_file,
    sequences_of_matlab,
    simple_step,
    weights_of,
)

#: Streams, steps and features that networks are compared on.
STREAMS = np.random.default_rng(3).normal(size=(20, 9, 3)).astype(np.float32)
CURE = (
    "Train with SimpleRNN, GRU or LSTM layers, without masks. Of a Keras model, pass the .keras "
    "file."
)
STEPS = {
    "gru": gru_step,
    "gru_before": lambda rng: gru_step(rng, after=False),
    "gru_relu": lambda rng: gru_step(rng, function="Relu"),
    "lstm": lstm_step,
    "simple_rnn": simple_step,
    "simple_hard": lambda rng: simple_step(rng, function="HardSigmoid"),
}


def step_of(name, seed=1):
    return STEPS[name](np.random.default_rng(seed))


def check(data, fed, wanted):
    """Compare with ONNX Runtime, given `STREAMS` in the layout of the file."""
    found = read_onnx(data)
    (want,) = runtime_outputs(data, {"readings": fed})
    if want.ndim == 3 and len(want) != len(STREAMS):
        want = want.transpose(1, 0, 2)
    xs = STREAMS.astype(np.float64)
    got = found.run(xs) if hasattr(found, "programs") else answers(found, xs)
    np.testing.assert_allclose(got if got.ndim == want.ndim else got[:, -1], want, atol=1e-5)
    programs = found.programs if hasattr(found, "programs") else [found]
    assert [layer.kind for one in programs for layer in one.layers] == wanted
    return found


def kind_of(name):
    kinds = {"gru_before": "gru", "gru_relu": "general_gru_after", "simple_hard": "general_rnn"}
    return kinds.get(name, name)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("last", [False, True])
def test_a_loop_as_keras_exports_it(name, last):
    check(loop_file(step_of(name), last=last), STREAMS, [kind_of(name)])


def test_a_loop_over_the_second_axis():
    reading = helper.make_node("Gather", ["readings", "number"], ["x"], name="reading", axis=1)
    check(loop_file(step_of("gru"), changed={"reading": reading}), STREAMS, ["gru"])


def test_a_loop_that_its_condition_alone_ends():
    check(loop_file(step_of("gru"), trips=False), STREAMS, ["gru"])


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_states_that_are_inputs_and_outputs(name):
    step = step_of(name)
    data = loop_file(step, begun=True)
    zeros = {f"start{i}": np.zeros((20, width), np.float32) for i, width in enumerate(step.widths)}
    with pytest.warns(StreamKindWarning):
        found = read_onnx(data)
    want = runtime_outputs(data, {"readings": STREAMS, **zeros})[0]
    np.testing.assert_allclose(answers(found, STREAMS.astype(np.float64)), want, atol=1e-5)
    assert found.stateful


def test_a_gru_that_keeps_with_the_rest():
    """z * n + (1 - z) * h: the update gate is mirrored."""
    step = step_of("gru")
    swapped = {"new": ("rest", "s0"), "old": ("z", "n")}
    check(loop_file(_with_inputs(step, swapped)), STREAMS, ["gru"])


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("lstm", {"new": ("i", "g_in")}),  # a candidate without a function
        ("lstm", {"kept": ("f", "s0")}),
        ("lstm", {"kept": ("s1", "s1")}),
        ("lstm", {"shown": ("kept",)}),
        ("lstm", {"new": ("i", "x_part")}),  # a reading in the place of the candidate
        ("gru", {"old": ("r", "s0")}),
        ("gru", {"old": ("s0", "s0")}),
        ("gru", {"rest": ("one", "r")}),
    ],
)
def test_steps_that_resemble_a_cell_are_refused(name, changed):
    step = _with_inputs(step_of(name), changed)
    if "x_part" in changed.get("new", ()):
        part = helper.make_node("MatMul", ["x", "P"], ["x_part"])
        more = weights_of(np.random.default_rng(9), P=(3, 4))
        step = replace(step, nodes=(part, *step.nodes), weights=step.weights | more)
    (reason,) = refused(loop_file(step))
    assert reason.startswith("node 'steps_loop' (Loop): expected a body that is one step of a")


@pytest.mark.parametrize(
    ("name", "changed"), [("gru", {"rn": ("r", "hz")}), ("gru_before", {"rh": ("z", "s0")})]
)
def test_cells_whose_gates_share_weights(name, changed):
    check(loop_file(_with_inputs(step_of(name), changed)), STREAMS, ["gru"])


def _with_inputs(step, changed):
    """The step with other inputs of the nodes that give these values."""
    nodes = []
    for node in step.nodes:
        made = _renamed(node, {})
        made.input[:] = changed.get(node.output[0], node.input)
        nodes.append(made)
    return replace(step, nodes=tuple(nodes))


@pytest.mark.parametrize("name", STEPS)
def test_a_scan(name):
    check(scan_file(step_of(name)), STREAMS.transpose(1, 0, 2), [kind_of(name)])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("captured", [False, True])
def test_a_scan_that_reads_backward(axis, captured):
    data = scan_file(step_of("gru"), back=True, turned=True, axis=axis, captured=captured)
    check(data, STREAMS.transpose((1, 0, 2) if axis == 0 else (0, 1, 2)), ["gru"])


@pytest.mark.parametrize(("back", "turned"), [(True, False), (False, True)])
def test_rows_in_the_other_order_are_refused(back, turned):
    (reason,) = refused(scan_file(step_of("gru"), back=back, turned=turned))
    assert reason == (
        "output 'y': expected steps in the order of the readings, got steps from the last one on. "
        "Turn them round again, or take the last one alone."
    )


def test_a_network_around_loops():
    """Readings are computed inside the body, and rows: what needs no state is a separate layer."""
    step = simple_step(np.random.default_rng(4), inputs=5)
    more = weights_of(np.random.default_rng(5), K=(3, 5), V=(4, 2))
    nodes = [
        helper.make_node("MatMul", ["x", "K"], ["x_1"]),
        helper.make_node("Relu", ["x_1"], ["x_2"]),
        *(_renamed(node, {"x": "x_2"}) for node in step.nodes),
        helper.make_node("MatMul", ["h", "V"], ["shown"]),
        helper.make_node("Tanh", ["shown"], ["given"]),
    ]
    step = replace(step, nodes=tuple(nodes), weights=step.weights | more, row="given")
    check(loop_file(step), STREAMS, ["dense", "simple_rnn", "dense"])


def test_two_cells_in_one_loop():
    """The second cell reads what the first one has just made."""
    first = gru_step(np.random.default_rng(4))
    second = lstm_step(np.random.default_rng(5), inputs=4, units=2)
    names = {name for node in second.nodes for name in (*node.input, *node.output)}
    other = {name: f"second_{name}" for name in names} | {"x": "h", "s0": "s1", "s1": "s2"}
    step = Step(
        nodes=(*first.nodes, *(_renamed(node, other) for node in second.nodes)),
        after=("h", "second_h", "second_c"),
        weights=first.weights | {f"second_{name}": v for name, v in second.weights.items()},
        widths=(4, 2, 2),
        row="second_h",
    )
    check(loop_file(step), STREAMS, ["gru", "lstm"])
    check(scan_file(step), STREAMS.transpose(1, 0, 2), ["gru", "lstm"])


def _renamed(node, names):
    made = type(node)()
    made.CopyFrom(node)
    made.input[:] = [names.get(name, name) for name in node.input]
    made.output[:] = [names.get(name, name) for name in node.output]
    return made


def test_sequences_as_matlab_lays_them_out():
    data = sequences_of_matlab(np.random.default_rng(6))
    check(data, STREAMS.transpose(1, 0, 2), ["lstm", "gru", "dense"])


def test_the_last_step_as_matlab_lays_it_out():
    """The last state of a bidirectional layer, flattened for the layer behind it."""
    rng = np.random.default_rng(6)
    node = helper.make_node
    nodes = [
        node("LSTM", ["readings", "W", "R", "B"], ["", "a"], name="bilstm", hidden_size=4,
             direction="bidirectional"),
        node("Transpose", ["a"], ["b"], name="bilstm_turned", perm=[1, 0, 2]),
        node("Flatten", ["b"], ["c"], name="bilstm_flat"),
        node("Gemm", ["c", "V", "v"], ["y"], name="fc", transB=1),
    ]  # fmt: skip
    own = weights_of(rng, W=(2, 16, 3), R=(2, 16, 4), B=(2, 32), V=(2, 8), v=2)
    data = model_of(nodes, {"readings": ["t", "b", 3]}, ["y"], own, opset=14)
    check(data, STREAMS.transpose(1, 0, 2), ["lstm", "lstm", "dense"])


def _node(kind, inputs, output, name):
    return {name: helper.make_node(kind, inputs, [output], name=name)}


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        (
            _node("Add", ["number", "iteration"], "next", "count"),
            "a counter of the steps, got another number",
        ),
        (
            _node("Less", ["next_float", "zero_float"], "below", "compare"),
            "a loop over all readings, got another number of steps",
        ),
        (
            _node("Greater", ["next_float", "steps_float"], "below", "compare"),
            "a loop over all readings, got Greater in its body",
        ),
        (
            _node("Gather", ["shape", "second"], "steps", "steps_of"),
            "a loop over all readings, got another number of steps",
        ),
        (
            _node("Gather", ["turned", "zero"], "x", "reading"),
            "a loop that takes one reading at every step, got one that takes none",
        ),
        (
            _node("Gather", ["readings", "number"], "x", "reading"),
            "a loop over all readings, got another number of steps",
        ),
    ],
)
def test_loops_over_other_steps_are_refused(changed, wanted):
    *_, reason = refused(loop_file(step_of("gru"), changed=changed))
    assert reason == f"node 'steps_loop' (Loop): expected {wanted}. {CURE}"


@pytest.mark.parametrize(
    ("kind", "inputs", "got"),
    [
        ("Mul", ["c", "s0"], "a step of another cell"),
        ("Round", ["c"], "one with Round"),
        ("Where", ["x", "c", "s0"], "one with Where"),
    ],
)
def test_bodies_that_are_no_cell_are_refused(kind, inputs, got):
    step = step_of("simple_rnn")
    last = helper.make_node(kind, inputs, ["h"])
    step = replace(step, nodes=(*step.nodes[:-1], last))
    wanted = "a body that is one step of a SimpleRNN, GRU or LSTM"
    for data, node in ((loop_file(step), "steps_loop' (Loop)"), (scan_file(step), "steps' (Scan)")):
        (reason,) = refused(data)
        assert reason == f"node '{node}: expected {wanted}, got {got}. {CURE}"


def test_lists_that_no_loop_fills_are_refused():
    nodes = [
        helper.make_node("SequenceEmpty", [], ["a"]),
        helper.make_node("ConcatFromSequence", ["a"], ["b"], name="rows", axis=1, new_axis=1),
        helper.make_node("Add", ["readings", "b"], ["y"]),
    ]
    (reason,) = refused(model_of(nodes, {"readings": ["b", "t", 3]}, ["y"]))
    assert reason == (
        "node 'rows' (ConcatFromSequence): expected rows that a loop appended, side by side along "
        f"a new axis, got others. {CURE}"
    )


def test_masks_are_refused_by_name():
    nodes = [
        helper.make_node("Equal", ["readings", "zero"], ["a"], name="masking"),
        helper.make_node("Where", ["a", "zero", "readings"], ["y"]),
    ]
    data = model_of(nodes, {"readings": ["b", "t", 3]}, ["y"], {"zero": np.float32(0.0)})
    (reason,) = refused(data)
    assert reason == (
        "node 'masking' (Equal): expected a supported operator (docs/reference/support.md), got "
        "Equal. Train without masks, and pass streams of different lengths: a stream ends where "
        "its readings do. Of a Keras model, pass the .keras file."
    )


def refused(data):
    with pytest.raises(UnsupportedModelError) as caught:
        read_onnx(data)
    return list(caught.value.reasons)
