"""LSTM trained with zoneout, as it is computed at inference (Krueger et al. 2017)."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    CELL_EXPONENTS,
    PREACTIVATION,
    UNIT,
    X_AND_H,
    Affine,
    AffineShapes,
    Exponent,
    Function,
    GateActivation,
    LayerRecord,
    Lowered,
    OpBuilder,
    QFormat,
    ScaleVector,
    StateSpec,
    Value,
    cell_record,
    register_cell,
    x_and_h,
)


@cell_record
class ZoneoutLSTM(LayerRecord):
    """An LSTM whose states keep the share of themselves that training keeps at random (7.36).

    With u and m, the c' and h' of a plain LSTM: c' = p_c*c + (1 - p_c)*u, h' = p_h*h + (1 - p_h)*m.

    Attributes:
        gate_activation: of i, f, o.
        cell_exponent: fractional bits of the cell state c, 10..14.
        keep_c: p_c, one per unit; `take_c`, 1 - p_c; `keep_h` and `take_h` likewise of h.
        gates: affine map, 4H rows in the order i f g o, over x and h.
    """

    kind: ClassVar[str] = "zoneout_lstm"
    shape: ClassVar[AffineShapes] = {"gates": (4, X_AND_H)}
    scale_shape: ClassVar[dict[str, int]] = {"keep_c": 1, "take_c": 1, "keep_h": 1, "take_h": 1}
    bounds: ClassVar[dict[str, tuple[float, float]]] = {
        "keep_c": (0.0, 0.5),
        "take_c": (0.5, 1.0),
        "keep_h": (0.0, 0.5),
        "take_h": (0.5, 1.0),
    }
    first_scale: ClassVar[dict[str, float]] = {
        "keep_c": 0.5,
        "take_c": 0.5,
        "keep_h": 0.05,
        "take_h": 0.95,
    }
    exponents: ClassVar[dict[str, Exponent]] = {
        "cell_exponent": Exponent(values=("c", "u"), allowed=CELL_EXPONENTS)
    }
    first_bias: ClassVar[dict[str, tuple[float, ...]]] = {"gates": (0.0, 1.0, 0.0, 0.0)}

    gate_activation: GateActivation
    cell_exponent: int
    keep_c: ScaleVector
    take_c: ScaleVector
    keep_h: ScaleVector
    take_h: ScaleVector
    gates: Affine

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """Hidden state and cell state."""
        cell = self.state("c", QFormat(bits=16, frac_bits=self.cell_exponent))
        return self.state("h", UNIT), cell


def zoneout_lstm(g: OpBuilder, layer: ZoneoutLSTM, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.36."""
    h, c = states
    z = g.split(g.affine("gates", layer.gates, x_and_h(g, x, h), rows="ifgo"), "ifgo")
    sigma = Function(layer.gate_activation.value)
    i, f, o = (g.activation(sigma, z[k], name) for k, name in ((0, "i"), (1, "f"), (3, "o")))
    added = g.product(i, g.tanh(z[2], "g"), "i*g", c.format)
    u = g.sum(g.product(f, c, "f*c", c.format), added, "u")
    m = g.product(o, g.tanh(g.rescaled(u, PREACTIVATION, "z_u"), "tanh_u"), "m")
    c_new = zoned(g, layer, c, u, "c")
    h_new = zoned(g, layer, h, m, "h")
    return h_new, (h_new, c_new)


def zoned(g: OpBuilder, layer: LayerRecord, old: Value, new: Value, name: str) -> Value:
    """A state that keeps a constant share of itself.

    Args:
        g: the builder.
        layer: a cell with constants `keep_<name>` and `take_<name>`.
        old: the state before the step.
        new: what a plain cell computes from it, in its format.
        name: of the state.
    """
    keep, take = f"keep_{name}", f"take_{name}"
    kept = g.scaled(old, keep, layer.scales[keep], f"kept_{name}", old.format)
    return g.sum(kept, g.scaled(new, take, layer.scales[take], f"new_{name}", old.format), name)


register_cell(ZoneoutLSTM, zoneout_lstm)
