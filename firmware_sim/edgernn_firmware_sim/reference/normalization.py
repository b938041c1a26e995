"""Normalization of NUMERICS.md clause 7.11, on int32 arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from edgernn.model.scales import NormalizationConstants
from edgernn_firmware_sim.reference.arithmetic import Int32

#: Index of the table's first entry.
FIRST_ROOT: Final = 64


def inverse_root_table() -> Int32:
    """The 193 entries I[64] to I[256], 2^18 divided by the root of the index."""
    middle = np.arange(2 * FIRST_ROOT, 513, dtype=np.float64) / 2.0
    f = 2.0**18 / np.sqrt(middle)
    bent = (f[:-2:2] + f[2::2] - 2.0 * f[1::2]) / 4.0
    last = np.int32(1 << 14)
    return np.append(np.rint(f[:-2:2] - bent).astype(np.int32), last)


_ROOTS: Final = inverse_root_table()
_STEPS: Final = (_ROOTS[:-1] - _ROOTS[1:]).astype(np.int32)
#: Powers of 4 that Q of clause 7.11 may reach.
_POWERS: Final = (4 ** np.arange(1, 15)).astype(np.int32)


def normalization(constants: NormalizationConstants) -> Callable[[Int32], Int32]:
    """What normalizes int16 codes [..., N] before sat16, for constants of N elements."""
    width, most, squared = constants.width, constants.most_bits, constants.square_bits
    gain, shift = np.int32(constants.gain), np.int32(constants.shift)
    bits = np.maximum(np.arange(most + 1), constants.least_bits)
    epsilon = constants.epsilon[bits - constants.least_bits]
    to_top = (most - bits).astype(np.int32)
    thresholds = (1 << np.arange(most)).astype(np.int32)

    def rounded(m: Int32, k: int) -> Int32:
        return (m + np.int32(1 << (k - 1))) >> np.int32(k)

    def normalized(x: Int32) -> Int32:
        d = x * np.int32(width) - x.sum(axis=-1, keepdims=True, dtype=np.int32)
        largest = np.abs(d).max(axis=-1, keepdims=True)
        b = (largest >= thresholds).sum(axis=-1, keepdims=True)
        m = d << to_top[b]
        v, q = rounded(m, most - 15), rounded(m, most - squared)
        squares = (q * q).sum(axis=-1, keepdims=True, dtype=np.int32)
        total = np.minimum(squares + epsilon[b], np.int32((1 << 30) - 1))
        j = (total >= _POWERS).sum(axis=-1, keepdims=True, dtype=np.int32)
        p = total << (28 - 2 * j)
        u, h = (p >> 22) - FIRST_ROOT, (p >> 12) & 1023
        r = rounded((_ROOTS[u] - ((h * _STEPS[u]) >> 10)) * gain, 15)
        k = j + shift
        result: Int32 = (v * r + (np.int32(1) << (k - 1))) >> k
        return result

    return normalized
