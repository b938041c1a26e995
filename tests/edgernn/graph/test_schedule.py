"""Schedules over a plain memory compute what their graphs do: nothing is overwritten too early."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgernn.errors import ModelError
from edgernn.graph.builder import OpBuilder
from edgernn.graph.lowering import LOWERINGS, lowered
from edgernn.graph.ops import Function, Value
from edgernn.graph.schedule import schedule
from edgernn.graph.vector_calls import INPUT, SCRATCH, VectorCall
from edgernn.model.affine import Source
from edgernn.model.formats import PREACTIVATION, UNIT, Precision
from edgernn.model.layers import SimpleRNN
from edgernn.model.merges import MergeOperation
from edgernn_firmware_sim.reference.affine import affine_map, operand
from edgernn_firmware_sim.reference.events import Quiet
from edgernn_firmware_sim.reference.interpreter import FUNCTIONS, StepInterpreter
from tests.exactness.twin.scalar import R, hypotenuse, sat16
from tests.support.models.integer import CELLS, random_codes, random_model
from tests.support.models.networks import random_merge, random_scale

WIDTH = 6
INPUTS = 3


class Memory:
    """Vectors of a stream, scratch and operands; runs instructions element by element."""

    def __init__(self, graph, step, affines, scales=()):
        self.graph, self.step, self.affines, self.scales = graph, step, affines, scales
        self.input = np.zeros(0, np.int32)
        self.states = [np.zeros(state.before.width, np.int32) for state in graph.carried]
        self.scratch = np.full(step.scratch, 12345, np.int32)
        self.behind = np.zeros(0, np.int32)

    def at(self, place):
        named = {SCRATCH: self.scratch, INPUT: self.input}
        vector = named[place.vector] if place.vector in named else self.states[place.vector]
        assert place.end <= vector.size
        return vector[place.start : place.end]

    def run(self, x):
        self.input = x.copy()
        for one in self.step.instructions:
            reads = [self.at(place) for place in one.reads]
            if one.call is VectorCall.OPERANDS:
                self.behind = operand(self.graph.precision, reads[0][None], Quiet(), "")[0]
                continue
            result = self.at(one.result)
            if one.call is VectorCall.AFFINE:
                result[:] = self.affine(one.option, x)
            elif one.call is VectorCall.ACTIVATE:
                assert one.reads == (one.result,)
                result[:] = FUNCTIONS[one.option](result)
            else:
                self.elementwise(one, reads, result)
        outputs = [self.at(place).copy() for place in self.step.outputs]
        assert self.input.tolist() == x.tolist()
        self.scratch[:] = -12345  # nothing in it outlives the step
        return outputs

    def elementwise(self, one, reads, result):
        for j in range(result.size):  # as C does: a result may overwrite what it is made of
            a = int(reads[0][j])
            b = int(reads[1][j]) if len(reads) > 1 else 0
            if one.call is VectorCall.SCALE:
                by = self.scales[one.option]
                scaled = sat16(R(a * int(by.multiplier[j]), by.shift))
                result[j] = sat16(scaled + int(by.bias[j]))
                continue
            result[j] = {
                VectorCall.MAXIMUM: max,
                VectorCall.MINIMUM: min,
                VectorCall.HYPOTENUSE: lambda a, b: sat16(hypotenuse(a, b)),
                VectorCall.COPY: lambda a, b: a,
                VectorCall.SUM: lambda a, b: sat16(a + b),
                VectorCall.PRODUCT: lambda a, b: sat16(R(a * b, one.option)),
                VectorCall.RESCALE: lambda a, b: R(a, one.option),
                VectorCall.COMPLEMENT: lambda a, b: sat16(32768 - a),
            }[one.call](a, b)

    def affine(self, name, x):
        record = self.affines[name]
        operands = {
            Source.X: x[None],
            Source.H: self.behind[None],
            Source.RH: self.behind[None],
            Source.XH: np.concatenate([x, self.behind])[None],
        }
        return affine_map(record, (name,))(operands, Quiet())[0]


def same(graph, affines, codes, scales=()):
    """Whether outputs and states agree at every step."""
    step = schedule(graph)
    memory, run = Memory(graph, step, affines, scales), StepInterpreter(graph, Quiet())
    states = [np.zeros((1, state.before.width), np.int32) for state in graph.carried]
    for row in codes.astype(np.int32):
        wanted = run([row[None]], states)
        got = memory.run(row)
        assert [g.tolist() for g in got] == [w[0].tolist() for w in wanted]
        assert [s.tolist() for s in memory.states] == [s[0].tolist() for s in states]
    return step


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("common", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_every_layer(cell, common, precision):
    model = random_model(cell, precision, kind="hostile", common=common, outputs=0)
    layer = model.layers[0]
    step = same(lowered(precision, (layer,)), layer.affines, random_codes(model, 40))
    assert [place.vector for place in step.outputs] == [0]
    assert VectorCall.COPY not in {one.call for one in step.instructions}


@pytest.mark.parametrize("seed", range(150))
def test_any_graph(seed):
    """Values are read late and often, stacks are cut across, old states outlive the new ones."""
    rng = np.random.default_rng(seed)
    model = random_model(
        "gru_before", Precision.W8A8, inputs=INPUTS, units=WIDTH, outputs=0, seed=seed
    )
    layer = model.layers[0]
    g = OpBuilder(Precision.W8A8)
    g.layer = "l"
    x = g.input("x", INPUTS)
    states = [Value(name=f"s{k}", width=WIDTH, format=UNIT) for k in range(3)]
    values = [*states]
    for number in range(int(rng.integers(3, 14))):
        a, b = (values[int(k)] for k in rng.integers(len(values), size=2))
        kind = int(rng.integers(8))
        name = f"v{number}"
        if kind == 0:
            made = g.product(a, b, name)
        elif kind == 1:
            made = g.sum(a, b, name)
        elif kind == 2:
            made = g.complement(a, name)
        elif kind == 3:
            made = g.activation(Function.RELU, a, name)
        elif kind == 4:
            made = g.activation(Function.LINEAR, a, name)
        elif kind == 5:
            made = g.tanh(g.rescaled(a, PREACTIVATION, f"{name}_z"), name)
        else:
            operands = {Source.X: x, Source.H: g.operand(a, f"{name}_o")}
            operands[Source.RH] = operands[Source.H]
            record = layer.zr if kind == 6 else layer.n
            stack = g.affine("zr" if kind == 6 else "n", record, operands)
            if kind == 7:
                made = g.tanh(stack, name)
            else:
                parts = g.split(stack, "zr")
                values.append(g.activation(Function.SIGMOID, parts[0], f"{name}_z"))
                made = g.activation(Function.HARD_SIGMOID, parts[1], name)
        values.append(made)
        if kind > 5:
            g.layer = f"l{number}"
    after = [values[int(k)] for k in rng.integers(len(values), size=3)]
    for before, value in zip(states, after, strict=True):
        g.carry(before, value)
    outputs = [values[int(k)] for k in rng.integers(len(values), size=2)]
    same(g.finish(outputs), layer.affines, random_codes(model, 12))


def test_states_that_pass_values_on():
    """A shift register and a swap: every state takes over what another one held."""
    g = OpBuilder(Precision.W8A8)
    g.layer = "l"
    x = g.input("x", INPUTS)
    model = random_model("simple_rnn", Precision.W8A8, inputs=INPUTS, units=WIDTH, outputs=0)
    layer = model.layers[0]
    a, b, c, d = (Value(name=name, width=WIDTH, format=UNIT) for name in "abcd")
    z = g.affine("gates", layer.gates, {Source.X: x, Source.H: g.operand(a, "o")})
    new = g.tanh(z, "new")
    for before, after in ((a, new), (b, a), (c, d), (d, c)):
        g.carry(before, after)
    same(g.finish((b, new)), layer.affines, random_codes(model, 20))


@pytest.mark.parametrize("seed", range(60))
def test_any_graph_of_values(seed):
    """A layer that reads values: parts of them, several behind one another, and its states."""
    rng = np.random.default_rng(seed)
    g = OpBuilder(Precision.W8A8)
    g.layer = "l"
    x = g.input("x", 4 * WIDTH, operand=False)
    states = [Value(name=f"s{k}", width=WIDTH, format=None) for k in range(2)]
    values = [*states, *(g.part(x, k, WIDTH, f"x{k}") for k in rng.permutation(3 * WIDTH)[:3])]
    scales = {}
    for number in range(int(rng.integers(3, 14))):
        a, b = (values[int(k)] for k in rng.integers(len(values), size=2))
        kind = int(rng.integers(6))
        name = f"v{number}"
        if kind == 0:
            scales[name] = random_scale(rng, WIDTH, bias=bool(rng.integers(2)))
            made = g.scaled(a, name, scales[name], name, None)
        elif kind == 1:
            made = g.plain_product(a, b, int(rng.integers(1, 31)), name)
        elif kind in (2, 3):
            made = g.extremum(a, b, name, largest=kind == 2)
        elif kind == 4:
            made = g.part(
                g.concatenated((a, b), f"{name}_ab"), int(rng.integers(WIDTH)), WIDTH, name
            )
        else:
            made = g.sum(a, b, name)
        values.append(made)
    for before in states:
        g.carry(before, values[int(rng.integers(len(values)))])
    outputs = [values[int(k)] for k in rng.integers(len(values), size=2)]
    rows = rng.integers(-32768, 32768, (12, 4 * WIDTH))
    same(g.finish(outputs), {}, rows, scales)


def test_a_merge_reads_its_input_where_it_lies():
    layer = random_merge(np.random.default_rng(0), "sum", MergeOperation.SUM, 3, WIDTH)
    graph = lowered(Precision.W8A8, (layer,))
    rows = np.random.default_rng(1).integers(-32768, 32768, (20, 3 * WIDTH))
    step = same(graph, {}, rows, layer.scales)
    assert step.scratch == 2 * WIDTH
    assert VectorCall.COPY not in {one.call for one in step.instructions}


def test_a_layer_that_reads_operands_cannot_read_their_codes_as_values():
    g = OpBuilder(Precision.W8A8)
    g.layer = "l"
    graph = g.finish((g.codes(g.input("x", WIDTH), "codes"),))
    with pytest.raises(ModelError, match=r"l\.codes: expected values as the input of a layer that"):
        schedule(graph)


def test_operands_that_have_no_place_are_refused():
    """Behind the layer's input there is room for the operands of one value."""
    layer = random_model(
        "gru_before", Precision.W8A8, inputs=WIDTH, units=WIDTH, outputs=0, common=False
    ).layers[0]
    h, other = (Value(name=name, width=WIDTH, format=UNIT) for name in ("h", "other"))

    def refused(make, message):
        g = OpBuilder(Precision.W8A8)
        g.layer = "l"
        x = g.input("x", WIDTH)
        g.carry(h, h)
        g.carry(other, other)
        graph = g.finish((make(g, x),))
        with pytest.raises(ModelError, match=message):
            schedule(graph)

    def inner(g, x):
        o = g.operand(h, "o")
        return g.affine("n", layer.n, {Source.X: o, Source.RH: o})

    def input_as_state(g, x):
        return g.affine("n", layer.n, {Source.X: x, Source.RH: x})

    def two_values(g, x):
        joint = replace(layer.n.terms[1], source=Source.H)
        record = replace(layer.n, terms=(joint, layer.n.terms[1]))
        operands = {Source.H: g.operand(h, "o"), Source.RH: g.operand(other, "p")}
        return g.affine("n", record, operands)

    refused(inner, "n: expected operands of the layer's input as x, followed by .* got l.o as x")
    refused(input_as_state, "followed by those of a value, got x as rh")
    refused(two_values, "operands of one value after the layer's input, got those of h and other")


def test_maps_are_named_as_the_layer_names_them(monkeypatch):
    layer = random_model("simple_rnn", Precision.W8A8, outputs=0).layers[0]

    def misnamed(g, layer, x, states):
        operands = {Source.X: x, Source.H: g.operand(states[0], "o")}
        h = g.tanh(g.affine("other", layer.gates, operands), "h")
        return h, (h,)

    monkeypatch.setitem(LOWERINGS, SimpleRNN, misnamed)
    with pytest.raises(
        ModelError, match="expected the name of one of the layer's maps, got 'other'"
    ):
        lowered(Precision.W8A8, (layer,))
