"""Bounds of values: which saturations can act, and that nothing the reference sees is outside."""

from __future__ import annotations

from itertools import product

import pytest

from edgernn.graph.builder import OpBuilder
from edgernn.graph.intervals import intervals, saturating
from edgernn.graph.lowering import lowered
from edgernn.graph.ops import Function, Value
from edgernn.model.formats import UNIT, Precision, QFormat
from edgernn.model.layers import GateActivation
from edgernn_firmware_sim.reference.events import Recorder
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.integer import CELLS, random_codes, random_model

#: Tensors of a layer whose sat16 is code: all others of clauses 7.2 to 7.7 never act.
ACTING = {
    "simple_rnn": set(),
    "simple_rnn_relu": set(),
    "lstm": {"c"},
    "gru_before": {"h"},
    "gru_after": {"n", "h"},
}


def graph_of(cell, **options):
    model = random_model(cell, outputs=0, **options)
    return model, lowered(model.precision, model.layers)


@pytest.mark.parametrize("gate", GateActivation)
@pytest.mark.parametrize("cell", CELLS)
def test_products_of_a_gate_never_saturate(cell, gate):
    options = {} if cell.startswith("simple") else {"gate_activation": gate}
    _, graph = graph_of(cell, **options)
    assert {name.partition(".")[2] for name in saturating(graph)} == ACTING[cell]


@pytest.mark.parametrize(("cell", "precision"), [*product(CELLS, Precision)])
def test_nothing_the_reference_sees_is_outside(cell, precision):
    model, graph = graph_of(cell, precision=precision, kind="hostile", units=16)
    recorder = Recorder()
    Reference(model, recorder).run(random_codes(model, 500))
    bounds, acting = intervals(graph), saturating(graph)
    seen = 0
    for name, events in recorder.tensors.items():
        if name in bounds and not (name in acting or "operand" in name):
            low, high = bounds[name]
            kept = (max(events.low, -32768), min(events.high, 32767))
            assert low <= kept[0] <= kept[1] <= high, name
            seen += 1
            if name.rpartition(".")[2] in ("z*h", "w*n", "r*h", "r*d", "f*c", "i*g"):
                assert events.saturated == 0
    assert seen >= 1


def test_bounds_of_every_operation():
    c = Value(name="c", width=2, format=QFormat(bits=16, frac_bits=12))
    h = Value(name="h", width=2, format=UNIT)
    g = OpBuilder(Precision.W8A16)
    g.layer = "l"
    x = g.input("x", 2)
    g.carry(c, c)
    g.carry(h, h)
    square = g.product(c, c, "c*c", UNIT)
    rounded = g.rescaled(g.product(h, h, "h*h"), QFormat(bits=16, frac_bits=10), "round")
    bent = g.activation(Function.RELU, c, "relu")
    rest = g.complement(h, "rest")
    total = g.sum(square, h, "sum")
    both = g.joint(x, g.operand(h, "o"))
    graph = g.finish((square, rounded, bent, rest, total))
    found = {name.removeprefix("l."): bounds for name, bounds in intervals(graph).items()}
    assert found["x"] == (-32764, 32764)
    assert found["c*c"] == (-32768, 32767)
    assert found["h*h"] == (-32767, 32767)
    assert found["round"] == (-1024, 1024)
    assert found["relu"] == (0, 32767)
    assert found["rest"] == (1, 32767)
    assert found["sum"] == (-32768, 32767)
    assert found["o"] == (-16384, 16384)
    assert both.width == 4
    assert saturating(graph) == {"l.c*c", "l.h*h", "l.sum"}
