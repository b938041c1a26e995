"""Layer normalization of values as a float layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgernn.errors import ShapeError
from edgernn.model.formats import ArrayRecord, FloatArray
from edgernn_export.float_model.layers import freeze


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FloatLayerNorm(ArrayRecord):
    """y = gain * (x - mean) / sqrt(variance + epsilon) + offset, of every row that it reads.

    Attributes:
        name: layer name.
        gain: [N], of the features of a row.
        offset: [N], the same.
        epsilon: added to the variance of a row, 0 at least.
        count: rows, one behind another.
    """

    kind: ClassVar[str] = "layer_norm"

    name: str
    gain: FloatArray
    offset: FloatArray
    epsilon: float
    count: int = 1

    def __post_init__(self) -> None:
        """Freeze and check."""
        for name in ("gain", "offset"):
            freeze(self, name, 1)
        if self.offset.shape != self.gain.shape or not self.gain.size:
            raise ShapeError(
                f"{self.name}.offset: expected as many as gains, got {self.offset.size} and "
                f"{self.gain.size}"
            )
        if not 0.0 <= self.epsilon < float("inf"):
            raise ShapeError(f"{self.name}.epsilon: expected 0 or more, got {self.epsilon}")
        if self.count < 1:
            raise ShapeError(f"{self.name}.count: expected 1 or more, got {self.count}")

    @property
    def width(self) -> int:
        """Features N of a row."""
        return int(self.gain.size)

    @property
    def units(self) -> int:
        """Output width U: that of all rows."""
        return self.width * self.count

    @property
    def inputs(self) -> int:
        """Input width U."""
        return self.units

    @property
    def rows(self) -> int:
        """Values of a step."""
        return self.units

    @property
    def parameters(self) -> int:
        """Trainable values."""
        return 2 * self.width
