"""The float layers with a memory of rows: what fills it, and attention over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgernn.cells.memories import MAX_KEY_WIDTH
from edgernn.errors import ShapeError
from edgernn.graph.attention import MAX_SLOTS
from edgernn.model.formats import ArrayRecord, FloatArray
from edgernn_export.float_model.layers import check_choice, freeze

#: How a query and a key make a score.
SCORES = ("dot", "additive")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatMemory(ArrayRecord):
    """The last n rows of a key and a value, or of a value that is its own key.

    Attributes:
        name: layer name.
        slots: number of rows n.
        width: elements D of a key.
        units: elements E of a value.
        tied: keys are the values.
        score: what reads the keys: "dot" or "additive".
    """

    kind: ClassVar[str] = "memory"

    name: str
    slots: int
    width: int
    units: int
    tied: bool = False
    score: str = "dot"

    def __post_init__(self) -> None:
        """Check counts and widths."""
        check_choice(f"{self.name}.score", self.score, SCORES)
        if not 2 <= self.slots <= MAX_SLOTS or not 1 <= self.width <= MAX_KEY_WIDTH:
            raise ShapeError(
                f"{self.name}: expected 2..{MAX_SLOTS} rows with keys of 1..{MAX_KEY_WIDTH} "
                f"elements, got {self.slots} with {self.width}"
            )
        if self.units < 1 or (self.tied and self.units != self.width):
            raise ShapeError(f"{self.name}.units: expected {self.width}, got {self.units}")

    @property
    def row_width(self) -> int:
        """Values that a row is made of."""
        return self.units + (0 if self.tied else self.width)

    @property
    def inputs(self) -> int:
        """Input width: key, then value."""
        return self.row_width

    @property
    def rows(self) -> int:
        """Values of a step."""
        return self.slots * self.row_width

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Values, keys where they are others, and which slots are filled behind a 1."""
        keys = () if self.tied else (self.slots * self.width,)
        return self.slots * self.units, *keys, self.slots + 1

    @property
    def state_names(self) -> tuple[str, ...]:
        """What the states are called behind the layer's name."""
        return ("values", "filled") if self.tied else ("values", "keys", "filled")

    def initial_state(self, batch: int) -> tuple[FloatArray, ...]:
        """An empty memory for ``batch`` streams: 1 and -1 say which slots are filled."""
        *rows, filled = (np.zeros((batch, width)) for width in self.state_widths)
        filled[:] = -1.0
        filled[:, 0] = 1.0
        return *rows, filled

    @property
    def parameters(self) -> int:
        """Trainable values: none."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatAttention(FloatMemory):
    """The mean of the values of a memory by the softmax of the scores of a query.

    Scores are the sum of factor * query * key, or of factor * tanh(query + key).

    Attributes:
        factor: [D].
        appends: it reads a row behind the query, and appends it first; else another program does.
    """

    kind: ClassVar[str] = "attention"

    factor: FloatArray
    appends: bool = True

    def __post_init__(self) -> None:
        """Freeze and check the factors."""
        FloatMemory.__post_init__(self)
        freeze(self, "factor", 1)
        if self.factor.shape != (self.width,):
            raise ShapeError(
                f"{self.name}.factor: expected shape ({self.width},), got {self.factor.shape}"
            )

    @property
    def inputs(self) -> int:
        """Input width: query, then the row that it appends."""
        return self.width + (self.row_width if self.appends else 0)
