"""SimpleRNN with any function and any range of its state."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    VALUE_EXPONENTS,
    X_AND_H,
    Affine,
    AffineShapes,
    CurveTable,
    Exponent,
    LayerRecord,
    Lowered,
    OpBuilder,
    StateSpec,
    Value,
    applied,
    cell_record,
    register_cell,
    x_and_h,
)
from edgernn.cells.general import quantized


@cell_record
class GeneralRNN(LayerRecord):
    """h' = f of one affine map (clause 7.26).

    Attributes:
        cell_function: f.
        input_exponent: fraction bits of the pre-activation.
        state_exponent: of h.
        cell_curve: the table of a function that is no operation.
        gates: affine map, H rows.
    """

    kind: ClassVar[str] = "general_rnn"
    shape: ClassVar[AffineShapes] = {"gates": (1, X_AND_H)}
    curve_shape: ClassVar[dict[str, str]] = {"cell_curve": "cell_function"}
    exponents: ClassVar[dict[str, Exponent]] = {
        "state_exponent": Exponent(
            values=("h",), allowed=VALUE_EXPONENTS, result_of=("cell_function",)
        ),
        "input_exponent": Exponent(
            values=("gates",),
            allowed=VALUE_EXPONENTS,
            argument_of="cell_function",
            partner="state_exponent",
        ),
    }

    cell_function: str
    state_exponent: int
    input_exponent: int
    gates: Affine
    cell_curve: CurveTable | None = None

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """One hidden state."""
        return (self.state("h", quantized(self.state_exponent)),)


def general_rnn(g: OpBuilder, layer: GeneralRNN, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clause 7.26."""
    (h,) = states
    z = g.affine("gates", layer.gates, x_and_h(g, x, h), quantized(layer.input_exponent))
    table = ("cell_curve", layer.cell_curve)
    h_new = applied(g, layer.cell_function, z, table, "h", quantized(layer.state_exponent))
    return h_new, (h_new,)


register_cell(GeneralRNN, general_rnn)
