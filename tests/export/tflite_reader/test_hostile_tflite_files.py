"""Damaged and hostile TFLite files get one clear error: no crash, no hang, no huge allocation."""

import contextlib
import itertools
import random
import struct
import sys
import tracemalloc
import warnings

import numpy as np
import pytest

from edgernn.errors import EdgeRnnError, UnsupportedModelError
from edgernn_export.tflite_reader import read_tflite
from edgernn_export.tflite_schema.tables import (
    FlatBuffer,
    FlatMetadata,
    FlatModel,
    FlatQuantization,
    FlatSignature,
    FlatSubGraph,
    FlatTensorMap,
)
from tests.support.models.tflite_files import model_of, packed, rnn_of, tables_of
from tests.support.models.tflite_networks import looped_tables, streamed_tables

#: Bytes that reading a small file may take at its peak.
MOST_BYTES = 64 << 20
#: Integers that break what trusts them.
NUMBERS = (-(2**31), -7, -1, 0, 1, 2, 3, 127, 255, 2**16, 2**31 - 1)


def _of_bytes(data, draw):
    """A file with some bytes changed, cut off, put in or repeated."""
    made = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        place = draw.randrange(len(made))
        way = draw.randrange(6)
        if way == 0:
            made[place] = draw.randrange(256)
        elif way == 1:
            made[place] ^= 1 << draw.randrange(8)
        elif way == 2:
            del made[place : place + draw.choice((1, 4, 64))]
        elif way == 3:
            made[place:place] = bytes(draw.randrange(256) for _ in range(draw.choice((1, 4))))
        elif way == 4 and place + 4 <= len(made):
            struct.pack_into("<i", made, place // 4 * 4, draw.choice(NUMBERS))
        else:
            made[place:place] = made[place : place + draw.choice((4, 32, 256))]
    return bytes(made[: draw.randrange(len(made))]) if draw.random() < 0.1 else bytes(made)


def _of_fields(model, draw):
    """The bytes of a model with some fields changed to what is a valid file and nonsense."""
    for _ in range(draw.choice((1, 2, 3))):
        graph = draw.choice(model.subgraphs)
        operator, tensor = draw.choice(graph.operators), draw.choice(graph.tensors)
        count = len(graph.tensors)
        way = draw.randrange(9)
        if way == 0:
            operator.inputs[draw.randrange(len(operator.inputs))] = draw.randrange(-1, count)
        elif way == 1:
            operator.outputs[draw.randrange(len(operator.outputs))] = draw.randrange(count)
        elif way == 2:
            operator.opcodeIndex = draw.randrange(len(model.operatorCodes) + 1)
        elif way == 3 and tensor.shape:
            tensor.shape[draw.randrange(len(tensor.shape))] = draw.choice(NUMBERS)
        elif way == 4:
            tensor.type = draw.randrange(20)
        elif way == 5:
            tensor.buffer = draw.randrange(len(model.buffers) + 1)
        elif way == 6:
            data = model.buffers[draw.randrange(len(model.buffers))]
            if data.data:
                values = bytearray(data.data)
                values[draw.randrange(len(values))] = draw.randrange(256)
                data.data = bytes(values)
        elif way == 7 and operator.builtinOptions is not None:
            names = operator.builtinOptions.__slots__
            if names:
                old = getattr(operator.builtinOptions, name := draw.choice(names))
                if isinstance(old, int) and not isinstance(old, bool):
                    setattr(operator.builtinOptions, name, draw.choice((-128, -1, 0, 1, 2, 127)))
        else:
            del graph.operators[draw.randrange(len(graph.operators))]
        if not graph.operators:
            break
    return packed(model)


def _fuzz(seeds):
    """Read a mutation for every seed; how many were read, and how many refused."""
    bases = (streamed_tables, looped_tables)
    whole = [packed(base()) for base in bases]
    counts = {"read": 0, "refused": 0}
    for seed in seeds:
        draw = random.Random(seed)
        choice = draw.randrange(len(bases))
        data = _of_bytes(whole[choice], draw) if seed % 2 else _of_fields(bases[choice](), draw)
        with warnings.catch_warnings(), contextlib.suppress(EdgeRnnError):
            warnings.simplefilter("ignore")
            counts["refused"] += 1
            read_tflite(data)
            counts["refused"] -= 1
            counts["read"] += 1
    return counts


@pytest.mark.parametrize("base", [streamed_tables, looped_tables])
def test_the_files_that_are_damaged_here_are_good(base):
    read_tflite(packed(base()))


@pytest.mark.parametrize(
    "seeds",
    [range(120)]
    + [
        pytest.param(range(1000 * part, 1000 * (part + 1)), marks=pytest.mark.long)
        for part in range(20)
    ],
    ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}",
)
def test_mutations_are_read_or_refused(seeds):
    counts = _fuzz(seeds)
    assert counts["refused"] > len(seeds) // 4
    assert counts["read"] > len(seeds) // 20


