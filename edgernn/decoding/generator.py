"""Random numbers that every machine has alike, and draws with them (NUMERICS.md 13.6 and 13.7).

A seed stands for the whole sequence: NumPy's generators may change theirs between versions, and
devices do not have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

_MASK: Final = 0xFFFFFFFF
_GOLDEN: Final = 0x9E3779B9


def random_numbers(seed: int) -> Iterator[int]:
    """32-bit integers by xoshiro128** (Blackman and Vigna 2018).

    Args:
        seed: 0 to 2^32 - 1.
    """
    s0, s1, s2, s3 = (_mixed((seed + i * _GOLDEN) & _MASK) for i in range(1, 5))
    while True:
        yield _rotated(s1 * 5 & _MASK, 7) * 9 & _MASK
        t = s1 << 9 & _MASK
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= t
        s3 = _rotated(s3, 11)


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & _MASK


def _mixed(h: int) -> int:
    """The last steps of MurmurHash3 (Appleby 2011)."""
    h = (h ^ h >> 16) * 0x85EBCA6B & _MASK
    h = (h ^ h >> 13) * 0xC2B2AE35 & _MASK
    return h ^ h >> 16


def drawn(weights: npt.NDArray[np.int64], numbers: Iterator[int]) -> int:
    """Clause 13.7: the index of a weight, each with its share of the sum as probability.

    Args:
        weights: int64 [V], at least one of them 2^15 or more, their sum at most 2^45.
        numbers: random 32-bit integers.
    """
    ends = np.cumsum(weights)
    whole = int(ends[-1])
    bits = (whole >> 15).bit_length()
    while True:
        low = next(numbers)
        r = (next(numbers) >> (32 - bits)) << 15 | low >> 17
        if r < whole:
            return int(np.searchsorted(ends, r, side="right"))
