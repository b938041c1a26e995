"""FastGRNN: a gate and a candidate that share one pair of matrices (Kusupati et al. 2018)."""

from __future__ import annotations

from typing import ClassVar, Final

from edgernn.cells import (
    PREACTIVATION,
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

#: Of zeta*(1 - z) + nu, which is between 0 and 2.
_MIX: Final = QFormat(bits=16, frac_bits=14)


@cell_record
class FastGRNN(LayerRecord):
    """z = gate of v, n = tanh(v + d), h' = (zeta*(1 - z) + nu)*n + z*h, v = W x + U h + b (7.34).

    b is the bias of the gate, and b + d that of the candidate. The paper has one zeta and one nu
    for the whole layer, sigmoids of trained numbers (`edgernn_export.cells.FastGRNNCell`); here
    every unit has its own.

    Attributes:
        gate_activation: of z.
        state_exponent: fractional bits of h, 0..15.
        candidate: 1, with the offsets d, one per unit.
        mix: -zeta, with the offsets zeta + nu, one per unit.
        gates: affine map, H rows, over x and h.
    """

    kind: ClassVar[str] = "fast_grnn"
    shape: ClassVar[AffineShapes] = {"gates": (1, X_AND_H)}
    scale_shape: ClassVar[dict[str, int]] = {"candidate": 1, "mix": 1}
    offsets: ClassVar[frozenset[str]] = frozenset(scale_shape)
    bounds: ClassVar[dict[str, tuple[float, float]]] = {
        "candidate": (1.0, 1.0),
        "mix": (-1.0, 0.0),
    }
    #: Those of the authors' EdgeML library: zeta and nu begin with the sigmoids of 1 and -4.
    first_scale: ClassVar[dict[str, float]] = {"candidate": 1.0, "mix": -0.731}
    first_bias: ClassVar[dict[str, tuple[float, ...]]] = {"gates": (1.0,), "mix": (0.749,)}
    exponents: ClassVar[dict[str, Exponent]] = {
        "state_exponent": Exponent(values=("h",), allowed=range(16))
    }

    gate_activation: GateActivation
    state_exponent: int
    candidate: ScaleVector
    mix: ScaleVector
    gates: Affine

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """One hidden state."""
        return (self.state("h", QFormat(bits=16, frac_bits=self.state_exponent)),)


def fast_grnn(g: OpBuilder, layer: FastGRNN, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.34."""
    return gated(g, layer, g.affine("gates", layer.gates, x_and_h(g, x, states[0])), states)


def gated(g: OpBuilder, layer: FastGRNN, v: Value, states: tuple[Value, ...]) -> Lowered:
    """The output and the new state of a FastGRNN.

    Args:
        g: the builder.
        layer: the cell.
        v: what gate and candidate share.
        states: before the step.
    """
    (h,) = states
    z = g.activation(Function(layer.gate_activation.value), v, "z")
    n = g.tanh(g.scaled(v, "candidate", layer.candidate, "n", PREACTIVATION), "tanh_n")
    mix = g.scaled(z, "mix", layer.mix, "share", _MIX)
    h_new = g.sum(g.product(z, h, "z*h", h.format), g.product(mix, n, "share*n", h.format), "h")
    return h_new, (h_new,)


register_cell(FastGRNN, fast_grnn)
