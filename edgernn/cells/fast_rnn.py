"""FastRNN: an RNN with a weighted residual connection over time (Kusupati et al. 2018)."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    X_AND_H,
    Affine,
    AffineShapes,
    Exponent,
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
class FastRNN(LayerRecord):
    """h' = alpha*tanh(W x + U h + b) + beta*h (clause 7.33).

    The paper has one alpha and one beta for the whole layer, sigmoids of trained numbers
    (`edgernn_export.cells.FastRNNCell`); here every unit has its own.

    Attributes:
        state_exponent: fractional bits of h, 0..15.
        alpha: constants in [0, 1], one per unit.
        beta: constants in [0, 1], one per unit.
        gates: affine map, H rows, over x and h.
    """

    kind: ClassVar[str] = "fast_rnn"
    shape: ClassVar[AffineShapes] = {"gates": (1, X_AND_H)}
    scale_shape: ClassVar[dict[str, int]] = {"alpha": 1, "beta": 1}
    bounds: ClassVar[dict[str, tuple[float, float]]] = {"alpha": (0.0, 1.0), "beta": (0.0, 1.0)}
    #: Those of the authors' EdgeML library: sigmoids of -3 and 3.
    first_scale: ClassVar[dict[str, float]] = {"alpha": 0.0474, "beta": 0.9526}
    exponents: ClassVar[dict[str, Exponent]] = {
        "state_exponent": Exponent(values=("h",), allowed=range(16))
    }

    state_exponent: int
    alpha: ScaleVector
    beta: ScaleVector
    gates: Affine

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """One hidden state."""
        return (self.state("h", QFormat(bits=16, frac_bits=self.state_exponent)),)


def fast_rnn(g: OpBuilder, layer: FastRNN, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.33."""
    (h,) = states
    n = g.tanh(g.affine("gates", layer.gates, x_and_h(g, x, h)), "candidate")
    kept = g.scaled(h, "beta", layer.beta, "beta*h", h.format)
    h_new = g.sum(kept, g.scaled(n, "alpha", layer.alpha, "alpha*n", h.format), "h")
    return h_new, (h_new,)


register_cell(FastRNN, fast_rnn)
