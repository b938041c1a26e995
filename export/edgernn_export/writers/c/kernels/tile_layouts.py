"""The bytes that tiles of weights become in C, by common/tile.h and common/tile4.h."""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import Int8Array
from edgernn.model.storage import TILE

#: Codes of bytes, of which the lowest eight bits count.
_Codes = npt.NDArray[np.int16]


class Layout(enum.Enum):
    """How variants of the kernels lay tiles out, in the order of EDGERNN_BY_LAYOUT."""

    ONE = "portable and RISC-V"
    THUMB1 = "Thumb-1"
    DSP = "Arm DSP extension"
    VECTORS = "Helium and NEON"
    AVX2 = "AVX2"
    AVX512 = "AVX-512"


def tile_bytes(layout: Layout, tiles: Int8Array, *, operand_bits: int, weight_bits: int) -> bytes:
    """The bytes of tiles, one behind the other.

    Args:
        layout: of the variant.
        tiles: int8 [..., 4, 4], rows by columns.
        operand_bits: 8 or 16.
        weight_bits: 8 or 4.
    """
    rows = tiles.reshape(-1, TILE, TILE).astype(np.int16)
    laid_out = _bytes8 if weight_bits == 8 else _bytes4
    return (laid_out(layout, rows, operand_bits) & 0xFF).astype(np.uint8).tobytes()


def _bytes8(layout: Layout, rows: _Codes, operand_bits: int) -> _Codes:
    narrow = operand_bits == 8
    if layout is Layout.AVX512 and narrow:
        return rows + 128
    if layout is not Layout.DSP and not (layout is Layout.THUMB1 and narrow):
        return rows
    low, high = rows[:, 0::2], rows[:, 1::2]
    # Halfwords are 256 * high + low: a negative low one borrows.
    words: _Codes = np.stack([low, high - (low < 0) if narrow else high], axis=-1)
    if layout is Layout.DSP:
        return words
    return words.reshape(-1, 2, 2, 2, 2).swapaxes(1, 2)  # two columns of all rows, then the rest


def _bytes4(layout: Layout, rows: _Codes, operand_bits: int) -> _Codes:
    a, b, c, d = rows.swapaxes(0, 1)
    narrow = operand_bits == 8
    if layout is Layout.DSP:
        second = _lower(c, d) if narrow else _both(c, d)
        return np.stack([_both(a, b), second], axis=-1)
    if layout in (Layout.ONE, Layout.THUMB1):
        if narrow:
            return _both(rows[:, :, 0::2], rows[:, :, 1::2])
        return np.stack([_lower(a, b), _lower(c, d)], axis=1)
    unsigned = narrow and layout in (Layout.AVX2, Layout.AVX512)
    packed = _both if unsigned else _lower
    return np.stack([packed(a, c), packed(b, d)], axis=1)


def _both(low: _Codes, high: _Codes) -> _Codes:
    """Two weights a byte, 8 added to both."""
    return low + 8 + 16 * (high + 8)


def _lower(low: _Codes, high: _Codes) -> _Codes:
    """Two weights a byte, 8 added to the lower one."""
    return low + 8 + 16 * high
