"""Cells that the product does not know; of the first its step in plain Python integers.

It is an LSTM whose gates see its state: products of two states, of a state with itself, a relu.
Every operation occurs where no layer of the product has it: products of two values of any sign,
one that saturates, sums and slices of values that are no pre-activations.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import ClassVar

from edgernn.graph import lowering
from edgernn.graph.ops import Function
from edgernn.model.formats import PREACTIVATION, UNIT, Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layer_record import StateSpec
from edgernn.model.layers import LAYERS, LSTM
from tests.exactness.twin.cells import Twin
from tests.exactness.twin.scalar import R, hard_sigmoid, sat16, sigmoid, tanh
from tests.support.models.integer import random_model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StateGated(LSTM):
    """LSTM with gates that see products of its states."""

    kind: ClassVar[str] = "state_gated"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WideState(LSTM):
    """A cell that carries its pre-activations: a state four times as wide as its output."""

    kind: ClassVar[str] = "wide_state"

    @property
    def states(self):
        wide = StateSpec(name=f"{self.name}.z", units=4 * self.units, format=PREACTIVATION)
        return (StateSpec(name=f"{self.name}.h", units=self.units, format=UNIT), wide)


def lower_wide(g, layer, x, states):
    h, before = states
    operands = {lowering.Source.X: x, lowering.Source.H: g.operand(h, "operand_h")}
    z = g.sum(g.affine("gates", layer.gates, operands, rows="ifgo"), before, "z")
    i, _, bent, _ = g.split(z, "ifgo")
    h_new = g.product(g.activation(Function.SIGMOID, i, "i"), g.tanh(bent, "g"), "h")
    return h_new, (h_new, z)


def lower(g, layer, x, states):
    h, c = states
    operands = {lowering.Source.X: x, lowering.Source.H: g.operand(h, "operand_h")}
    z_i, z_f, z_g, z_o = g.split(g.affine("gates", layer.gates, operands, rows="ifgo"), "ifgo")
    both = g.product(c, h, "c*h", PREACTIVATION)
    i = g.activation(Function.SIGMOID, g.sum(z_i, both, "z_i"), "i")
    f = g.activation(Function.HARD_SIGMOID, z_f, "f")
    square = g.product(c, c, "c*c", UNIT)
    bent = g.product(g.complement(square, "1-c*c"), g.tanh(z_g, "g"), "bent", c.format)
    kept = g.product(f, c, "f*c", c.format)
    c_new = g.sum(kept, g.product(i, bent, "i*bent", c.format), "c")
    o = g.activation(Function.RELU, g.rescaled(g.product(h, h, "h*h"), PREACTIVATION, "r"), "o_h")
    gate = g.activation(Function.SIGMOID, g.sum(z_o, o, "z_o"), "o")
    h_new = g.product(gate, g.tanh(g.rescaled(c_new, PREACTIVATION, "z_c"), "tanh_c"), "h")
    return h_new, (h_new, c_new)


def register(monkeypatch):
    """Let models have the cells, for one test."""
    for kind, function in ((StateGated, lower), (WideState, lower_wide)):
        monkeypatch.setitem(LAYERS, kind.kind, kind)
        monkeypatch.setitem(lowering.LOWERINGS, kind, function)


def own_models() -> dict[str, IntegerModel]:
    """Models of the cell, once it is registered: tame and hostile, every cell exponent."""
    models = {}
    for precision in Precision:
        for kind, exponent in (("tame", 12), ("hostile", 10), ("hostile", 14), ("hostile", 12)):
            base = random_model(
                "lstm", precision, kind=kind, units=7, cell_exponent=exponent, stack=2
            )
            layers = [
                as_kind(StateGated, layer) if isinstance(layer, LSTM) else layer
                for layer in base.layers
            ]
            name = f"own-{precision.value}-{kind}-{exponent}"
            models[name] = replace(base, layers=tuple(layers))
    return models


def wide_models() -> dict[str, IntegerModel]:
    """Models of `WideState`, once it is registered."""
    models = {}
    for precision in Precision:
        base = random_model("lstm", precision, units=7)
        layers = [
            as_kind(WideState, layer) if isinstance(layer, LSTM) else layer for layer in base.layers
        ]
        models[f"wide-{precision.value}"] = replace(base, layers=tuple(layers))
    return models


def twin_stream(model: IntegerModel, q_xs):
    """Outputs of the first layer and its states at every step, in plain Python integers."""
    layer = model.layers[0]
    plain = tuple(
        as_kind(LSTM, one) if isinstance(one, StateGated) else one for one in model.layers
    )
    twin = Twin(replace(model, layers=plain))._layers[0]
    units, e = layer.units, layer.cell_exponent
    hs, cs = [0] * units, [0] * units
    stream = []
    for row in q_xs.tolist():
        z, _ = twin.over_x_and_h("gates", row, hs)
        for u in range(units):
            h, c = hs[u], cs[u]
            both = sat16(R(c * h, e + 15 - 10))
            i, f = sigmoid(sat16(z[u] + both)), hard_sigmoid(z[units + u])
            square = sat16(R(c * c, 2 * e - 15))
            bent = sat16(R(sat16(32768 - square) * tanh(z[2 * units + u]), 30 - e))
            cs[u] = sat16(sat16(R(f * c, 15)) + sat16(R(i * bent, 15)))
            seen = max(0, R(sat16(R(h * h, 15)), 5))
            gate = sigmoid(sat16(z[3 * units + u] + seen))
            hs[u] = sat16(R(gate * tanh(R(cs[u], e - 10)), 15))
        stream.append((list(hs), list(cs)))
    return stream


def as_kind(kind: type[LSTM], layer: LSTM) -> LSTM:
    """A layer of another kind with the same numbers."""
    return kind(**{field.name: getattr(layer, field.name) for field in fields(layer)})
