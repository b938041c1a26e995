"""The float layer that looks rows of a table up, and which channels are therefore tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from edgernn.errors import ShapeError
from edgernn.model.formats import MAX_VOCABULARY, ArrayRecord, FloatArray
from edgernn.model.routes import MODEL_INPUT, Route
from edgernn_export.float_model.layers import freeze


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatEmbedding(ArrayRecord):
    """y = the rows of a table that tokens number, one behind another.

    Attributes:
        name: layer name.
        table: [V, D], a row for every token.
        tokens: how many it reads at a step.
    """

    kind: ClassVar[str] = "embedding"

    name: str
    table: FloatArray
    tokens: int = 1

    def __post_init__(self) -> None:
        """Freeze and check."""
        freeze(self, "table", 2)
        if self.tokens < 1 or len(self.table) > MAX_VOCABULARY:
            raise ShapeError(
                f"{self.name}: expected tokens, and at most {MAX_VOCABULARY} rows, got "
                f"{self.tokens} tokens and {len(self.table)} rows"
            )

    @property
    def inputs(self) -> int:
        """Input width: tokens."""
        return self.tokens

    @property
    def units(self) -> int:
        """Output width."""
        return self.tokens * int(self.table.shape[1])

    @property
    def rows(self) -> int:
        """Values of a step."""
        return self.units

    @property
    def parameters(self) -> int:
        """Trainable values."""
        return int(self.table.size)


def vocabulary(
    layers: Sequence[object], wiring: Sequence[Route], inputs: int, owner: str
) -> tuple[int, ...]:
    """How many tokens each input channel tells apart, 0 of real ones; none where all are real.

    Args:
        layers: of a model.
        wiring: what they read.
        inputs: input width.
        owner: the model, for messages.

    Raises:
        ShapeError: an embedding reads what is no input, or another layer the tokens of one.
    """
    sizes = [0] * inputs
    others: set[int] = set()
    for layer, route in zip(layers, wiring, strict=False):
        for part in route:
            channels = {i % inputs for i in range(part.start, part.start + part.width)}
            if not isinstance(layer, FloatEmbedding):
                others.update(channels if part.source == MODEL_INPUT else ())
                continue
            if part.source != MODEL_INPUT:
                raise ShapeError(f"{layer.name}: expected to read the input of {owner}")
            for channel in channels:
                rows = len(layer.table)
                sizes[channel] = min(rows, sizes[channel] or rows)
    mixed = [channel for channel in sorted(others) if sizes[channel]]
    if mixed:
        raise ShapeError(
            f"{owner}: expected only embeddings to read tokens, got other layers that read {mixed}"
        )
    return tuple(sizes) if any(sizes) else ()
