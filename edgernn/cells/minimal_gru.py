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
    register_cell,
    x_and_h,
)


@cell_record
class MinimalGRU(LayerRecord):
    """h' = (1 - f)*h + f*n, n = tanh(W x + U (f*h) + b) (clause 7.12).

    Attributes:
        gate_activation: of f.
        f: affine map, H rows.
        n: affine map, H rows, over x and the gated hidden state.
    """

    kind: ClassVar[str] = "minimal_gru"
    shape: ClassVar[AffineShapes] = {
        "f": (1, X_AND_H),
        "n": (1, frozenset({(Source.X, Source.RH)})),
    }

    gate_activation: GateActivation
    f: Affine
    n: Affine

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """One hidden state."""
        return (self.state("h", UNIT),)


def minimal_gru(g: OpBuilder, layer: MinimalGRU, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.12."""
    (h,) = states
    operands = x_and_h(g, x, h)
    sigma = Function(layer.gate_activation.value)
    f = g.activation(sigma, g.affine("f", layer.f, operands), "gate")
    operands[Source.RH] = g.operand(g.product(f, h, "f*h"), "operand_fh")
    n = g.tanh(g.affine("n", layer.n, operands), "candidate")
    kept = g.product(g.complement(f, "w"), h, "w*h")
    h_new = g.sum(kept, g.product(f, n, "f*n"), "h")
    return h_new, (h_new,)


register_cell(MinimalGRU, minimal_gru)
