"""Cells that no layer has yet, built of the operations there are, against plain Python integers."""

from __future__ import annotations

import numpy as np
import pytest

from edgernn.graph.builder import OpBuilder
from edgernn.graph.lowering import LOWERINGS
from edgernn.graph.ops import Function, Value
from edgernn.model.affine import Source
from edgernn.model.formats import PREACTIVATION, UNIT, Precision, QFormat
from edgernn_firmware_sim.reference.arithmetic import widen
from edgernn_firmware_sim.reference.events import Quiet
from edgernn_firmware_sim.reference.interpreter import StepInterpreter
from tests.exactness.twin.cells import Twin
from tests.exactness.twin.scalar import R, hard_sigmoid, sat16, sigmoid, tanh
from tests.support.models.integer import random_codes, random_model

STEPS = 200


def state(name, width, form):
    return Value(name=name, width=width, format=form)


def streams(graph, states, *inputs):
    """Outputs of one stream from the zero state, a row a step."""
    run = StepInterpreter(graph, Quiet())
    carried = [np.zeros((1, value.width), np.int32) for value in states]
    answers = []
    for step in zip(*inputs, strict=True):
        outputs = run([widen(codes[None]) for codes in step], carried)
        answers.append([output[0].tolist() for output in outputs])
    return answers


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("kind", ["tame", "hostile"])
def test_a_coupled_gate_lstm(precision, kind):
    """c' = f·c + (1 − f)·g, h' = o·tanh(c'): an LSTM with one gate less."""
    model = random_model("lstm", precision, units=5, outputs=0, kind=kind)
    layer = model.layers[0]
    form = QFormat(bits=16, frac_bits=layer.cell_exponent)
    g = OpBuilder(precision)
    g.layer = layer.name
    x, h, c = g.input("x", layer.inputs), state("h", 5, UNIT), state("c", 5, form)
    operands = {Source.X: x, Source.H: g.operand(h, "operand_h")}
    _, z_f, z_g, z_o = g.split(g.affine("gates", layer.gates, operands, rows="ifgo"), "ifgo")
    f = g.activation(Function.HARD_SIGMOID, z_f, "f")
    o = g.activation(Function.SIGMOID, z_o, "o")
    written = g.product(g.complement(f, "i"), g.tanh(z_g, "g"), "i*g", form)
    c_new = g.sum(g.product(f, c, "f*c", form), written, "c")
    h_new = g.product(o, g.tanh(g.rescaled(c_new, PREACTIVATION, "z_c"), "bent"), "h")
    g.carry(h, h_new)
    g.carry(c, c_new)
    codes = random_codes(model, STEPS)
    got = streams(g.finish((h_new, c_new)), (h, c), codes)

    twin, e = Twin(model)._layers[0], layer.cell_exponent
    hs, cs = [0] * 5, [0] * 5
    for row, (outputs, cells) in zip(codes.tolist(), got, strict=True):
        z, _ = twin.over_x_and_h("gates", row, hs)
        for u in range(5):
            f_u, g_u, o_u = hard_sigmoid(z[5 + u]), tanh(z[10 + u]), sigmoid(z[15 + u])
            kept = sat16(R(f_u * cs[u], 15))
            cs[u] = sat16(kept + sat16(R(sat16(32768 - f_u) * g_u, 30 - e)))
            hs[u] = sat16(R(o_u * tanh(R(cs[u], e - 10)), 15))
        assert (outputs, cells) == (hs, cs)


@pytest.mark.parametrize("precision", Precision)
def test_two_inputs_and_a_residual_sum(precision):
    """y = GRU(a) + LSTM(b)."""
    first = random_model("gru_after", precision, inputs=3, units=4, outputs=0, seed=1)
    second = random_model("lstm", precision, inputs=2, units=4, outputs=0, seed=2)
    g = OpBuilder(precision)
    a, b = g.input("a", 3), g.input("b", 2)
    answers, states = [], []
    for name, model, x in (("one", first, a), ("two", second, b)):
        g.layer, layer = name, model.layers[0]
        own = tuple(
            state(f"{name}.{n}_in", 4, spec.format)
            for n, spec in zip("hc", layer.states, strict=False)
        )
        answer, new = LOWERINGS[type(layer)](g, layer, x, own)
        for before, after in zip(own, new, strict=True):
            g.carry(before, after)
        states += own
        answers.append(answer)
    g.layer = "sum"
    graph = g.finish((g.sum(*answers, "y"),))
    q_a, q_b = random_codes(first, STEPS), random_codes(second, STEPS)
    got = streams(graph, states, q_a, q_b)
    one, two = (Twin(m).run(q.tolist())[0] for m, q in ((first, q_a), (second, q_b)))
    sums = [
        [sat16(u + v) for u, v in zip(*pair, strict=True)] for pair in zip(one, two, strict=True)
    ]
    assert [y for (y,) in got] == sums
