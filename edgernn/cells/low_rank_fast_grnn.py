"""FastGRNN whose recurrent matrix is a product of two narrow ones (Kusupati et al. 2018)."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import (
    RELU_EXPONENTS,
    Affine,
    AffineShapes,
    Exponent,
    Lowered,
    OpBuilder,
    QFormat,
    Source,
    Value,
    cell_record,
    register_cell,
    x_and_h,
)
from edgernn.cells.fast_grnn import FastGRNN, gated


@cell_record
class LowRankFastGRNN(FastGRNN):
    """A FastGRNN with U = U1 U2 (clause 7.34).

    A low rank of W as well is a Dense without bias in front of the cell, which is the same
    function.

    Attributes:
        rank: rows of U2 and columns of U1.
        reduced_exponent: fractional bits of U2 h.
        reduced: U2, an affine map over h, `rank` rows.
    """

    kind: ClassVar[str] = "low_rank_fast_grnn"
    shape: ClassVar[AffineShapes] = {
        "reduced": (1, frozenset({(Source.H,)})),
        "gates": (1, frozenset({(Source.X, Source.RH)})),
    }
    inner: ClassVar[dict[str, tuple[str | Source, ...]]] = {"rank": ("reduced", Source.RH)}
    exponents: ClassVar[dict[str, Exponent]] = {
        **FastGRNN.exponents,
        "reduced_exponent": Exponent(values=("reduced",), allowed=RELU_EXPONENTS),
    }

    rank: int
    reduced_exponent: int
    reduced: Affine


def low_rank_fast_grnn(
    g: OpBuilder, layer: LowRankFastGRNN, x: Value, states: tuple[Value, ...]
) -> Lowered:
    """Clause 7.34."""
    operands = x_and_h(g, x, states[0])
    form = QFormat(bits=16, frac_bits=layer.reduced_exponent)
    reduced = g.affine("reduced", layer.reduced, operands, form)
    operands[Source.RH] = g.operand(reduced, "operand_rh")
    return gated(g, layer, g.affine("gates", layer.gates, operands), states)


register_cell(LowRankFastGRNN, low_rank_fast_grnn)
