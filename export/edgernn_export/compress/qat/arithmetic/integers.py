"""NUMERICS.md on int32 tensors: rounding and saturation (section 1), and the integers of weights.

Codes are float32 tensors that hold integers of at most 16 bits, so that gradients can flow. Weights
are the integers of float32 ones: forward exact, backward straight-through, as in
`straight_through`. All runs on any of Keras's back-ends, and no step is left to the order in which
one adds floats: what float32 cannot hold is added in int32.
"""

from __future__ import annotations

from typing import Any

from edgernn.model.formats import INT16_MAX, INT16_MIN
from edgernn_export.compress.tensors.back_ends import Tensor, ops, with_gradient


def wide(codes: Tensor) -> Tensor:
    """Codes as int32."""
    return ops.cast(codes, "int32")


def narrow(integers: Tensor) -> Tensor:
    """Integers, or truth values, as float32 codes."""
    return ops.cast(integers, "float32")


def floor_shift(p: Tensor, k: Any) -> Tensor:
    """Floor of p / 2**k, elementwise."""
    return ops.right_shift(p, k)


def sat16(integers: Tensor) -> Tensor:
    """Clause 1.1."""
    return ops.clip(integers, INT16_MIN, INT16_MAX)


def half_up(p: Tensor, k: Any) -> Tensor:
    """Clause 1.2, k >= 1."""
    half = 1 << (k - 1) if isinstance(k, int) else power_of_two(k - 1)
    return floor_shift(p + half, k)


def round_product(p: Tensor, k: int) -> Tensor:
    """Clause 1.3, R(p, k)."""
    if k == 0:
        return p
    if k == 1:
        return floor_shift(p + 1, 1)
    return floor_shift(p + ((1 << (k - 1)) + 1) - 2 * wide(p < -1), k)


def power_of_two(k: Tensor) -> Tensor:
    """2**k for k of 0..30, int32."""
    return ops.left_shift(ops.ones_like(k), k)


def codes_of(weights: Tensor, rate: Tensor, limit: float) -> Tensor:
    """Integers min(max(rint(w * rate), -limit), limit) of real weights.

    A weight beyond the limit gets its gradient too: were it held there, its row's largest weight
    and the step that follows it could never grow.

    Args:
        weights: float32 [..., R].
        rate: float32 [R], codes per unit of weight.
        limit: largest code.
    """

    def rounding(weights: Tensor) -> tuple[Tensor, Any]:
        rounded = ops.clip(ops.round(weights * rate), -limit, limit)
        return rounded, lambda upstream: upstream * rate

    return with_gradient(rounding)(weights)
