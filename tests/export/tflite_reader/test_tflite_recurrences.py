"""Recurrent operators in TFLite files are read as what the interpreter computes."""

import numpy as np
import pytest

from edgernn.errors import DepartureWarning, UnsupportedModelError
from edgernn_export.float_model.float_run import answers
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.operator_reader.loops.step_algebra import ProductSum, one_factor
from edgernn_export.operator_reader.operators import OperatorNode, ValueName
from edgernn_export.tflite_reader import read_tflite
from edgernn_export.tflite_reader.loops.loop_records import LoopGraph, Unknown
from edgernn_export.tflite_reader.loops.loop_values import LoopValues
from tests.support.models.tflite_files import interpreted, model_of, rnn_of

T, F, H, P = 9, 4, 3, 2
RELU, RELU6, TANH = 1, 3, 4
GATES = "ifgo"


def weights(rng, *shape):
    return (rng.normal(size=shape) / 2).astype(np.float32)


def direction(rng, tag, coupled=False, peepholes=False, projected=False, clip=0.0):
    """Inputs of one direction of an LSTM from its kernels to its projection, and their arrays."""
    seen = P if projected else H
    own = {}
    for gate in GATES[coupled:]:
        own[f"{tag}k{gate}"] = weights(rng, H, F)
        own[f"{tag}r{gate}"] = weights(rng, H, seen)
        own[f"{tag}b{gate}"] = weights(rng, H)
        if peepholes and gate != "g":
            own[f"{tag}p{gate}"] = weights(rng, H)
    if projected:
        own[f"{tag}m"] = weights(rng, P, H)
    names = [f"{tag}{kind}{gate}" for kind in "kr" for gate in GATES]
    names += [f"{tag}p{gate}" for gate in "ifo"] + [f"{tag}b{gate}" for gate in GATES]
    names += [f"{tag}m", f"{tag}n"]
    return [name if name in own else None for name in names], own


def lstm(rng, *, function=TANH, time_major=False, norms=False, cell_clip=0.0, proj_clip=0.0,
         diagonal=False, **form):  # fmt: skip
    given, own = direction(rng, "", **form)
    states = {"h": (1, P if form.get("projected") else H), "c": (1, H)}
    options = {
        "fusedActivationFunction": function, "timeMajor": time_major, "cellClip": cell_clip,
        "projClip": proj_clip, "diagonalRecurrentTensors": diagonal,
    }  # fmt: skip
    more = [None] * 4
    if norms:
        more = [f"norm{gate}" for gate in GATES]
        own |= {name: weights(rng, H) for name in more}
    if diagonal:
        own |= {name: own[name][0] for name in own if name[0] == "r"}
    shape = (T, 1, F) if time_major else (1, T, F)
    operator = (
        "UNIDIRECTIONAL_SEQUENCE_LSTM", ["x", *given, "h", "c", *more], ["y"],
        "UnidirectionalSequenceLSTMOptions", options,
    )  # fmt: skip
    return model_of([operator], {"x": shape}, ["y"], own, states)


def both_lstm(rng, *, merged=True, time_major=False, **form):
    first, own = direction(rng, "f", **form)
    second, more = direction(rng, "b", **form)
    states = {f"{tag}{state}": (1, H) for tag in "fb" for state in "HC"}
    outputs = ["y"] if merged else ["y", "z"]
    options = {"fusedActivationFunction": TANH, "mergeOutputs": merged, "timeMajor": time_major}
    operator = (
        "BIDIRECTIONAL_SEQUENCE_LSTM", ["x", *first, *second, *states, *[None] * 9], outputs,
        "BidirectionalSequenceLSTMOptions", options,
    )  # fmt: skip
    operators = [operator]
    if not merged:
        operators.append(("CONCATENATION", ["z", "y"], ["j"], "ConcatenationOptions", {"axis": 2}))
    shape = (T, 1, F) if time_major else (1, T, F)
    return model_of(operators, {"x": shape}, ["y" if merged else "j"], own | more, states)


def rnn(rng, function=TANH):
    operator, own, states = rnn_of(rng, "x", "y", F, H, function)
    return model_of([operator], {"x": (1, T, F)}, ["y"], own, states)


def both_rnn(rng, merged=True):
    first, own, _ = rnn_of(rng, "x", "f", F, H)
    second, more, _ = rnn_of(rng, "x", "b", F, H)
    states = {"f_h": (1, H), "b_h": (1, H)}
    given = ["x", *first[1][1:], *second[1][1:], None, None, None]
    options = {"mergeOutputs": merged, "fusedActivationFunction": TANH}
    outputs = ["y"] if merged else ["y", "z"]
    operators = [
        ("BIDIRECTIONAL_SEQUENCE_RNN", given, outputs, "BidirectionalSequenceRNNOptions", options)
    ]
    if not merged:
        operators.append(("CONCATENATION", outputs, ["j"], "ConcatenationOptions", {"axis": 2}))
    return model_of(operators, {"x": (1, T, F)}, ["y" if merged else "j"], own | more, states)


