"""Graphs of operations: what a layer becomes, constants that follow from formats, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgernn.errors import ModelError
from edgernn.graph.builder import OpBuilder
from edgernn.graph.lowering import lowered, lowered_model
from edgernn.graph.op_graph import Carried, OpGraph
from edgernn.graph.ops import (
    OPS,
    Activation,
    AffineResult,
    Blend,
    Complement,
    Concatenation,
    Curve,
    Function,
    Gate,
    GatedSum,
    Gather,
    InputOperand,
    LeakySum,
    Normalization,
    OperandOf,
    Product,
    Rescaling,
    Slice,
    Sum,
    Value,
    WideRescaling,
)
from edgernn.model.affine import Source
from edgernn.model.formats import NORMALIZED, PREACTIVATION, UNIT, Precision, QFormat
from edgernn.model.functions.curves import CurveTable
from edgernn.model.functions.pointwise import PointwiseFunction
from edgernn.model.scales import LeakConstants, NormalizationConstants
from tests.support.models.attention import attention_models
from tests.support.models.convolutions import convolutions
from tests.support.models.general import general_models
from tests.support.models.integer import CELLS, random_model
from tests.support.models.networks import networks
from tests.support.models.normalized_cell import normalized_models, register
from tests.support.models.tokens import token_models

pytestmark = pytest.mark.device

V = Value(name="v", width=4, format=UNIT)
W = Value(name="w", width=4, format=UNIT)
Z = Value(name="z", width=4, format=PREACTIVATION)
X = Value(name="x", width=4, format=None, operand=True)
RAW = Value(name="raw", width=4, format=None)
TABLE = np.ones((9, 3), np.int8)
#: The most fraction bits there are, which the low part of `V` has, and the fewest.
FINE, COARSE = QFormat(bits=16, frac_bits=30), QFormat(bits=16, frac_bits=-16)
LOW = Value(name="v_low", width=4, format=FINE)
WHOLE = Value(name="whole", width=4, format=QFormat(bits=16, frac_bits=0))


def result(width=4, form=UNIT, operand=False):
    return Value(name="y", width=width, format=form, operand=operand)


def graph(*ops, inputs=(X,), carried=(V, W, Z, LOW, RAW, WHOLE), outputs=()):
    states = tuple(Carried(before=value, after=value) for value in carried)
    return OpGraph(
        precision=Precision.W8A8, inputs=inputs, carried=states, ops=ops, outputs=outputs
    )


def shifts(cell, **options):
    model = random_model(cell, Precision.W8A8, units=4, outputs=0, **options)
    ops = lowered(model.precision, model.layers).ops
    wanted = (Product, Rescaling)
    return {op.result.name.partition(".")[2]: op.shift for op in ops if isinstance(op, wanted)}


@pytest.mark.parametrize("exponent", range(10, 15))
def test_the_constants_of_the_clauses_follow_from_formats(exponent):
    rescaled = {"z_c": exponent - 10} if exponent > 10 else {}
    assert shifts("lstm", cell_exponent=exponent) == {
        "i*g": 30 - exponent, "f*c": 15, **rescaled, "h": 15
    }  # fmt: skip
    assert shifts("gru_before") == {"r*h": 15, "z*h": 15, "w*n": 15}
    assert shifts("gru_after") == {"r*d": 15, "z*h": 15, "w*n": 15}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("common", [True, False])
def test_a_chain_is_one_graph(cell, common):
    model = random_model(cell, Precision.W8A16, common=common, stack=2)
    made = lowered(model.precision, model.layers)
    assert [value.width for value in made.inputs] == [model.input.width]
    assert [value.width for value in made.outputs] == [model.output.width]
    assert [(s.before.width, s.before.format) for s in made.carried] == [
        (spec.units, spec.format) for spec in model.states
    ]
    maps = [affine for layer in model.layers for affine in layer.affines.values()]
    assert [op.affine for op in made.ops if isinstance(op, AffineResult)] == maps
    joint = [op for op in made.ops if isinstance(op, Concatenation)]
    assert len(joint) == (2 if common else 0)


def test_every_operation_occurs_in_some_layer(monkeypatch):
    register(monkeypatch)
    models = [*(random_model(cell) for cell in CELLS), *networks().values()]
    models += normalized_models((4,)).values()
    models += token_models().values()
    models += convolutions().values()
    models += general_models().values()
    models += attention_models().values()
    kinds = {type(op) for model in models for op in lowered_model(model).ops}
    assert kinds == set(OPS)
    assert len({op.kind for op in OPS}) == len(OPS)


def affine_of(units, **fields):
    layer = random_model("gru_after", Precision.W8A8, inputs=4, units=units, outputs=0).layers[0]
    made = {"result": result(units, PREACTIVATION), "operands": (X,), "rows": ("a",)}
    made["name"] = "n_x"
    return AffineResult(affine=layer.n_x, **(made | fields))


def normalization_of(width, **fields):
    made = NormalizationConstants(width=width, epsilon=np.ones(1, np.int32))
    given = {"result": result(width, NORMALIZED), "value": V, "name": "n", "constants": made}
    return Normalization(**(given | fields))


def gate_of(value=Z, *, fine=True, complement=False):
    return Gate(value=value, fine=fine, complement=complement)


def blend_of(**fields):
    made = {"result": result(), "high": V, "low": LOW, "target": W, "share": gate_of()}
    return Blend(**(made | {"result_low": replace(LOW, name="y_low")} | fields))


def gated_sum_of(**fields):
    made = {"result": result(), "high": V, "low": LOW, "loss": gate_of(), "candidate": W}
    made |= {"gain": gate_of(W, fine=False), "result_low": replace(LOW, name="y_low")}
    return GatedSum(**(made | fields))


def leaky_sum_of(width=4, **fields):
    ones = np.ones(width, np.int16)
    leak = LeakConstants(high=ones, low=ones, shift=ones)
    made = {"result": result(), "high": V, "low": LOW, "entry": RAW, "name": "leak"}
    made |= {"constants": leak, "rectified": True, "result_low": replace(LOW, name="y_low")}
    return LeakySum(**(made | fields))


def curve_of(**fields):
    table = CurveTable(entries=np.zeros(17, np.int16))
    made = {"result": result(), "value": Z, "name": "curve", "table": table}
    return Curve(**(made | {"function": PointwiseFunction.of("elu")} | fields))


REFUSED = [
    (curve_of(), None),
    (curve_of(value=X), "expected values, got"),
    (curve_of(result=result(3)), r"expected a width of 4, got \[3, 4\]"),
    (blend_of(), None),
    (blend_of(low=W), r"expected a state and its low part, got v\[4\] Q0.15, w\[4\] Q0.15"),
    (blend_of(high=RAW, target=RAW), "expected a state and its low part, got raw"),
    (blend_of(target=Z), "expected one format, got v"),
    (blend_of(share=gate_of(V)), "expected a gate in Q5.10, got v"),
    (blend_of(share=gate_of(Z, fine=False)), "expected a gate in Q0.15, got z"),
    (blend_of(result=result(form=PREACTIVATION)), "expected one format, got y"),
    (blend_of(result_low=replace(V, name="y_low")), "expected one format, got y_low"),
    (blend_of(result_low=replace(LOW, name="y_low", width=3)), "expected a width of 4"),
    (gated_sum_of(), None),
    (gated_sum_of(candidate=Z), "expected a candidate with 0 to 29 fraction bits more"),
    (gated_sum_of(candidate=RAW), "expected fixed-point formats, got v"),
    (gated_sum_of(loss=gate_of(V)), "expected a gate in Q5.10, got v"),
    (gated_sum_of(gain=gate_of(V)), "expected a gate in Q5.10, got v"),
    (gated_sum_of(low=W), "expected a state and its low part"),
    (leaky_sum_of(), None),
    (leaky_sum_of(3), "expected a width of 3"),
    (leaky_sum_of(entry=X), "expected values, got|expected a state and its low part"),
    (WideRescaling(result=result(form=PREACTIVATION), high=V, low=LOW), None),
    (WideRescaling(result=result(form=FINE), high=V, low=LOW), None),
    (WideRescaling(result=result(form=COARSE), high=V, low=LOW), "a shift from 0 to 30, got"),
    (WideRescaling(result=result(form=None), high=V, low=LOW), "a shift from 0 to 30, got"),
    (WideRescaling(result=result(), high=V, low=W), "expected a value and its low part"),
    (normalization_of(4), None),
    (normalization_of(4, result=result(4, UNIT)), r"expected Q4.11, got y\[4\] Q0.15"),
    (normalization_of(3), r"expected a width of 4, got \[3, 4\]"),
    (normalization_of(4, value=X), "expected values, got"),
    (OperandOf(result=result(), value=V), "expected a value as input and an operand as result"),
    (
        OperandOf(result=result(operand=True), value=X),
        "expected a value as input and an operand as result",
    ),
    (OperandOf(result=result(3, None, True), value=V), r"expected a width of 4, got \[3, 4\]"),
    (Concatenation(result=result(8), parts=(V, X)), "expected only operands or only values, got v"),
    (Concatenation(result=result(7, None, True), parts=(X, X)), r"a width of 8, got \[7, 8\]"),
    (Slice(result=result(3), value=V, start=2), "expected codes 0 to 4, got 2 to 5"),
    (Slice(result=result(3), value=V, start=-1), "expected codes 0 to 4, got -1 to 2"),
    (
        Slice(result=result(2), value=Z, start=0),
        r"expected one format, got y\[2\] Q0.15, z\[4\] Q5",
    ),
    (
        affine_of(4, operands=(X, X)),
        r"expected operands of \[4\] codes, got x\[4\] operand, x\[4\]",
    ),
    (affine_of(4, operands=(V,)), "expected operands as inputs and a value as result"),
    (affine_of(4, rows=()), "expected rows in 0 equal parts, got 4"),
    (affine_of(4, rows=("a", "b", "c")), "expected rows in 3 equal parts, got 4"),
    (
        InputOperand(result=result(operand=True), codes=V),
        "expected codes as input and an operand as result",
    ),
    (
        InputOperand(result=result(form=None), codes=RAW),
        "expected codes as input and an operand as result",
    ),
    (
        InputOperand(result=result(3, None, True), codes=RAW),
        r"expected a width of 4, got \[3, 4\]",
    ),
    (Gather(result=result(12, None), tokens=V, name="t", table=TABLE), "values without a format"),
    (Gather(result=result(8, None), tokens=RAW, name="t", table=TABLE), "a width of 12, got"),
    (Gather(result=result(12, None), tokens=X, name="t", table=TABLE), "expected values, got"),
    (affine_of(3), None),
    (affine_of(3, result=result(4)), r"expected a width of 3, got \[3, 4\]"),
    (
        Activation(result=result(), value=V, function=Function.TANH),
        "expected Q5.10 to Q0.15, got v",
    ),
    (Activation(result=result(), value=Z, function=Function.RELU), "expected one format"),
    (Activation(result=result(5), value=Z, function=Function.TANH), "expected a width of 4"),
    (
        Product(result=result(), a=V, b=RAW),
        r"expected fixed-point formats, or a shift without formats, got .* raw\[4\] None",
    ),
    (Product(result=result(5), a=V, b=W), "expected a width of 4"),
    (
        Product(result=result(), a=V, b=WHOLE),
        "expected a shift of 1 to 30, got 0",
    ),
    (Sum(result=result(), a=V, b=Z), "expected one format"),
    (Sum(result=result(form=None), a=RAW, b=X), "expected values, got .* x.4. operand"),
    (Activation(result=result(form=None), value=X, function=Function.RELU), "expected values, got"),
    (Slice(result=result(2, None), value=X, start=0), "expected one format, got"),
    (Sum(result=result(5), a=V, b=W), "expected a width of 4"),
    (Rescaling(result=result(), value=Z), None),
    (Rescaling(result=result(form=COARSE), value=Z), "a shift of ±15 at most, got 26"),
    (Rescaling(result=result(form=FINE), value=Z), "a shift of ±15 at most, got -20"),
    (Rescaling(result=result(form=None), value=Z), "expected fixed-point formats, got"),
    (Complement(result=result(form=PREACTIVATION), value=Z), None),
    (
        Complement(result=result(form=FINE), value=LOW),
        "expected 0 to 15 fraction bits, got v_low",
    ),
    (Complement(result=result(3), value=V), "expected a width of 4"),
]


@pytest.mark.parametrize(("op", "message"), REFUSED)
def test_what_breaks_a_clause_is_refused(op, message):
    if message is None:
        assert op.defect() is None
        return
    with pytest.raises(ModelError, match=rf"operation y \({op.kind}\): .*{message}"):
        graph(op)


def test_what_a_graph_reads_is_there_and_named_once():
    total = Sum(result=result(), a=V, b=W)
    graph(total, outputs=(total.result,))
    more = Sum(result=replace(V, name="more"), a=V, b=total.result)
    graph(total, more)
    with pytest.raises(ModelError, match=r"more: expected a value computed earlier, got 'y'"):
        graph(more, total)
    with pytest.raises(
        ModelError, match=r"distinct names of values, got 'y' twice\. Rename one of"
    ):
        graph(total, total)
    with pytest.raises(ModelError, match=r"output: expected a value computed earlier, got 'u'"):
        graph(outputs=(replace(V, name="u"),))
    with pytest.raises(
        ModelError, match=r"operation y: expected a value computed earlier, got 'v'"
    ):
        graph(Sum(result=result(5), a=replace(V, width=5), b=W))
    with pytest.raises(ModelError, match=r"state v: expected 4 codes Q0.15, got 4 codes Q5.10"):
        OpGraph(
            precision=Precision.W8A8,
            inputs=(),
            carried=(Carried(before=V, after=Z), Carried(before=Z, after=Z)),
            ops=(),
            outputs=(),
        )
    for value in (replace(V, width=0), replace(V, format=QFormat(bits=32, frac_bits=30))):
        with pytest.raises(ModelError, match=r"v: expected a (width of 1|16-bit format)"):
            graph(carried=(value,))
    with pytest.raises(ModelError, match="output x: expected an int16 value, got operand codes"):
        graph(outputs=(X,))
    with pytest.raises(ModelError, match="state k: expected an int16 value, got operand codes"):
        graph(carried=(replace(X, name="k"),))
    with pytest.raises(ModelError, match=r"state v: expected a value computed earlier, got 'u'"):
        OpGraph(
            precision=Precision.W8A8,
            inputs=(),
            carried=(Carried(before=V, after=replace(V, name="u")),),
            ops=(),
            outputs=(),
        )


def test_the_builder_joins_operands_once_and_rescales_only_where_bits_differ():
    g = OpBuilder(Precision.W8A8)
    g.layer = "one"
    x, h = g.input("x", 3), g.input("h", 2)
    assert g.joint(x, h) is g.joint(x, h)
    state = Value(name="c", width=2, format=PREACTIVATION)
    g.carry(state, state)
    assert g.rescaled(state, PREACTIVATION, "same") is state
    layer = random_model("lstm", Precision.W8A8, inputs=3, units=2, outputs=0).layers[0]
    z = g.affine("gates", layer.gates, {Source.X: x, Source.H: h}, rows="ifgo")
    parts = g.split(z, "ifgo")
    assert [part.name for part in parts] == [f"one.gates.{gate}" for gate in "ifgo"]
    made = g.finish(parts)
    assert [op.kind for op in made.ops] == ["concat", "affine", *["slice"] * 4]
    assert made.ops[1].rows == tuple(part.name for part in parts)
    np.testing.assert_array_equal([op.start for op in made.ops[2:]], [0, 2, 4, 6])


def test_a_map_without_one_of_its_operands_is_refused_with_a_cure():
    g = OpBuilder(Precision.W8A8)
    g.layer = "one"
    x, h = g.input("x", 3), g.input("h", 2)
    n = random_model("gru_before", Precision.W8A8, inputs=3, units=2, outputs=0).layers[0].n
    with pytest.raises(ModelError, match=r"for rh of the map 'one.n', got x, h. .*\[Source.RH\]"):
        g.affine("n", n, {Source.X: x, Source.H: h})
