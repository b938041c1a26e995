"""Attention by dot products (Luong et al. 2015, Vaswani et al. 2017) over a memory of rows."""

from __future__ import annotations

from typing import ClassVar

from edgernn.cells import PREACTIVATION, Lowered, OpBuilder, Value, cell_record, register_cell
from edgernn.cells.memories import LARGEST_SUM, MemoryReader, attended
from edgernn.errors import ModelError
from edgernn.graph.attention import DotScores
from edgernn.model.formats import INT16_MIN


@cell_record
class Attention(MemoryReader):
    """The mean of the values of a memory, by the softmax of query * key (clauses 7.28 to 7.31).

    Attributes:
        score_shift: of the sums of products, 1..30.
    """

    kind: ClassVar[str] = "attention"

    score_shift: int

    def __post_init__(self) -> None:
        """Check that no sum leaves 32 bits."""
        MemoryReader.__post_init__(self)
        if self.score_shift not in range(1, 31):
            raise ModelError(f"{self.name}.score_shift: expected 1..30, got {self.score_shift}")
        largest = self.largest_query * -INT16_MIN
        if largest + (1 << (self.score_shift - 1)) >= LARGEST_SUM:
            raise ModelError(
                f"{self.name}.query: expected constants with which sums stay below 2^30, got "
                f"sums up to {largest} and a shift of {self.score_shift}"
            )


def attention(g: OpBuilder, layer: Attention, x: Value, states: tuple[Value, ...]) -> Lowered:
    """Clauses 7.28 to 7.31."""

    def scores(query: Value, keys: Value) -> Value:
        return g.operation(
            DotScores, "scores", layer.rows, PREACTIVATION,
            query=query, keys=keys, shift=layer.score_shift,
        )  # fmt: skip

    return attended(g, layer, x, states, None, scores)


register_cell(Attention, attention)
