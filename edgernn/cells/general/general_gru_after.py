"""GRU with any functions of its gates and candidate, any range, and wide states: reset after."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from edgernn.cells import (
    X_AND_H,
    Affine,
    AffineShapes,
    Exponent,
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
class GeneralGRUAfter(GeneralGRU):
    """GRU of chosen functions, the reset gate behind the matrix (clause 7.25).

    This is the form that cuDNN computes, and the default of Keras.
    Functions, exponents and tables are those of `GeneralGRU`; its maps are its own.

    Attributes:
        n_x: affine map, H rows, over x.
        n_h: affine map, H rows, over h.
    """

    kind: ClassVar[str] = "general_gru_after"
    shape: ClassVar[AffineShapes] = {
        "zr": (2, X_AND_H),
        "n_x": (1, frozenset({(Source.X,)})),
        "n_h": (1, frozenset({(Source.H,)})),
    }
    exponents: ClassVar[dict[str, Exponent]] = GeneralGRU.exponents | {
        "candidate_input_exponent": replace(
            GeneralGRU.exponents["candidate_input_exponent"], parts=("n_x", "n_h")
        )
    }

    n_x: Affine
    n_h: Affine


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
