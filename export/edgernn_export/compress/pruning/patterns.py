"""Which weights are kept or removed together.

Rows and columns are those of the integer model's matrices [R, N]: a row is one unit of one gate, a
column one operand (an input, or a component of the state). Keras stores the transpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Pattern:
    """One way to cut a gate's matrix [H, N] into groups.

    Groups start at the gate's first row and column, so that no group spans two gates, or kernel
    and recurrent kernel; groups at the far edges are smaller.

    Attributes:
        rows: rows (units) of a group.
        columns: columns (operands) of a group.
        at_most: weights of a group that may stay when all groups are pruned; None where a group
            stays or goes as a whole.
    """

    rows: int
    columns: int
    at_most: int | None = None


PATTERNS: Final[Mapping[str, Pattern]] = MappingProxyType(
    {
        "unstructured": Pattern(1, 1),
        "2:4": Pattern(1, 4, at_most=2),
        "1x4": Pattern(1, 4),
        "4x1": Pattern(4, 1),
        "4x4": Pattern(4, 4),
        "8x4": Pattern(8, 4),
        "1x16": Pattern(1, 16),
    }
)