def test_mutations_take_little_memory():
    tracemalloc.start()
    _fuzz(range(20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_BYTES


def _refused(data):
    with pytest.raises(UnsupportedModelError) as caught:
        read_tflite(data)
    return list(caught.value.reasons)


def test_a_truncated_file():
    data = packed(streamed_tables())
    assert _refused(data[: len(data) // 2]) == [
        "model.tflite: expected offsets inside the file, got a damaged or truncated file. Convert "
        "or copy the file again."
    ]
    assert "expected a TFLite model, got a damaged or different file" in _refused(b"TFL3")[0]


def test_tables_that_overlap():
    """Twenty graphs that are one graph of many tensors."""
    graph = FlatSubGraph(tensors=streamed_tables().subgraphs[0].tensors * 20)
    graphs = [graph, *[FlatSubGraph()] * 19]
    data = bytearray(packed(FlatModel(version=3, subgraphs=graphs)))
    table = struct.unpack_from("<I", data)[0]
    vtable = table - struct.unpack_from("<i", data, table)[0]
    field = table + struct.unpack_from("<H", data, vtable + 4 + 2 * 2)[0]
    vector = field + struct.unpack_from("<I", data, field)[0]
    first = vector + 4 + struct.unpack_from("<I", data, vector + 4)[0]
    for place in range(vector + 4, vector + 84, 4):
        struct.pack_into("<I", data, place, first - place)
    assert "got a damaged or truncated file" in _refused(bytes(data))[0]


def test_sizes_beyond_the_data():
    model = streamed_tables()
    kernel = next(one for one in model.subgraphs[0].tensors if one.name == b"kernel")
    kernel.shape = [2**30, 2**30, 3, 2]
    (reason,) = _refused(packed(model))
    assert reason.startswith("weights 'kernel': expected as many values as their shape says, got")


def test_a_constant_may_not_be_huge():
    operators = [
        ("FILL", ["sizes", "value"], ["h"], "FillOptions"),
        ("ADD", ["x", "h"], ["y"], "AddOptions", {}),
    ]
    own = {"sizes": np.array([2**30, 2**30], np.int32), "value": np.array(1.0, np.float32)}
    (reason,) = _refused(model_of(operators, {"x": (1, 5, 2)}, ["y"], own))
    assert "expected a constant of moderate size, got shape (1073741824, 1073741824)" in reason


def test_operators_in_a_circle():
    operators = [("RELU", ["x"], ["b"]), ("ADD", ["x", "b"], ["a"], "AddOptions", {})]
    model = tables_of(operators, {"x": (1, 5, 2)}, ["a"])
    first, second = model.subgraphs[0].operators
    first.inputs = list(second.outputs)
    (reason,) = _refused(packed(model))
    assert reason.startswith("operator 'b' (RELU): expected inputs that are given, or come from")


def test_a_loop_that_is_its_own_body():
    model = looped_tables()
    while_loop = model.subgraphs[0].operators[1]
    while_loop.builtinOptions.bodySubgraphIndex = 0
    assert "(WHILE): expected a body for what the loop passes on" in _refused(packed(model))[0]
    while_loop.builtinOptions.bodySubgraphIndex = 99
    assert "(WHILE): expected a body for what the loop passes on" in _refused(packed(model))[0]


def test_a_loop_over_some_of_the_readings():
    model = looped_tables()
    five = next(one for one in model.subgraphs[1].tensors if one.name == b"five")
    model.buffers[five.buffer].data = np.array(4, np.int32).tobytes()
    (reason,) = _refused(packed(model))
    assert "expected a loop over all readings, got another number of steps" in reason


def test_a_loop_of_another_cell():
    model = looped_tables()
    for operator in model.subgraphs[2].operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode == 28:  # TANH
            model.operatorCodes[operator.opcodeIndex].builtinCode = 101  # ABS
            model.operatorCodes[operator.opcodeIndex].deprecatedBuiltinCode = 101
    (reason,) = _refused(packed(model))
    assert "expected a body that is one step of a SimpleRNN, GRU or LSTM, got one with ABS" in (
        reason
    )
    assert reason.endswith("Pass the .keras file that it was converted from.")


def test_several_signatures():
    model = streamed_tables()
    entry = FlatSignature(
        inputs=[FlatTensorMap(name=b"in", tensorIndex=0)], outputs=[], signatureKey=b"first"
    )
    model.signatureDefs = [entry]
    read_tflite(packed(model))
    model.signatureDefs = [entry, FlatSignature(inputs=[], outputs=[], signatureKey=b"second")]
    assert "expected one signature, got 2 (first, second)" in _refused(packed(model))[0]


def test_files_of_edgernn_are_quantized_already():
    model = streamed_tables()
    model.metadata = [FlatMetadata(name=b"edgernn", buffer=0)]
    (reason,) = _refused(packed(model))
    assert reason.endswith("It is quantized already: pass the network it was made from.")


def test_networks_of_integers_are_refused():
    model = streamed_tables()
    given = model.subgraphs[0].tensors[0]
    given.type, given.quantization = 9, FlatQuantization(scale=[0.1], zeroPoint=[3])
    assert _refused(packed(model)) == [
        "model.tflite: expected a network of real numbers, got a quantized one: 'x' is of type "
        "INT8. Pass the float model from before it was quantized."
    ]


def test_names_that_are_no_text():
    model = streamed_tables()
    model.subgraphs[0].tensors[0].name = b"\xff\xfe"
    assert "expected texts in UTF-8" in _refused(packed(model))[0]


def test_a_thousand_operators_in_a_row():
    names = ["x", *(f"n{index}" for index in range(1000))]
    rnn, own, states = rnn_of(np.random.default_rng(0), names[-1], "y", 2)
    operators = [
        ("NEG", [first], [second], "NegOptions") for first, second in itertools.pairwise(names)
    ]
    found = read_tflite(model_of([*operators, rnn], {"x": (1, 5, 2)}, ["y"], own, states))
    assert found.layers[-1].kind == "simple_rnn"


def test_buffers_of_no_bytes_are_no_weights():
    model = streamed_tables()
    model.buffers = [FlatBuffer()] * len(model.buffers)
    assert all("Convert the network again" in one or "weights" in one or "inputs" in one
               for one in _refused(packed(model)))  # fmt: skip


def test_frameworks_are_not_needed(monkeypatch):
    data = packed(streamed_tables())
    for name in ("flatbuffers", "h5py", "keras", "onnx", "tensorflow", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    read_tflite(data)
