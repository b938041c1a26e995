"""Rounding and saturation of NUMERICS.md section 1 on int32 tensors, and casts to and from codes.

Codes are float32 tensors that hold integers of at most 16 bits, so that gradients can flow.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from edgernn.model.formats import INT16_MAX, INT16_MIN

Tensor = Any


def wide(codes: Tensor) -> Tensor:
    """Codes as int32."""
    return tf.cast(codes, tf.int32)


def narrow(integers: Tensor) -> Tensor:
    """Integers, or truth values, as float32 codes."""
    return tf.cast(integers, tf.float32)


def floor_shift(p: Tensor, k: Any) -> Tensor:
    """Floor of p / 2**k, elementwise."""
    return tf.bitwise.right_shift(p, k)


def sat16(integers: Tensor) -> Tensor:
    """Clause 1.1."""
    return tf.clip_by_value(integers, INT16_MIN, INT16_MAX)


def half_up(p: Tensor, k: Tensor) -> Tensor:
    """Clause 1.2, k >= 1."""
    return floor_shift(p + tf.bitwise.left_shift(tf.ones_like(k), k - 1), k)


def round_product(p: Tensor, k: int) -> Tensor:
    """Clause 1.3, R(p, k)."""
    if k == 0:
        return p
    if k == 1:
        return floor_shift(p + 1, 1)
    return floor_shift(p + ((1 << (k - 1)) + 1) - 2 * wide(p < -1), k)
