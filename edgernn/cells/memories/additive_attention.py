"""Additive attention (Bahdanau, Cho & Bengio 2015) over a memory of rows."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from edgernn.cells import (
    PREACTIVATION,
    Lowered,
    OpBuilder,
    ScaleVector,
    Source,
    Value,
    cell_record,
    register_cell,
)
from edgernn.cells.memories import LARGEST_SUM, MemoryReader, attended
from edgernn.errors import ModelError
from edgernn.graph.attention import AdditiveScores


@cell_record
class AdditiveAttention(MemoryReader):
    """The mean of the values of a memory, by the softmax of weight * tanh(query + key).

    Clauses 7.28 to 7.31. Keys are in Q5.10.

    Attributes:
        weight: the weights of tanh and the shift of their sums, without offsets.
    """

    kind: ClassVar[str] = "additive_attention"
    inner: ClassVar[dict[str, tuple[str | Source, ...]]] = {"width": ("query", "key", "weight")}
    scale_shape: ClassVar[dict[str, int]] = {**MemoryReader.scale_shape, "weight": 1}

    weight: ScaleVector

    def __post_init__(self) -> None:
        """Check the format of keys, and that no sum leaves 32 bits."""
        MemoryReader.__post_init__(self)
        if self.key_exponent != PREACTIVATION.frac_bits:
            raise ModelError(f"{self.name}.key_exponent: expected 10, got {self.key_exponent}")
        largest = int(np.abs(self.weight.multiplier.astype(np.int64)).sum()) << 15
        if self.weight.has_bias or largest + (1 << (self.weight.shift - 1)) >= LARGEST_SUM:
            raise ModelError(
                f"{self.name}.weight: expected no offsets, and sums below 2^30, got sums up to "
                f"{largest}"
            )


def additive_attention(
    g: OpBuilder, layer: AdditiveAttention, x: Value, states: tuple[Value, ...]
) -> Lowered:
    """Clauses 7.28 to 7.31."""

    def scores(query: Value, keys: Value) -> Value:
        return g.operation(
            AdditiveScores, "scores", layer.rows, PREACTIVATION,
            query=query, keys=keys, name="weight", weight=layer.weight,
        )  # fmt: skip

    return attended(g, layer, x, states, PREACTIVATION, scores)


register_cell(AdditiveAttention, additive_attention)
