"""What the .tflite writer puts into a file; what the file computes is tested in tests/exactness."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import Counter
from dataclasses import fields, replace

import flatbuffers
import numpy as np
import pytest

from edgernn.backends.tflite_file import parse_metadata
from edgernn.container import interface_json
from edgernn.errors import BackendUnavailable
from edgernn.install import hint
from edgernn.model.affine import Affine8, Affine16, Source, Term8, Term16
from edgernn.model.formats import Precision
from edgernn.model.interface import Golden
from edgernn.model.routes import RoutePart
from edgernn_export.tflite_schema import codes, options
from edgernn_export.writers.tflite import graph as tflite_graph
from edgernn_export.writers.tflite.affine import stacked
from edgernn_export.writers.tflite.ops import sigmoid
from edgernn_export.writers.tflite.writer import write_tflite
from edgernn_firmware_sim.reference.reference import Reference
from tests.golden import tflite_files
from tests.support.models.grid import labelled
from tests.support.models.integer import CELLS, random_codes, random_model
from tests.support.models.networks import residual_network, two_input_network
from tests.support.runtimes import official_schema, require, run_python

#: Operators of one recurrent layer with joint operands and a Dense layer.
OPERATORS = {
    ("simple_rnn", "w8a8"): 12,
    ("simple_rnn", "w8a16"): 10,
    ("simple_rnn_relu", "w8a8"): 11,
    ("simple_rnn_relu", "w8a16"): 9,
    ("lstm", "w8a8"): 21,
    ("lstm", "w8a16"): 19,
    ("gru_after", "w8a8"): 22,
    ("gru_after", "w8a16"): 20,
    ("gru_before", "w8a8"): 26,
    ("gru_before", "w8a16"): 24,
}


def parsed(content):
    """The file as objects of the official schema."""
    return official_schema().ModelT.InitFromPackedBuf(content, 0)


def metadata_of(model, name):
    (entry,) = [m for m in model.metadata if m.name == name]
    return bytes(model.buffers[entry.buffer].data)


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("cell", CELLS)
def test_same_model_same_bytes(cell, precision):
    model = random_model(cell, precision)
    assert write_tflite(model) == write_tflite(random_model(cell, precision))
    assert write_tflite(model) != write_tflite(random_model(cell, precision, seed=1))


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("cell", CELLS)
def test_integer_from_input_to_output(cell, precision):
    (graph,) = parsed(write_tflite(random_model(cell, precision))).subgraphs
    kinds = official_schema().TensorType
    assert {t.type for t in graph.tensors} <= {kinds.INT8, kinds.INT16, kinds.INT32}
    assert all(not t.isVariable for t in graph.tensors)


@pytest.mark.parametrize(("case", "count"), OPERATORS.items())
def test_operator_count(case, count):
    cell, precision = case
    (graph,) = parsed(write_tflite(random_model(cell, Precision(precision)))).subgraphs
    assert len(graph.operators) == count


def test_small_gru_uses_one_product_and_large_three():
    products = {}
    for units in (8, 128):
        model = parsed(write_tflite(random_model("gru_after", units=units, outputs=0)))
        builtin = official_schema().BuiltinOperator.BATCH_MATMUL
        codes = [c.builtinCode for c in model.operatorCodes]
        used = Counter(codes[o.opcodeIndex] for o in model.subgraphs[0].operators)
        products[units] = used[builtin]
    assert products == {8: 1, 128: 3}


def test_signature_names_follow_the_states():
    model = random_model("lstm", stack=2)
    file = parsed(write_tflite(model))
    (signature,) = file.signatureDefs
    tensors = file.subgraphs[0].tensors
    shapes = {
        t.name.decode(): (list(tensors[t.tensorIndex].shape), tensors[t.tensorIndex].type)
        for t in (*signature.inputs, *signature.outputs)
    }
    int16 = official_schema().TensorType.INT16
    assert signature.signatureKey == b"step"
    states = [f"lstm_{i}.{s}" for i in (0, 1) for s in "hc"]
    assert {t.name.decode() for t in signature.inputs} == {"x", *states}
    assert {t.name.decode() for t in signature.outputs} == {"y", *(f"{s}_out" for s in states)}
    assert shapes["y"] == ([1, 2], int16)
    assert all(shapes[s] == shapes[f"{s}_out"] == ([1, 8], int16) for s in states)


def test_metadata_is_the_interface_with_its_golden_vector():
    model = random_model("gru_before")
    q_xs = random_codes(model, 5)
    reference = Reference(model)
    golden = Golden(q_x=q_xs, q_y=reference.run(q_xs, reference.initial_state())[0])
    content = write_tflite(model, golden)
    text = metadata_of(parsed(content), b"edgernn").decode()
    assert text == interface_json.dumps(replace(model.interface(), golden=golden))
    assert json.loads(text)["model_sha256"] == model.sha256
    assert parse_metadata(content) == replace(model.interface(), golden=golden)


def test_the_file_carries_its_own_hash():
    content = write_tflite(random_model("lstm"))
    digest = metadata_of(parsed(content), b"edgernn.sha256")
    assert content.count(digest) == 1
    assert hashlib.sha256(content.replace(digest, bytes(32))).digest() == digest


def labels(model):
    file = parsed(write_tflite(model))
    (signature,) = file.signatureDefs
    by_name = {t.name.decode(): t.tensorIndex for t in (*signature.inputs, *signature.outputs)}
    tensors = file.subgraphs[0].tensors
    return {name: tensors[index] for name, index in by_name.items()}


@pytest.mark.parametrize("precision", list(Precision))
def test_scales_stand_on_the_tensors_where_one_number_says_it(precision):
    model = random_model("lstm", precision, cell_exponent=11)
    width = model.input.width
    plain = replace(model.input, scale=np.full(width, 0.1), offset=np.zeros(width))
    tensors = labels(replace(model, input=plain))
    assert tensors["x"].name == b"x"
    assert tensors["x"].quantization.scale == pytest.approx([0.1], rel=1e-7)
    assert list(tensors["y"].quantization.scale) == [2.0**-10]
    assert list(tensors["lstm_0.c"].quantization.scale) == [2.0**-11]
    assert list(tensors["lstm_0.h"].quantization.scale) == [2.0**-15]
    assert all(not np.any(t.quantization.zeroPoint) for t in tensors.values())


@pytest.mark.parametrize("field", ["scale", "offset"])
def test_an_input_that_one_number_cannot_describe_points_to_the_metadata(field):
    model = random_model("gru_after")
    plain = replace(model.input, scale=np.full(3, 0.1), offset=np.zeros(3))
    changed = replace(plain, **{field: np.array([0.1, 0.2, 0.3])})
    assert labels(replace(model, input=plain))["x"].name == b"x"
    assert labels(replace(model, input=changed))["x"].name == b"x.scales_in_metadata"


def affine8_codes(record, operands):
    """Clauses 4.2 and 4.3 in plain integers."""
    rows = []
    for r in range(record.rows):
        u = int(record.bias[r])
        for term in record.terms:
            q = operands[term.source]
            acc = sum(int(w) * v for w, v in zip(term.weights[r], q, strict=True))
            u += acc * int(term.multiplier[r])
        rows.append(min(max((u + (1 << (record.shift - 1))) >> record.shift, -32768), 32767))
    return rows


def affine16_codes(record, operands):
    """Clauses 5.2 and 5.3 in plain integers."""
    rows = []
    for r in range(record.rows):
        total = 0
        for term in record.terms:
            q = operands[term.source]
            acc = int(term.bias[r]) + sum(
                int(w) * v for w, v in zip(term.weights[r], q, strict=True)
            )
            k = int(term.shift[r])
            v = min(max((acc + (1 << (k - 1))) >> k, -32768), 32767)
            p = v * int(term.multiplier[r])
            total += (p + (1 << 14) + (-1 if p < -1 else 1)) >> 15
        rows.append(min(max(total, -32768), 32767))
    return rows


@pytest.mark.parametrize("common", [True, False])
@pytest.mark.parametrize("precision", list(Precision))
def test_a_stacked_map_gives_the_rows_of_its_parts(precision, common):
    gru = random_model("gru_after", precision, common=common, kind="hostile").layers[0]
    parts = (gru.zr, gru.n_x, gru.n_h)
    whole = stacked(parts)
    codes = affine8_codes if precision is Precision.W8A8 else affine16_codes
    rng = np.random.default_rng(0)
    low, high = precision.operand_low // 4, precision.operand_high // 4
    for _ in range(20):
        x, h = ([int(v) * precision.input_step for v in rng.integers(low, high, n)] for n in (3, 8))
        operands = {Source.X: x, Source.H: h, Source.XH: x + h}
        expected = [v for part in parts for v in codes(part, operands)]
        assert codes(whole, operands) == expected
    assert len(whole.terms) == (1 if common else 2)


def test_filler_rows_are_zero():
    weights, ones = np.full((1, 2), 127, np.int8), np.ones(1, np.int32)
    x8 = Affine8(terms=(Term8(source=Source.X, weights=weights, multiplier=ones),), bias=ones,
                 shift=3)  # fmt: skip
    h8 = replace(x8, terms=(replace(x8.terms[0], source=Source.H),))
    assert [t.multiplier.tolist() for t in stacked((x8, h8)).terms] == [[1, 0], [0, 1]]
    term = Term16(source=Source.X, weights=weights, bias=ones, shift=9 * ones, multiplier=7 * ones)
    x16, h16 = Affine16(terms=(term,)), Affine16(terms=(replace(term, source=Source.H),))
    assert [t.multiplier.tolist() for t in stacked((x16, h16)).terms] == [[7, 0], [0, 7]]
    assert [t.bias.tolist() for t in stacked((x16, h16)).terms] == [[1, 1], [1, 1]]


def test_tables_refuse_another_scale():
    graph = tflite_graph.Graph("g")
    z = graph.tensor("z", 4, "int16", 2.0**-12)
    with pytest.raises(ValueError, match=r"s: expected scale 2\^-10 \(LOGISTIC is exact there\)"):
        sigmoid(graph, "s", z)


def test_without_flatbuffers_the_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(BackendUnavailable, match=re.escape(hint("onnx-import")) + "$"):
        write_tflite(random_model("lstm"))


def test_the_tables_are_those_of_the_official_schema():
    official = official_schema()
    for enum in (
        codes.TensorType,
        codes.ActivationFunctionType,
        codes.Padding,
        codes.BuiltinOperator,
    ):
        for one in enum:
            assert getattr(getattr(official, enum.__name__), one.name) == one
    for name, (number, table) in options.OPTIONS.items():
        assert getattr(official.BuiltinOptions, name) == number
        wanted = vars(getattr(official, f"{name}T")())
        own = {field.name: field.default for field in fields(table)}
        assert list(own.items()) == list(wanted.items())[: len(own)]


@pytest.mark.parametrize("cell", CELLS)
def test_the_official_schema_packs_the_same_bytes(cell):
    content = write_tflite(random_model(cell, stack=2, outputs=3))
    builder = flatbuffers.Builder(1024)
    builder.Finish(parsed(content).Pack(builder), b"TFL3")
    assert bytes(builder.Output()) == content


def test_writing_imports_no_runtime():
    printed = run_python(
        "-c",
        "import sys; from tests.support.models.integer import random_model\n"
        "from edgernn_export.writers.tflite.writer import write_tflite\n"
        "write_tflite(random_model('lstm'))\n"
        "print({'tensorflow', 'ai_edge_litert', 'tflite_runtime'} & set(sys.modules))",
    )
    assert printed.strip() == "set()"


BARE_USER = """
import json, sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
path, readings = sys.argv[1], json.loads(sys.argv[2])
content = open(path, "rb").read()
start = content.index(b'{"edgernn_interface"')
about = json.JSONDecoder().raw_decode(content[start:].decode("utf-8", "replace"))[0]
step = Interpreter(model_path=path).get_signature_runner("step")
i, o = about["input"], about["output"]
dtype = {"w8a8": np.int8, "w8a16": np.int16}[about["precision"]]
state = {s["name"]: np.zeros((1, s["units"]), np.int16) for s in about["states"]}
for x in readings:
    unit = i["code_step"] * np.array(i["scale_decimal"])
    q = np.rint((np.array(x) - i["offset_decimal"]) / unit) * i["code_step"]
    q_x = np.clip(q, i["code_min"], i["code_max"]).astype(dtype)[None]
    out = step(x=q_x, **state)
    state = {name: out[name + "_out"] for name in state}
    print(json.dumps((out["y"][0] * np.array(o["scale_decimal"])).tolist()))
