"""A recurrence whose units keep a share of themselves with 30 bits: a wide state throughout."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    RELU_EXPONENTS,
    X_AND_H,
    Affine,
    AffineShapes,
    Exponent,
    LayerRecord,
    LeakConstants,
    Lowered,
    OpBuilder,
    Source,
    StateSpec,
    Value,
    cell_record,
    register_cell,
    x_and_h,
)
from edgernn.cells.general import quantized


@cell_record
class LeakyRNN(LayerRecord):
    """h' = h - leak*h + an affine map, or 0 where that is less (clause 7.27).

    It stands for a relu SimpleRNN, the diagonal of whose recurrent matrix is what units keep, and
    for a linear recurrence.

    Attributes:
        rectified: a sum below 0 becomes 0.
        state_exponent: fraction bits of h.
        leak: the share that is lost, and the scale of what comes in, of each unit.
        gates: affine map, H rows, over x and the rest of the recurrent matrix, or over x alone.
    """

    kind: ClassVar[str] = "leaky_rnn"
    shape: ClassVar[AffineShapes] = {"gates": (1, X_AND_H | {(Source.X,)})}
    leak_shape: ClassVar[tuple[str, ...]] = ("leak",)
    exponents: ClassVar[dict[str, Exponent]] = {
        "state_exponent": Exponent(values=("h",), allowed=RELU_EXPONENTS)
    }
    widened: ClassVar[str] = "h"

    rectified: bool
    state_exponent: int
    leak: LeakConstants
    gates: Affine

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """The hidden state and its low part."""
        h = self.state("h", quantized(self.state_exponent))
        return h, *self.low_state(h)


def leaky_rnn(g: OpBuilder, layer: LeakyRNN, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.27."""
    h, low = states
    reads_h = any(term.source is not Source.X for term in layer.gates.terms)
    operands = x_and_h(g, x, h) if reads_h else {Source.X: x}
    u = g.affine("gates", layer.gates, operands, None)
    new = g.leaky_sum((h, low), u, "leak", layer.leak, "h", rectified=layer.rectified)
    return new[0], new


register_cell(LeakyRNN, leaky_rnn)
