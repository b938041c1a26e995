"""How a product's weights lie in files and on devices; it changes no result (NUMERICS.md 4.5)."""

from __future__ import annotations

import enum
from typing import Final

from edgernn.model.formats import WEIGHT_MAX

#: Tiles of 4 columns that the index of a sparse product can tell apart: it has a byte for each.
MAX_SPARSE_TILES: Final = 256


class Storage(enum.Enum):
    """How the int8 weights of one product are stored.

    DENSE8: a byte each. SPARSE8: a byte each, and only tiles of 4 rows by 4 columns that hold
    something else than zeros. DENSE4: half a byte each, all in [-7, 7].
    """

    DENSE8 = "dense8"
    SPARSE8 = "sparse8"
    DENSE4 = "dense4"

    @property
    def weight_max(self) -> int:
        """Largest magnitude of a weight."""
        return 7 if self is Storage.DENSE4 else WEIGHT_MAX

    @property
    def weight_bits(self) -> int:
        """Bits of a stored weight."""
        return 4 if self is Storage.DENSE4 else 8
