"""Minimal gated unit: a GRU whose one gate forgets and updates (Zhou et al. 2016)."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    UNIT,
    X_AND_H,
    Affine,
    AffineShapes,
    Function,
    GateActivation,
    LayerRecord,
    Lowered,
    OpBuilder,
    Source,
    StateSpec,
    Value,
    cell_record,
    gate_share,
    register_cell,
    x_and_h,
)


@cell_record
class MinimalGRU(LayerRecord):
    """h' = (1 - f)*h + f*n, n = tanh(W x + U (f*h) + b) (clause 7.12).

    Attributes:
        gate_activation: of f.
        wide: the state has a low part (clause 2.8).
        f: affine map, H rows.
        n: affine map, H rows, over x and the gated hidden state.
    """

    kind: ClassVar[str] = "minimal_gru"
    shape: ClassVar[AffineShapes] = {
        "f": (1, X_AND_H),
        "n": (1, frozenset({(Source.X, Source.RH)})),
    }

    widened: ClassVar[str] = "h"

    gate_activation: GateActivation
    f: Affine
    n: Affine
    wide: bool = False

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """One hidden state, and its low part where it has one."""
        h = self.state("h", UNIT)
        return h, *self.low_state(h)


def minimal_gru(g: OpBuilder, layer: MinimalGRU, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.12."""
    h, *low = states
    operands = x_and_h(g, x, h)
    sigma = Function(layer.gate_activation.value)
    z = g.affine("f", layer.f, operands)
    f = g.activation(sigma, z, "gate")
    operands[Source.RH] = g.operand(g.product(f, h, "f*h"), "operand_fh")
    n = g.tanh(g.affine("n", layer.n, operands), "candidate")
    if low:
        share = gate_share(g, layer, z, "share")
        new = g.blend((h, low[0]), n, share, "h")
        return new[0], new
    kept = g.product(g.complement(f, "w"), h, "w*h")
    h_new = g.sum(kept, g.product(f, n, "f*n"), "h")
    return h_new, (h_new,)


register_cell(MinimalGRU, minimal_gru)