assert "edgernn" not in sys.modules
"""


@pytest.mark.parametrize("precision", list(Precision))
def test_a_bare_interpreter_user_needs_only_the_metadata(precision, tmp_path):
    require("tflite_runtime")
    model = random_model("lstm", precision)
    path = tmp_path / "m.tflite"
    path.write_bytes(write_tflite(model))
    readings = np.random.default_rng(2).normal(0, 1.5, (20, 3)).round(3)
    lines = run_python("-c", BARE_USER, str(path), json.dumps(readings.tolist())).splitlines()
    reference, interface = Reference(model), model.interface()
    q_ys, _ = reference.run(interface.quantize(readings), reference.initial_state())
    np.testing.assert_array_equal([json.loads(line) for line in lines], interface.dequantize(q_ys))


def test_golden_files_are_what_the_writer_gives_today():
    for name, content in tflite_files.build().items():
        committed = (tflite_files.FOLDER / name).read_bytes()
        assert committed == content, f"{name} differs: {tflite_files.COMMAND}"


def operators(model):
    """Names and results' types of a file's operators."""
    file, official = parsed(write_tflite(model)), official_schema()
    names = {code: name for name, code in vars(official.BuiltinOperator).items()}
    main = file.subgraphs[0]
    return Counter(
        (names[file.operatorCodes[op.opcodeIndex].builtinCode], main.tensors[op.outputs[0]].type)
        for op in main.operators
    )


def test_wiring_alone_needs_no_operators():
    found, types = operators(residual_network()), official_schema().TensorType
    alike = [kind for kind, _ in found if kind in ("SLICE", "RESHAPE", "CAST")]
    assert alike == []
    assert found["CONCATENATION", types.INT8] == 2  # the joint operands of both cells
    assert found["CONCATENATION", types.INT16] == 0  # a merge reads its vectors where they are


def test_an_operand_is_made_once_for_all_that_read_it():
    base = random_model("gru_after", outputs=2)
    gru, dense = base.layers
    again = replace(dense, name="again")
    whole = RoutePart(source=0, start=0, width=gru.units)
    ends = tuple(RoutePart(source=index, start=0, width=2) for index in (1, 2))
    four = {"names": ("p", "q", "r", "s"), "units": ("",) * 4, "scale": np.ones(4)}
    model = replace(
        base,
        layers=(gru, dense, again),
        routes=((RoutePart(source=-1, start=0, width=gru.inputs),), (whole,), (whole,), ends),
        output=replace(base.output, **four),
    )
    made = "QUANTIZE", official_schema().TensorType.INT8
    assert operators(model)[made] == operators(base)[made] == 2


def test_ports_are_labelled_as_inputs_and_outputs_are():
    def labels(model):
        file = parsed(write_tflite(model))
        (signature,), tensors = file.signatureDefs, file.subgraphs[0].tensors
        return {
            entry.name.decode(): (tensors[entry.tensorIndex].name.decode(),
                                  float(tensors[entry.tensorIndex].quantization.scale[0]))
            for entry in (*signature.inputs, *signature.outputs)
        }  # fmt: skip

    plain = labels(labelled(two_input_network()))
    assert (plain["a"], plain["b"]) == (("a", np.float32(0.1)), ("b", np.float32(0.1)))
    assert plain["head"][1] == plain["hidden"][1] == np.float32(0.3)
    assert plain["of_b.h_out"][1] == 2.0**-15  # of which "hidden" is a part
    assert labels(two_input_network())["a"] == ("a.scales_in_metadata", 2.0**-7)
