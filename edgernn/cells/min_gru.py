"""minGRU: a diagonal recurrence whose gate and candidate see the input alone (Feng et al. 2024)."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    RELU_EXPONENTS,
    Affine,
    AffineShapes,
    Exponent,
    Function,
    GateActivation,
    LayerRecord,
    Lowered,
    OpBuilder,
    QFormat,
    Source,
    StateSpec,
    Value,
    cell_record,
    gate_share,
    register_cell,
)

_OVER_X = frozenset({(Source.X,)})


@cell_record
class MinGRU(LayerRecord):
    """h' = (1 - z)*h + z*n, z a gate of x, n an affine map of x (clause 7.13).

    Attributes:
        gate_activation: of z.
        wide: the state has a low part (clause 2.8).
        state_exponent: fractional bits of h and n, 0..15.
        z: affine map, H rows, over x.
        n: affine map, H rows, over x.
    """

    kind: ClassVar[str] = "min_gru"
    shape: ClassVar[AffineShapes] = {"z": (1, _OVER_X), "n": (1, _OVER_X)}
    exponents: ClassVar[dict[str, Exponent]] = {
        "state_exponent": Exponent(values=("h", "n"), allowed=RELU_EXPONENTS)
    }

    widened: ClassVar[str] = "h"

    gate_activation: GateActivation
    state_exponent: int
    z: Affine
    n: Affine
    wide: bool = False

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """One hidden state, and its low part where it has one."""
        h = self.state("h", QFormat(bits=16, frac_bits=self.state_exponent))
        return h, *self.low_state(h)


def min_gru(g: OpBuilder, layer: MinGRU, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.13."""
    h, *low = states
    if low:
        share = gate_share(g, layer, g.affine("z", layer.z, {Source.X: x}), "gate")
        n = g.affine("n", layer.n, {Source.X: x}, h.format)
        new = g.blend((h, low[0]), n, share, "h")
        return new[0], new
    sigma = Function(layer.gate_activation.value)
    z = g.activation(sigma, g.affine("z", layer.z, {Source.X: x}), "gate")
    n = g.affine("n", layer.n, {Source.X: x}, h.format)
    kept = g.product(g.complement(z, "w"), h, "w*h", h.format)
    h_new = g.sum(kept, g.product(z, n, "z*n", h.format), "h")
    return h_new, (h_new,)


register_cell(MinGRU, min_gru)
