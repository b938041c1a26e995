"""GRU with any functions of its gates and candidate, any range, and wide states: reset before."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    X_AND_H,
    Affine,
    AffineShapes,
    Lowered,
    OpBuilder,
    Source,
    Value,
    cell_record,
    register_cell,
    x_and_h,
)
from edgernn.cells.general import (
    GeneralGRU,
    blended,
    gru_gates,
    quantized,
)


@cell_record
class GeneralGRUBefore(GeneralGRU):
    """GRU of chosen functions, the reset gate in front of the matrix (clause 7.25).

    This is the first form of the GRU (Cho et al. 2014).
    Functions, exponents and tables are those of `GeneralGRU`; its maps are its own.

    Attributes:
        n: affine map, H rows, over x and the reset hidden state.
    """

    kind: ClassVar[str] = "general_gru_before"
    shape: ClassVar[AffineShapes] = {
        "zr": (2, X_AND_H),
        "n": (1, frozenset({(Source.X, Source.RH)})),
    }

    n: Affine


def general_gru_before(
    g: OpBuilder, layer: GeneralGRUBefore, x: Value, states: tuple[Value, ...]
) -> Lowered:
    """Clause 7.25: the reset gate multiplies h before the matrix product."""
    h = states[0]
    operands = x_and_h(g, x, h)
    z, r = gru_gates(g, layer, layer.zr, operands)
    operands[Source.RH] = g.operand(g.product(r, h, "r*h", h.format), "operand_rh")
    form = quantized(layer.candidate_input_exponent)
    a = g.affine("n", layer.n, operands, form)
    return blended(g, layer, z, a, states)


register_cell(GeneralGRUBefore, general_gru_before)
