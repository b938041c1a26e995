"""NUMERICS.md on int32 tensors: rounding, saturation (section 1), affine maps (sections 4, 5).

Codes are float32 tensors that hold integers of at most 16 bits, so that gradients can flow. Weights
are the integers of float32 ones: forward exact, backward straight-through, as in
`straight_through`.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def codes_of(weights: Tensor, rate: Tensor, limit: float) -> Tensor:
    """Integers min(max(rint(w * rate), -limit), limit) of real weights.

    A weight beyond the limit gets its gradient too: were it held there, its row's largest weight
    could never grow, and the step, which follows that weight, neither.

    Args:
        weights: float32 [..., R].
        rate: float32 [R], codes per unit of weight.
        limit: largest code.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def rounding(weights: Tensor, rate: Tensor) -> tuple[Tensor, Any]:
        rounded = tf.clip_by_value(tf.round(weights * rate), -limit, limit)
        return rounded, lambda upstream: (upstream * rate, None)

    return rounding(weights, rate)


def matrix_product(codes: Tensor, weights: Tensor, *, double: bool) -> Tensor:
    """Exact sums of products: codes [..., N], integer weights [N, R].

    Args:
        codes: operand codes, float32.
        weights: integers, float32.
        double: sums can pass 2**24, the largest that float32 adds exactly.

    Returns:
        [..., R], float64 where ``double``, else float32.
    """
    width, rows = weights.shape
    flat = tf.reshape(codes, (-1, width))
    sums = _double_product(flat, weights) if double else tf.matmul(flat, weights)
    return tf.reshape(sums, tf.concat((tf.shape(codes)[:-1], (rows,)), axis=0))


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
def _double_product(codes: Tensor, weights: Tensor) -> tuple[Tensor, Any]:
    def grad(upstream: Tensor) -> tuple[Tensor, Tensor]:
        share = tf.cast(upstream, tf.float32)
        to_codes = tf.matmul(share, weights, transpose_b=True)
        return to_codes, tf.matmul(codes, share, transpose_a=True)

    return tf.matmul(tf.cast(codes, tf.float64), tf.cast(weights, tf.float64)), grad


def requantized8(
    sums: Sequence[Tensor], multipliers: Sequence[Tensor], bias: Tensor, shift: Tensor
) -> Tensor:
    """Clauses 4.2 and 4.3.

    Args:
        sums: of one or two terms, [B, R].
        multipliers: of the terms, int32 [R].
        bias: integers, float32 [R].
        shift: int32 scalar.

    Returns:
        Codes, float32 [B, R].
    """
    terms = len(sums)

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def clause(bias: Tensor, shift: Tensor, *given: Tensor) -> tuple[Tensor, Any]:
        pairs = list(zip(given[:terms], given[terms:], strict=True))
        u = sum((wide(acc) * multiplier for acc, multiplier in pairs), wide(bias))
        rounded = half_up(u, shift)
        codes = sat16(rounded)
        slope = narrow(rounded == codes) * _power(-shift)

        def grad(upstream: Tensor) -> tuple[Any, ...]:
            share = upstream * slope
            to_sums = (tf.cast(share * narrow(m), acc.dtype) for acc, m in pairs)
            return tf.reduce_sum(share, axis=0), None, *to_sums, *[None] * terms

        return narrow(codes), grad

    return clause(bias, shift, *sums, *multipliers)


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
def requantized16(
    acc: Tensor, quarter_bias: Tensor, shift: Tensor, multiplier: Tensor
) -> tuple[Tensor, Any]:
    """Clause 5.2: the value p of one term.

    Args:
        acc: float64 [B, R].
        quarter_bias: integers n, float32 [R]; the bias is 4n + 1.
        shift: int32 [R].
        multiplier: int32 [R].

    Returns:
        Codes, float32 [B, R].
    """
    rounded = half_up(wide(acc) + (4 * wide(quarter_bias) + 1), shift)
    v = sat16(rounded)
    slope = narrow(rounded == v) * narrow(multiplier) * _power(-shift - 15)

    def grad(upstream: Tensor) -> tuple[Any, ...]:
        share = upstream * slope
        return tf.cast(share, acc.dtype), 4.0 * tf.reduce_sum(share, axis=0), None, None

    return narrow(round_product(v * multiplier, 15)), grad


def _power(exponent: Tensor) -> Tensor:
    return tf.pow(2.0, narrow(exponent))
