"""The tables that stand for functions of one value (NUMERICS.md clause 3.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.errors import ModelError
from edgernn.model.formats import INT16_MAX, INT16_MIN, ArrayRecord, Int16Array, frozen_array

#: Bits of a step of a table: it has 2^(16 - bits) segments.
CURVE_STEP_BITS: Final = range(4, 13)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurveTable(ArrayRecord):
    """A function of int16 codes as a table that is interpolated (clause 3.6).

    Between two entries results are interpolated linearly, rounded half up. The table does not say
    what codes and results are worth: it is made for one format, or real scale, of each.

    Attributes:
        entries: int16 [2^(16 - s) + 1]: the results at −32768, −32768 + 2^s, … 32768.
        low, high: what results are limited to; the ends of int16 where nothing is.
    """

    entries: Int16Array
    low: int = INT16_MIN
    high: int = INT16_MAX

    def __post_init__(self) -> None:
        """Freeze and check."""
        entries = frozen_array("curve", "entries", self.entries, np.int16, 1)
        object.__setattr__(self, "entries", entries)
        if entries.size not in [(1 << (16 - bits)) + 1 for bits in CURVE_STEP_BITS]:
            raise ModelError(
                f"curve.entries: expected 2^n + 1 entries, n from {16 - max(CURVE_STEP_BITS)} "
                f"to {16 - min(CURVE_STEP_BITS)}, got {entries.size}"
            )
        if not INT16_MIN <= self.low <= self.high <= INT16_MAX:
            raise ModelError(
                f"curve: expected int16 limits in ascending order, got {self.low} and {self.high}"
            )

    @property
    def step_bits(self) -> int:
        """The s of clause 3.6: the entries are 2^s codes apart."""
        return 17 - int(self.entries.size).bit_length()

    @property
    def least(self) -> int:
        """The smallest result there can be."""
        return min(max(int(self.entries.min()), self.low), self.high)

    @property
    def is_limited(self) -> bool:
        """Whether the limits can act."""
        least, most = int(self.entries.min()), int(self.entries.max())
        return self.low > least or self.high < most
