"""How a product's weights lie in files and on devices: dense, sparse, in tiles.

It changes no result. Tiles have 4 rows and 4 columns, as the C kernels read them
(``common/tile.h``); which of them a sparse product keeps is clause 4.5 of NUMERICS.md.
"""

from __future__ import annotations

import enum
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import WEIGHT_MAX, Int8Array

TILE: Final = 4
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


def padded(count: int) -> int:
    """Rows or columns in full tiles: the next multiple of 4."""
    return -(-count // TILE) * TILE


def tile_columns(parts: tuple[int, ...]) -> int:
    """Tiles side by side in a product whose operands have these parts (`Source.parts`)."""
    return sum(map(padded, parts)) // TILE


def _places(parts: tuple[int, ...]) -> npt.NDArray[np.int_]:
    """Where the columns of a product lie among those of its tiles."""
    starts = [sum(map(padded, parts[:i])) for i in range(len(parts))]
    return np.concatenate([s + np.arange(n) for s, n in zip(starts, parts, strict=True)])


def arranged(weights: Int8Array, parts: tuple[int, ...]) -> Int8Array:
    """Arrange the weights of one term.

    Args:
        weights: int8 [R, N].
        parts: `Source.parts` of the term; each is padded on its own.

    Returns:
        int8 [padded R / 4, padded N / 4, 4, 4], filled up with zeros.
    """
    rows = padded(weights.shape[0])
    filled = np.zeros((rows, TILE * tile_columns(parts)), np.int8)
    filled[: weights.shape[0], _places(parts)] = weights
    return filled.reshape(rows // TILE, TILE, -1, TILE).swapaxes(1, 2)


def matrix(filled: Int8Array, rows: int, parts: tuple[int, ...]) -> Int8Array:
    """The weights that `arranged` arranged.

    Args:
        filled: int8 [padded R / 4, padded N / 4, 4, 4].
        rows: R.
        parts: `Source.parts` of the term.

    Returns:
        int8 [R, N].
    """
    flat = filled.swapaxes(1, 2).reshape(filled.shape[0] * TILE, -1)
    return flat[:rows, _places(parts)]


def kept(filled: Int8Array) -> npt.NDArray[np.bool_]:
    """Which tiles a sparse product keeps: bool [G, C] for int8 [G, C, 4, 4] of `arranged`."""
    mask: npt.NDArray[np.bool_] = filled.any(axis=(2, 3))
    mask[~mask.any(axis=1), 0] = True
    return mask


def tile_index(filled: Int8Array) -> npt.NDArray[np.uint8]:
    """Which tiles a sparse product keeps: for every four rows their number less one, then each.

    Args:
        filled: int8 [G, C, 4, 4] of `arranged`, C at most 256.

    Returns:
        uint8: for each of the G groups of rows the number of its tiles less one and their places
        0..C-1 in rising order. Four rows of zeros keep tile 0: no group is empty.
    """
    mask = kept(filled)
    counts = mask.sum(axis=1)
    index = np.empty(mask.shape[0] + int(counts.sum()), np.uint8)
    starts = np.cumsum(counts + 1) - (counts + 1)
    is_count = np.zeros(index.size, bool)
    is_count[starts] = True
    index[is_count] = counts - 1
    index[~is_count] = np.nonzero(mask)[1]
    return index


def kept_tiles(filled: Int8Array) -> Int8Array:
    """The tiles of `tile_index` in its order, int8 [K, 4, 4]."""
    return filled[kept(filled)]
