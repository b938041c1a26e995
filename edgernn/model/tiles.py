"""Weights in tiles of 4 rows by 4 columns, as the C kernels read them (``edgernn_tile.h``).

What a tile is and which tiles a sparse product keeps is clause 4.5 of NUMERICS.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from edgernn.model.affine import Source
from edgernn.model.formats import Int8Array

if TYPE_CHECKING:
    from edgernn.model.layers import Layer  # which checks its records with this module

TILE: Final = 4


def padded(count: int) -> int:
    """Rows or columns in full tiles: the next multiple of 4."""
    return -(-count // TILE) * TILE


def first_operand(layer: Layer, source: Source) -> int:
    """Where a source begins in the layer's buffer of operands: the input, then the hidden state."""
    return padded(layer.inputs) if source in (Source.H, Source.RH) else 0


def tile_columns(parts: tuple[int, ...]) -> int:
    """Tiles side by side in a product whose operands have these parts (`Source.parts`)."""
    return sum(map(padded, parts)) // TILE


def _places(parts: tuple[int, ...]) -> npt.NDArray[np.int_]:
    """Where the columns of a product lie among those of its tiles."""
    starts = [sum(map(padded, parts[:i])) for i in range(len(parts))]
    return np.concatenate([s + np.arange(n) for s, n in zip(starts, parts, strict=True)])


def tiles(layer: Layer, source: Source, weights: Int8Array) -> Int8Array:
    """Arrange the weights of one term.

    Args:
        layer: whose weights they are.
        source: operands their columns read; the two parts of ``xh`` are padded each on its own.
        weights: int8 [R, N].

    Returns:
        int8 [padded R / 4, padded N / 4, 4, 4], filled up with zeros.
    """
    return arranged(weights, source.parts(layer.inputs, layer.units))


def arranged(weights: Int8Array, parts: tuple[int, ...]) -> Int8Array:
    """`tiles` of weights int8 [R, N] over operands with these parts (`Source.parts`)."""
    rows = padded(weights.shape[0])
    filled = np.zeros((rows, TILE * tile_columns(parts)), np.int8)
    filled[: weights.shape[0], _places(parts)] = weights
    return filled.reshape(rows // TILE, TILE, -1, TILE).swapaxes(1, 2)


def matrix(filled: Int8Array, rows: int, parts: tuple[int, ...]) -> Int8Array:
    """The weights that `tiles` arranged.

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
    """Which tiles a sparse product keeps: bool [G, C] for int8 [G, C, 4, 4] of `tiles`."""
    mask: npt.NDArray[np.bool_] = filled.any(axis=(2, 3))
    mask[~mask.any(axis=1), 0] = True
    return mask


def tile_index(filled: Int8Array) -> npt.NDArray[np.uint8]:
    """Which tiles a sparse product keeps: for every four rows their number less one, then each.

    Args:
        filled: int8 [G, C, 4, 4] of `tiles`, C at most 256.

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