def backward(rng, last=False):
    """A layer that reads backward, between two operators that turn the steps round."""
    given, own = direction(rng, "")
    more, others = direction(rng, "o")
    states = {"h": (1, H), "c": (1, H), "oh": (1, H), "oc": (1, H)}
    table = "UnidirectionalSequenceLSTMOptions"
    options = {"fusedActivationFunction": TANH}
    own |= others | {"axis": np.array([1], np.int32)}
    operators = [
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", ["x", *given, "h", "c", *[None] * 4], ["f"], table,
         options),
        ("REVERSE_V2", ["x", "axis"], ["t"], "ReverseV2Options"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", ["t", *more, "oh", "oc", *[None] * 4], ["b"], table,
         options),
    ]  # fmt: skip
    if last:
        own |= {
            "n": np.array([0, -1, 0], np.int32), "e": np.array([0, 0, 0], np.int32),
            "s": np.array([1, 1, 1], np.int32),
        }  # fmt: skip
        masks = {"beginMask": 5, "endMask": 5, "shrinkAxisMask": 2}
        operators += [
            ("STRIDED_SLICE", [name, "n", "e", "s"], [f"{name}l"], "StridedSliceOptions", masks)
            for name in "fb"
        ]
        pair, axis = ["fl", "bl"], 1
    else:
        operators.append(("REVERSE_V2", ["b", "axis"], ["u"], "ReverseV2Options"))
        pair, axis = ["f", "u"], 2
    operators.append(("CONCATENATION", pair, ["y"], "ConcatenationOptions", {"axis": axis}))
    return model_of(operators, {"x": (1, T, F)}, ["y"], own, states)


CASES = {
    "LSTM": (lstm, {}),
    "time-major LSTM": (lstm, {"time_major": True}),
    "coupled LSTM": (lstm, {"coupled": True}),
    "LSTM with peepholes": (lstm, {"peepholes": True}),
    "coupled LSTM with peepholes": (lstm, {"coupled": True, "peepholes": True}),
    "LSTM with a projection": (lstm, {"projected": True}),
    "coupled LSTM with a projection": (lstm, {"coupled": True, "projected": True}),
    "LSTM of RELU": (lstm, {"function": RELU6}),
    "LSTM of diagonals": (lstm, {"diagonal": True}),
    "LSTM in both directions": (both_lstm, {}),
    "LSTM in both directions, apart": (both_lstm, {"merged": False}),
    "coupled LSTM in both directions": (both_lstm, {"coupled": True}),
    "LSTM in both directions with peepholes": (both_lstm, {"peepholes": True}),
    "time-major LSTM in both directions": (both_lstm, {"time_major": True}),
    "RNN": (rnn, {}),
    "RNN of RELU": (rnn, {"function": RELU}),
    "RNN in both directions": (both_rnn, {}),
    "RNN in both directions, apart": (both_rnn, {"merged": False}),
    "LSTM and one between REVERSE_V2": (backward, {}),
    "last steps of both": (backward, {"last": True}),
}


def made(name):
    maker, form = CASES[name]
    return maker(np.random.default_rng(sorted(CASES).index(name)), **form)


def stream(name):
    xs = np.random.default_rng(list(CASES).index(name)).normal(size=(1, T, F))
    return xs.astype(np.float32)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """What the interpreter answers, by case."""
    folder = tmp_path_factory.mktemp("tflite")
    for index, name in enumerate(CASES):
        (folder / f"{index}.tflite").write_bytes(made(name))
        xs = stream(name)
        np.savez(folder / f"{index}.npz", xs.transpose(1, 0, 2) if "time-major" in name else xs)
    found = interpreted(folder)
    return {name: found[str(index)][0] for index, name in enumerate(CASES)}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_is_what_the_interpreter_computes(name, wanted):
    xs, want = stream(name).astype(np.float64), wanted[name]
    found = read_tflite(made(name))
    got = found.run(xs) if isinstance(found, FloatChunks) else answers(found, xs)
    if "time-major" in name:
        want = want.transpose(1, 0, 2)
    np.testing.assert_allclose(np.asarray(got).reshape(want.shape), want, atol=1e-5)


def test_the_clip_of_converters_is_told():
    made = lstm(np.random.default_rng(0), cell_clip=10.0)
    with pytest.warns(DepartureWarning, match=r"operator 'y' .*within ±10 \(cell_clip\)"):
        read_tflite(made)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"cell_clip": 3.0}, "expected cell_clip=0, or at least 10, got cell_clip=3"),
        ({"proj_clip": 1.0, "projected": True}, "expected proj_clip=0, got proj_clip=1"),
        ({"norms": True}, "expected an LSTM without layer normalization, got gains of it"),
        ({"function": 5}, "as its function, got SIGN_BIT"),
        ({"peepholes": True, "projected": True}, "expected peepholes or a projection, got both"),
    ],
)
def test_what_no_cell_computes_is_refused(form, text):
    with pytest.raises(UnsupportedModelError) as caught:
        read_tflite(lstm(np.random.default_rng(0), **form))
    (reason,) = caught.value.reasons
    assert reason.startswith("operator 'y' (UNIDIRECTIONAL_SEQUENCE_LSTM): ")
    assert text in reason


@pytest.mark.parametrize(
    ("kind", "options", "known"),
    [
        ("FULLY_CONNECTED", {"fusedActivationFunction": RELU}, ProductSum),
        # The interpreter leaves out what an operator that is not recurrent is told there.
        ("FULLY_CONNECTED", {"fusedActivationFunction": TANH}, Unknown),
        ("FULLY_CONNECTED", {"weightsFormat": 1}, Unknown),
        ("BATCH_MATMUL", {}, ProductSum),
        ("BATCH_MATMUL", {"adjX": True}, Unknown),
    ],
)
def test_products_in_loops(kind, options, known):
    node = OperatorNode(
        kind=kind, name="p", origin="operator 'p'", outputs=("p",), attributes=options,
        inputs=(ValueName("s"), ValueName("m")),
    )  # fmt: skip
    graph = LoopGraph(inputs=("s",), outputs=("p",), nodes=[node], constants={"m": np.eye(H)})
    values = LoopValues(graph, {"s": one_factor(H, ("s", 0))}, {})
    assert isinstance(values.of("p"), known)
