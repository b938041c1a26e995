"""GRU trained with zoneout, as it is computed at inference (Krueger et al. 2017)."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    PREACTIVATION,
    UNIT,
    X_AND_H,
    Affine,
    AffineShapes,
    Function,
    GateActivation,
    LayerRecord,
    Lowered,
    OpBuilder,
    ScaleVector,
    Source,
    StateSpec,
    Value,
    cell_record,
    register_cell,
    x_and_h,
)
from edgernn.cells.zoneout_lstm import zoned


@cell_record
class ZoneoutGRU(LayerRecord):
    """A GRU whose state keeps the share of itself that training keeps at random (7.36).

    With m, the h' of a plain GRU (reset after): h' = p*h + (1 - p)*m.

    Attributes:
        gate_activation: of z, r.
        keep_h: p, one per unit; `take_h`, 1 - p.
        zr: affine map, 2H rows in the order z r, over x and h.
        n_x: affine map, H rows, over x.
        n_h: affine map, H rows, over h.
    """

    kind: ClassVar[str] = "zoneout_gru"
    shape: ClassVar[AffineShapes] = {
        "zr": (2, X_AND_H),
        "n_x": (1, frozenset({(Source.X,)})),
        "n_h": (1, frozenset({(Source.H,)})),
    }
    scale_shape: ClassVar[dict[str, int]] = {"keep_h": 1, "take_h": 1}
    bounds: ClassVar[dict[str, tuple[float, float]]] = {
        "keep_h": (0.0, 0.5),
        "take_h": (0.5, 1.0),
    }
    first_scale: ClassVar[dict[str, float]] = {"keep_h": 0.1, "take_h": 0.9}

    gate_activation: GateActivation
    keep_h: ScaleVector
    take_h: ScaleVector
    zr: Affine
    n_x: Affine
    n_h: Affine

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """One hidden state."""
        return (self.state("h", UNIT),)


def zoneout_gru(g: OpBuilder, layer: ZoneoutGRU, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.36."""
    (h,) = states
    operands = x_and_h(g, x, h)
    z, r = g.split(g.affine("zr", layer.zr, operands, rows="zr"), "zr")
    sigma = Function(layer.gate_activation.value)
    z, r = g.activation(sigma, z, "z"), g.activation(sigma, r, "r")
    a = g.affine("n_x", layer.n_x, operands)
    reset = g.product(r, g.affine("n_h", layer.n_h, operands), "r*d", PREACTIVATION)
    n = g.tanh(g.sum(a, reset, "n"), "candidate")
    kept = g.product(z, h, "z*h")
    m = g.sum(kept, g.product(g.complement(z, "w"), n, "w*n"), "m")
    h_new = zoned(g, layer, h, m, "h")
    return h_new, (h_new,)


register_cell(ZoneoutGRU, zoneout_gru)
