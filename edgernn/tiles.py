"""Weights in tiles of 4 rows by 4 columns, as the C kernels read them (``edgernn_tile.h``)."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.affine import Source
from edgernn.layers import Layer

TILE: Final = 4


def padded(count: int) -> int:
    """Rows or columns in full tiles: the next multiple of 4."""
    return -(-count // TILE) * TILE


def first_operand(layer: Layer, source: Source) -> int:
    """Where a source begins in the layer's buffer of operands: the input, then the hidden state."""
    return padded(layer.inputs) if source in (Source.H, Source.RH) else 0


def tiles(layer: Layer, source: Source, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Arrange the weights of one term.

    Args:
        layer: whose weights they are.
        source: operands their columns read; the two parts of ``xh`` are padded each on its own.
        weights: int8 [R, N].

    Returns:
        int8 [padded R / 4, padded N / 4, 4, 4], filled up with zeros.
    """
    parts = [layer.inputs, layer.units] if source is Source.XH else [weights.shape[1]]
    starts = [sum(map(padded, parts[:i])) for i in range(len(parts))]
    places = np.concatenate([s + np.arange(n) for s, n in zip(starts, parts, strict=True)])
    rows = padded(weights.shape[0])
    filled = np.zeros((rows, sum(map(padded, parts))), np.int8)
    filled[: weights.shape[0], places] = weights
    return filled.reshape(rows // TILE, TILE, -1, TILE).swapaxes(1, 2)


def tile_index(filled: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Which tiles a sparse product keeps: for every four rows their number less one, then each.

    Args:
        filled: int8 [G, C, 4, 4] of `tiles`, C at most 256.

    Returns:
        uint8: for each of the G groups of rows the number of its tiles less one and their places
        0..C-1 in rising order. Four rows of zeros keep tile 0: no group is empty.
    """
    kept = filled.any(axis=(2, 3))
    kept[~kept.any(axis=1), 0] = True
    places = [np.flatnonzero(row) for row in kept]
    return np.concatenate([np.array([p.size - 1, *p], np.uint8) for p in places])


def kept_tiles(filled: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """The tiles of `tile_index` in its order, int8 [K, 4, 4]."""
    kept = filled.any(axis=(2, 3))
    kept[~kept.any(axis=1), 0] = True
    return filled[kept]
