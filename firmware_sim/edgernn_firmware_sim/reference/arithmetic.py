"""Rounding and saturation of NUMERICS.md section 1, on int32 arrays.

Every function is named for exactly what it does. Callers keep values within int32; the bounds
of clauses 4.4 and 5.5 and the widths of int16 products guarantee it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]

_INT8_MIN: Final = np.int32(-128)
_INT8_MAX: Final = np.int32(127)
_INT16_MIN: Final = np.int32(-32768)
_INT16_MAX: Final = np.int32(32767)


def widen(codes: npt.NDArray[Any]) -> Int32:
    """Codes of any integer width as int32."""
    return codes.astype(np.int32)


def sat8(wide: Int32) -> Int32:
    """Clause 1.1: saturate to [-128, 127]."""
    narrow: Int32 = np.maximum(wide, _INT8_MIN)
    return np.minimum(narrow, _INT8_MAX, out=narrow)


def sat16(wide: Int32) -> Int32:
    """Clause 1.1: saturate to [-32768, 32767]."""
    narrow: Int32 = np.maximum(wide, _INT16_MIN)
    return np.minimum(narrow, _INT16_MAX, out=narrow)


def half_up(p: Int32, k: int | Int32) -> Int32:
    """Clause 1.2: p / 2**k, ties towards +infinity; k a scalar or one value per column, >= 1."""
    shift = np.asarray(k, dtype=np.int32)
    rounded: Int32 = p + (np.int32(1) << (shift - np.int32(1)))
    rounded >>= shift
    return rounded


def hypotenuse(a: Int32, b: Int32) -> Int32:
    """Clause 7.10: the rounded root of a² + b², and 32768 where that is more than 32767."""
    a, b = np.maximum(a, -_INT16_MAX), np.maximum(b, -_INT16_MAX)
    squares: Int32 = a * a + b * b
    root = np.zeros_like(squares)
    for bit in reversed(range(15)):
        tried = root + np.int32(1 << bit)
        root = np.where(tried * tried <= squares, tried, root)
    return root + (squares - root * root > root)


def round_product(p: Int32, k: int) -> Int32:
    """Clause 1.3, R(p, k): gemmlowp's double rounding of p / 2**k."""
    if k == 0:
        return p
    if k == 1:
        return (p + np.int32(1)) >> np.int32(1)
    nudge = np.int32((1 << (k - 1)) + 1)
    rounded: Int32 = p + nudge
    rounded -= np.int32(2) * (p < np.int32(-1))
    rounded >>= np.int32(k)
    return rounded
