"""Diagonal linear recurrence with real decays, of the kind of an LRU (Orvieto et al. 2023)."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    RELU_EXPONENTS,
    Affine,
    AffineShapes,
    Exponent,
    LayerRecord,
    Lowered,
    OpBuilder,
    QFormat,
    ScaleVector,
    Source,
    StateSpec,
    Value,
    cell_record,
    register_cell,
)


@cell_record
class LinearRecurrence(LayerRecord):
    """h' = a*h + W x + b with a separate decay a for every unit (clause 7.14).

    Attributes:
        state_exponent: fractional bits of h, 0..15.
        decay: constants a in [0, 1], one per unit.
        entry: affine map, H rows, over x.
    """

    kind: ClassVar[str] = "linear_recurrence"
    shape: ClassVar[AffineShapes] = {"entry": (1, frozenset({(Source.X,)}))}
    scale_shape: ClassVar[dict[str, int]] = {"decay": 1}
    bounds: ClassVar[dict[str, tuple[float, float]]] = {"decay": (0.0, 1.0)}
    exponents: ClassVar[dict[str, Exponent]] = {
        "state_exponent": Exponent(values=("h", "entry"), allowed=RELU_EXPONENTS)
    }

    state_exponent: int
    decay: ScaleVector
    entry: Affine

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """One hidden state."""
        form = QFormat(bits=16, frac_bits=self.state_exponent)
        return (self.state("h", form),)


def linear_recurrence(
    g: OpBuilder, layer: LinearRecurrence, x: Value, states: tuple[Value, ...]
) -> Lowered:
    """Clause 7.14."""
    (h,) = states
    kept = g.scaled(h, "decay", layer.decay, "a*h", h.format)
    h_new = g.sum(kept, g.affine("entry", layer.entry, {Source.X: x}, h.format), "h")
    return h_new, (h_new,)


register_cell(LinearRecurrence, linear_recurrence)
