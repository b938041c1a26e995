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
