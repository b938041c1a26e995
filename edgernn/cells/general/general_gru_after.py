"""GRU with any functions of its gates and candidate, any range, and wide states: reset after."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from edgernn.cells import (
    X_AND_H,
    Affine,
    AffineShapes,
    CurveTable,
    Exponent,
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
from edgernn.cells.general import (
    GRU_EXPONENTS,
    blended,
    check_gates,
    gru_gates,
    quantized,
)


@cell_record
class GeneralGRUAfter(LayerRecord):
    """GRU of chosen functions, the reset gate behind the matrix (clause 7.25).

    Attributes:
        gate_function: of z, r.
        cell_function: of the candidate n.
        wide: the state has a low part (clause 2.8).
        gate_input_exponent: fraction bits of the pre-activations of z, r.
        gate_exponent: of z, r.
        candidate_input_exponent: of the pre-activation of n.
        state_exponent: of h, and of n where it is not within ±1.
        gate_curve, candidate_curve: tables of functions that are no operations.
        zr: affine map, 2H rows in the order z r.
        n_x: affine map, H rows, over x.
        n_h: affine map, H rows, over h.
    """

    kind: ClassVar[str] = "general_gru_after"
    shape: ClassVar[AffineShapes] = {
        "zr": (2, X_AND_H),
        "n_x": (1, frozenset({(Source.X,)})),
        "n_h": (1, frozenset({(Source.H,)})),
    }
    curve_shape: ClassVar[dict[str, str]] = {
        "gate_curve": "gate_function",
        "candidate_curve": "cell_function",
    }
    widened: ClassVar[str] = "h"
    exponents: ClassVar[dict[str, Exponent]] = GRU_EXPONENTS | {
        "candidate_input_exponent": replace(
            GRU_EXPONENTS["candidate_input_exponent"], parts=("n_x", "n_h")
        )
    }

    gate_function: str
    cell_function: str
    gate_exponent: int
    gate_input_exponent: int
    candidate_input_exponent: int
    state_exponent: int
    zr: Affine
    n_x: Affine
    n_h: Affine
    wide: bool = False
    gate_curve: CurveTable | None = None
    candidate_curve: CurveTable | None = None

    def __post_init__(self) -> None:
        """Check the gates of a wide state."""
        LayerRecord.__post_init__(self)
        check_gates(self, self.gate_function)

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """The hidden state, and its low part where it has one."""
        h = self.state("h", quantized(self.state_exponent))
        return h, *self.low_state(h)


def general_gru_after(
    g: OpBuilder, layer: GeneralGRUAfter, x: Value, states: tuple[Value, ...]
) -> Lowered:
    """Clause 7.25: the reset gate multiplies the recurrent product."""
    operands = x_and_h(g, x, states[0])
    z, r = gru_gates(g, layer, layer.zr, operands)
    form = quantized(layer.candidate_input_exponent)
    a = g.affine("n_x", layer.n_x, operands, form)
    reset = g.product(r, g.affine("n_h", layer.n_h, operands, form), "r*d", form)
    return blended(g, layer, z, g.sum(a, reset, "n"), states)


register_cell(GeneralGRUAfter, general_gru_after)
