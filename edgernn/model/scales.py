"""Multiplication by constants: one multiplier and one offset per element (clause 7.9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgernn.errors import ModelError
from edgernn.model.array_record import ArrayRecord, check_range, check_rows, frozen_array
from edgernn.model.formats import INT16_MAX, Int16Array

#: Shifts of clause 7.9.
SCALE_SHIFTS = range(1, 31)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScaleVector(ArrayRecord):
    """y = sat16(sat16(R(v * multiplier, shift)) + bias), element by element (clause 7.9).

    Attributes:
        multiplier: int16 [N] in [-32767, 32767].
        shift: of all elements, 1..30.
        bias: int16 [N]; where all are 0, there is no second sum.
    """

    multiplier: Int16Array
    shift: int
    bias: Int16Array

    def __post_init__(self) -> None:
        """Freeze and check."""
        for name in ("multiplier", "bias"):
            array = frozen_array("scale", name, getattr(self, name), np.int16, 1)
            object.__setattr__(self, name, array)
        check_rows("scale", self.width, bias=self.bias)
        check_range("scale", "multiplier", self.multiplier, -INT16_MAX, INT16_MAX)
        if not self.width or self.shift not in SCALE_SHIFTS:
            raise ModelError(
                f"scale: expected elements, and a shift of 1..30, got {self.width} elements and a "
                f"shift of {self.shift}"
            )

    @property
    def width(self) -> int:
        """Number of elements N."""
        return int(self.multiplier.shape[0])

    @property
    def has_bias(self) -> bool:
        """Whether the second sum is there."""
        return bool(self.bias.any())
