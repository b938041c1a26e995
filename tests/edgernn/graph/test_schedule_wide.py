"""Where wide states lie: the low part in place and without copies, unless something reads it."""

from __future__ import annotations

import pytest

from edgernn.graph.builder import OpBuilder
from edgernn.graph.lowering import lowered
from edgernn.graph.ops import Gate, Value
from edgernn.graph.schedule import schedule
from edgernn.graph.vector_calls import COMPLEMENT, FINE, SCRATCH, Place, VectorCall
from edgernn.model.formats import LOW, PREACTIVATION, UNIT, Precision, low_format
from tests.support.models.general import WIDENED, general_model

UPDATES = {VectorCall.BLEND, VectorCall.GATED_SUM, VectorCall.LEAKY_SUM}


@pytest.mark.parametrize("kind", [*WIDENED, "leaky_rnn"])
def test_low_parts_stay_where_they_are(kind):
    for seed in range(6):
        options = {} if kind == "leaky_rnn" else {"wide": True}
        layer = general_model(kind, seed=seed, **options).layers[0]
        step = schedule(lowered(Precision.W8A8, (layer,)))
        lows = [i for i, spec in enumerate(layer.states) if spec.name.endswith(LOW)]
        (update,) = [one for one in step.instructions if one.call in UPDATES]
        assert update.reads[1] == Place(lows[0], 0, layer.units)
        assert update.result is not None
        assert update.result.vector != lows[0]
        assert VectorCall.COPY not in {one.call for one in step.instructions}


def test_shares_are_numbers_of_their_gates():
    layer = general_model("general_lstm", wide=True, gate_function="sigmoid").layers[0]
    step = schedule(lowered(Precision.W8A8, (layer,)))
    (update,) = [one for one in step.instructions if one.call is VectorCall.GATED_SUM]
    assert update.numbers == (FINE | COMPLEMENT, FINE)


def test_functions_that_are_tables_are_applied_where_the_state_lies():
    layer = general_model("general_rnn", cell_function="softsign").layers[0]
    step = schedule(lowered(Precision.W8A8, (layer,)))
    assert step.scratch == 0
    (curve,) = [one for one in step.instructions if one.call is VectorCall.CURVE]
    assert curve.reads == (curve.result,) == (Place(0, 0, layer.units),)


def test_a_low_part_that_is_read_later_moves():
    """Two updates of one state: the first works on a copy, the second in place."""
    g = OpBuilder(Precision.W8A8)
    g.layer = "l"
    width = 4
    high = Value(name="h", width=width, format=UNIT)
    low = Value(name="h_low", width=width, format=low_format(UNIT))
    gate = Value(name="a", width=width, format=PREACTIVATION)
    target = Value(name="n", width=width, format=UNIT)
    share = Gate(value=gate, fine=True)
    g.input("x", 3)
    first = g.blend((high, low), target, share, "first")
    second = g.blend((high, low), target, share, "second")
    for before, after in ((high, first[0]), (low, first[1]), (gate, gate), (target, target)):
        g.carry(before, after)
    step = schedule(g.finish([second[0]]))
    one, two = (i for i in step.instructions if i.call is VectorCall.BLEND)
    assert one.reads[1].vector == SCRATCH
    assert two.reads[1] == Place(1, 0, width)
    places = {one.result, one.reads[1], two.result, two.reads[1]}
    assert len(places) == 4
    assert not any(a.meets(b) for a in places for b in places if a != b)
    (copy, *_) = step.instructions
    assert (copy.call, copy.reads, copy.result) == (
        VectorCall.COPY, (Place(1, 0, width),), one.reads[1],
    )  # fmt: skip
    assert [i.result for i in step.instructions[-2:]] == [Place(0, 0, width), Place(1, 0, width)]
