"""The exact ONNX writer: operators, types, tables, determinism, metadata, sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgernn.container import interface_json
from edgernn.graph.builder import OpBuilder
from edgernn.graph.ops import Function
from edgernn.model.affine import Affine8, Affine16, Source, Term8, Term16
from edgernn.model.formats import Precision
from edgernn.model.interface import Golden
from edgernn.model.layers import GateActivation
from edgernn.model.scales import ScaleVector
from edgernn_export.writers.onnx.graph import GraphBuilder
from edgernn_export.writers.onnx.integer_operators import ResultRange, affine, round_product
from edgernn_export.writers.onnx.interpreter import NodeEmitter, NodeRows
from edgernn_export.writers.onnx.tables import REACH, Tables
from edgernn_export.writers.onnx.writer import write_onnx_exact
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness.twin import scalar
from tests.support.models.integer import CELLS, random_codes, random_model

FLOAT_TYPES = {
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
    onnx.TensorProto.DOUBLE,
}
ALL_CODES = np.arange(-32768, 32768, dtype=np.int32)


def models():
    for precision in Precision:
        for cell in CELLS:
            yield random_model(cell, precision)
        yield random_model("lstm", precision, gate_activation=GateActivation.HARD_SIGMOID)


def evaluate(make, values):
    """What onnxruntime computes for the tensor that ``make(g, x)`` appends, on int32 [1, N]."""
    g = GraphBuilder("test")
    x = g.input("x", np.int32, [1, values.size])
    result = make(g, x)
    shape = [1, values.size] if isinstance(result, str) else list(result[1])
    tensor = result if isinstance(result, str) else result[0]
    g.output(g.cast(tensor, np.int32), "y", np.int32, shape)
    session = ort.InferenceSession(g.to_bytes({}), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values.reshape(1, -1).astype(np.int32)})[0]


@pytest.mark.parametrize("k", range(21))
def test_round_product_follows_clause_1_3(k):
    rng = np.random.default_rng(k)
    multiples = np.arange(-40, 41)[:, None] * (1 << max(k - 1, 0))
    near = (multiples + np.arange(-3, 4)).ravel()
    largest = 32767 * 32768 if k > 2 else 32768
    wide = rng.integers(-largest, largest + 1, 20_000)
    p = np.concatenate([near, [-largest, largest], wide])
    got = evaluate(lambda g, x: round_product(g, x, k), p)
    assert got[0].tolist() == [scalar.R(int(v), k) for v in p]


def interpreted(make):
    """What the operations that ``make(builder, x)`` adds compute for every int16 value x."""
    builder = OpBuilder(Precision.W8A8)
    builder.layer = "layer"
    x = builder.input("x", ALL_CODES.size, operand=False)
    step = builder.finish((make(builder, x),))

    def nodes(g, name):
        emitter = NodeEmitter(g, Tables(g, Precision.W8A8))
        return emitter(step, ((NodeRows(name, ALL_CODES.size),),), ())[0][0]

    return evaluate(nodes, ALL_CODES)[0].tolist()


@pytest.mark.parametrize("k", [1, 2, 3, 14, 15, 29, 30])
def test_scaling_follows_clause_7_9_for_all_inputs(k):
    rng = np.random.default_rng(k)
    m = rng.choice([32767, -32767, 16384, -3, 0, 1], ALL_CODES.size)
    b = rng.choice([32767, -32768, 0, 1000], ALL_CODES.size)
    for bias in (b, 0 * b):
        scale = ScaleVector(multiplier=m.astype(np.int16), shift=k, bias=bias.astype(np.int16))
        got = interpreted(lambda g, x: g.scaled(x, "m", scale, "y", None))  # noqa: B023
        assert got == [
            scalar.sat16(scalar.sat16(scalar.R(int(v) * int(n), k)) + int(o))
            for v, n, o in zip(ALL_CODES, m, bias, strict=True)
        ]


@pytest.mark.parametrize("k", [1, 2, 3, 30])
def test_products_with_a_factor_that_is_not_negative_stay_in_32_bits(k):
    def make(g, x):
        return g.plain_product(g.activation(Function.RELU, x, "relu"), x, k, "y")

    wanted = [scalar.sat16(scalar.R(max(int(v), 0) * int(v), k)) for v in ALL_CODES]
    assert interpreted(make) == wanted


@pytest.mark.parametrize(
    ("table", "function"),
    [
        ("sigmoid", scalar.sigmoid),
        ("hard_sigmoid", scalar.hard_sigmoid),
        ("tanh", scalar.tanh),
    ],
)
def test_activation_tables_follow_section_3_for_all_inputs(table, function):
    def lookup(g, z):
        tables = Tables(g, Precision.W8A8)
        name = tables.tanh() if table == "tanh" else tables.gates(GateActivation(table))
        low, high = g.constant(-REACH), g.constant(REACH)
        index = g.node("Add", g.node("Clip", z, low, high), g.constant(REACH))
        return g.node("Gather", name, index)

    assert evaluate(lookup, ALL_CODES)[0].tolist() == [function(int(z)) for z in ALL_CODES]


@pytest.mark.parametrize("exponent", range(10, 15))
def test_cell_state_tables_follow_clause_7_4_for_all_inputs(exponent):
    def lookup(g, c):
        return g.node("Gather", Tables(g, Precision.W8A8).tanh_of_cell(exponent), c)

    expected = [scalar.tanh(scalar.R(int(c), exponent - 10)) for c in ALL_CODES]
    assert evaluate(lookup, ALL_CODES)[0].tolist() == expected


def test_w8a8_operands_follow_clause_2_7_for_all_inputs():
    got = evaluate(lambda g, v: Tables(g, Precision.W8A8).operand(v), ALL_CODES)
    expected = [max(-128, min(127, scalar.R(int(v), 8))) for v in ALL_CODES]
    assert (got[0] - 128).tolist() == expected


def test_w8a16_operands_follow_clause_2_7_for_all_inputs():
    def rows(g, v):
        return Tables(g, Precision.W8A16).operand(v), (2, 1, ALL_CODES.size)

    high, low = evaluate(rows, ALL_CODES).reshape(2, -1) - 128
    expected = [4 * scalar.R(int(v), 3) for v in ALL_CODES]
    assert (4 * (128 * high + low)).tolist() == expected
    assert (low.min(), low.max()) == (0, 127)


def test_w8a16_model_inputs_are_split_without_loss():
    codes = np.arange(-32764, 32765, 4)

    def rows(g, v):
        return Tables(g, Precision.W8A16).model_input(g.cast(v, np.int16)), (2, 1, codes.size)

    high, low = evaluate(rows, codes).reshape(2, -1) - 128
    assert (4 * (128 * high + low)).tolist() == codes.tolist()


def affine_result(record, window):
    """What the graph of an affine map gives where every operand is 0."""
    rows = 1 if isinstance(record, Affine8) else 2

    def make(g, x):
        zeros = g.constant(np.full([rows, 1, 1][2 - rows :], 128), np.uint8)
        z = affine(g, record, {Source.X: zeros}, window)
        return g.node("Add", z, g.node("Mul", x, g.constant(0)))

    return evaluate(make, np.zeros(record.rows))[0].tolist()


def window_result(z, window):
    return min(max(z, window.low), window.high) + window.bias


WINDOWS = [ResultRange(), ResultRange(low=0), ResultRange(low=-REACH, high=REACH, bias=REACH)]


@pytest.mark.parametrize("window", WINDOWS, ids=["int16", "relu", "index"])
@pytest.mark.parametrize("shift", range(1, 29))
def test_w8a8_affine_maps_follow_clause_4_3_up_to_the_bound(shift, window):
    half = 1 << (shift - 1)
    bound = (1 << 29) - half - 1
    edges = [level * (1 << shift) + side for level in (-32768, -REACH, 0, REACH, 32767)
             for side in (-half - 1, -half, -1, 0, 1, half - 1, half)]  # fmt: skip
    u = np.array([-bound, 1 - bound, bound, *(e for e in edges if abs(e) <= bound)], np.int32)
    term = Term8(
        source=Source.X,
        weights=np.zeros((u.size, 1), np.int8),
        multiplier=np.zeros(u.size, np.int32),
    )
    record = Affine8(terms=(term,), bias=u, shift=shift)
    expected = [window_result(scalar.sat16(scalar.half_up(int(v), shift)), window) for v in u]
    assert affine_result(record, window) == expected


@pytest.mark.parametrize("window", WINDOWS, ids=["int16", "relu", "index"])
def test_w8a16_affine_maps_follow_clause_5_2_up_to_the_bound(window):
    rows = []
    for shift in range(3, 31):
        half = 1 << (shift - 1)
        bound = (1 << 31) - half - 1
        levels = [level * (1 << shift) + side for level in (-32768, -1, 0, 1, 32767)
                  for side in (-half - 3, -half + 1, 1, half - 3, half + 1)]  # fmt: skip
        for acc in (-bound, -bound + 4, bound, bound - 4, *levels):
            acc = acc // 4 * 4 + 1
            if -bound <= acc <= bound:
                rows.extend((acc, shift, m) for m in (0, 1, 16384, 32767))
    acc, shift, multiplier = np.array(rows, dtype=np.int32).T
    term = Term16(
        source=Source.X,
        weights=np.zeros((len(rows), 1), np.int8),
        bias=acc,
        shift=shift,
        multiplier=multiplier,
    )
    expected = [
        window_result(scalar.R(scalar.sat16(scalar.half_up(a, k)) * m, 15), window)
        for a, k, m in rows
    ]
    assert affine_result(Affine16(terms=(term,)), window) == expected


@pytest.mark.parametrize("precision", Precision, ids=[p.value for p in Precision])
@pytest.mark.parametrize("cell", ["gru_after", "gru_before"])
def test_a_gru_state_at_its_maximum_saturates(cell, precision):
    # z = 1/2 and h = n = 32767: both products round up, and their sum 32768 has to be clipped.
    model = random_model(cell, precision, outputs=0)
    (layer,) = model.layers
    level = {name: 0 if name == "zr" else 32767 for name in layer.affines}
    changed = {name: constant(record, level[name]) for name, record in layer.affines.items()}
    model = replace(model, layers=(replace(layer, **changed),))
    session = ort.InferenceSession(write_onnx_exact(model), providers=["CPUExecutionProvider"])
    q_x = np.zeros((1, 3), precision.operand_dtype)
    h = np.full((1, 8), 32767, np.int16)
    q_y, _ = session.run(None, {"x": q_x, model.states[0].name: h})
    assert q_y.tolist() == Reference(model).step(q_x, (h,))[0].tolist() == [[32767] * 8]


def constant(record, level):
    """The affine map with zero weights whose result is ``level``, or 2 less in `w8a16`."""
    if isinstance(record, Affine8):
        terms = tuple(replace(t, weights=np.zeros_like(t.weights)) for t in record.terms)
        bias = np.full_like(record.bias, level << record.shift)
        return Affine8(terms=terms, bias=bias, shift=record.shift)
    terms = tuple(
        replace(
            t,
            weights=np.zeros_like(t.weights),
            bias=np.full_like(t.bias, (level << 3) // 4 * 4 + 1),
            shift=np.full_like(t.shift, 3),
            multiplier=np.full_like(t.multiplier, 32767),
        )
        for t in record.terms
    )
    return Affine16(terms=terms)


def test_only_standard_integer_operators():
    for model in models():
        proto = onnx.load_from_string(write_onnx_exact(model))
        assert [(o.domain, o.version) for o in proto.opset_import] == [("", 17)]
        assert {node.domain for node in proto.graph.node} == {""}
        inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
        infos = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
        types = {info.type.tensor_type.elem_type for info in infos}
        types |= {tensor.data_type for tensor in inferred.graph.initializer}
        assert types.isdisjoint(FLOAT_TYPES)
        made = {name for node in proto.graph.node for name in node.output}
        assert made <= {info.name for info in infos}, "a tensor without a type escapes the check"


def test_matrix_products_are_uint8_by_uint8_with_zero_point_128():
    for model in models():
        proto = onnx.load_from_string(write_onnx_exact(model))
        constants = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
        products = [n for n in proto.graph.node if n.op_type == "MatMulInteger"]
        terms = sum(len(a.terms) for layer in model.layers for a in layer.affines.values())
        assert len(products) == terms
        for node in products:
            _, weights, x_zero, w_zero = node.input
            assert constants[weights].dtype == np.uint8
            assert constants[x_zero].tolist() == constants[w_zero].tolist() == 128
        assert not [n for n in proto.graph.node if n.op_type in ("MatMul", "Gemm")]


def test_inputs_and_outputs_are_named_and_typed_as_the_interface_says():
    for model in models():
        proto = onnx.load_from_string(write_onnx_exact(model))

        def describe(values):
            return [
                (
                    v.name,
                    onnx.helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type).name,
                    [d.dim_value for d in v.type.tensor_type.shape.dim],
                )
                for v in values
            ]

        states = [(s.name, "int16", [1, s.units]) for s in model.states]
        x = ("x", model.precision.operand_dtype.name, [1, model.input.width])
        assert describe(proto.graph.input) == [x, *states]
        y = ("y", "int16", [1, model.output.width])
        after = [(f"{name}_out", dtype, shape) for name, dtype, shape in states]
        assert describe(proto.graph.output) == [y, *after]


def test_same_model_same_bytes():
    for model in models():
        assert write_onnx_exact(model) == write_onnx_exact(replace(model))


def test_checker_accepts_the_whole_file():
    for model in models():
        onnx.checker.check_model(write_onnx_exact(model), full_check=True)


def test_metadata_hold_the_interface_with_the_golden_vector():
    model = random_model("gru_after", Precision.W8A16)
    q_x = random_codes(model, 8)
    golden = Golden(q_x=q_x, q_y=Reference(model).run(q_x)[0])
    proto = onnx.load_from_string(write_onnx_exact(model, golden))
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert sorted(metadata) == ["edgernn", "edgernn_sha256"]
    read = interface_json.loads(metadata["edgernn"])
    assert read == replace(model.interface(), golden=golden)


@pytest.mark.parametrize(("precision", "limit"), [("w8a8", 36_000), ("w8a16", 42_000)])
def test_tables_are_computed_not_stored(precision, limit):
    model = random_model("lstm", Precision(precision), inputs=8, units=64, outputs=4)
    assert len(write_onnx_exact(model)) < limit  # 19,456 of them are weights
