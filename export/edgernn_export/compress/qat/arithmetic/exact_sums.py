"""Sums of products, exact where they grow too large for float32 too.

Floats are exact in any order of addition up to 2**24. A sum that may pass that is a float64; where
a back-end has none it is kept as two float32 numbers, 4096 * high + low, side by side before the
rows: [..., 2, R]. Both then have the sum's gradient.
"""

from __future__ import annotations

from typing import Any, Final

from edgernn_export.compress.qat.arithmetic.integers import floor_shift, narrow, wide
from edgernn_export.compress.tensors.back_ends import Tensor, has_double, ops, with_gradient

#: Where float32 stops to add exactly in any order.
EXACT: Final = 1 << 24
_LOW_BITS: Final = 12
#: Columns whose products of a byte and a weight float32 adds exactly: 255 * 127 * 512 < 2**24.
_COLUMNS: Final = 512
_BYTE: Final = 256.0


def matrix_product(codes: Tensor, weights: Tensor, *, double: bool) -> Tensor:
    """Exact sums of products: codes [..., N], integer weights [N, R].

    Args:
        codes: operand codes, float32.
        weights: integers, float32.
        double: sums can pass 2**24.

    Returns:
        [..., R], float32; where ``double``, float64, or [..., 2, R] without one.
    """
    width, rows = weights.shape
    flat = ops.reshape(codes, (-1, width))
    large = double_product if has_double(flat) else product_in_parts
    sums = large(flat, weights) if double else ops.matmul(flat, weights)
    if len(codes.shape) == 2:
        return sums
    return ops.reshape(sums, (*ops.shape(codes)[:-1], *sums.shape[1:-1], rows))


@with_gradient
def double_product(codes: Tensor, weights: Tensor) -> tuple[Tensor, Any]:
    """Sums [B, R], float64, of codes [B, N] and weights [N, R]."""
    sums = ops.matmul(ops.cast(codes, "float64"), ops.cast(weights, "float64"))
    return sums, lambda upstream: _shares(codes, weights, ops.cast(upstream, "float32"))


@with_gradient
def product_in_parts(codes: Tensor, weights: Tensor) -> tuple[Tensor, Any]:
    """The same sums in two parts [B, 2, R], float32."""
    width, rows = weights.shape
    high = ops.floor(codes / _BYTE)
    by_bytes = ops.concatenate((high, codes - _BYTE * high))
    total: Any = 0
    for at in range(0, width, _COLUMNS):
        columns = slice(at, at + _COLUMNS)
        found = wide(ops.matmul(by_bytes[:, columns], weights[columns]))
        of_high, of_low = ops.unstack(ops.reshape(found, (2, -1, rows)), 2)
        total += 256 * of_high + of_low

    low = ops.bitwise_and(total, (1 << _LOW_BITS) - 1)
    parts = narrow(ops.stack((floor_shift(total, _LOW_BITS), low), axis=1))
    return parts, lambda upstream: _shares(codes, weights, upstream[:, 1])


def _shares(codes: Tensor, weights: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    of_codes = ops.matmul(upstream, ops.transpose(weights))
    return of_codes, ops.matmul(ops.transpose(codes), upstream)


def whole(sums: Tensor) -> Tensor:
    """Sums [B, R], or [B, 2, R] in parts, as int32 [B, R]."""
    if len(sums.shape) == 2:
        return wide(sums)
    parts = wide(sums)
    return (1 << _LOW_BITS) * parts[:, 0] + parts[:, 1]


def gradient_of(sums: Tensor, share: Tensor) -> Tensor:
    """The gradient of sums, given that of the numbers [B, R] they are."""
    if len(sums.shape) == 3:
        return ops.stack((share, share), axis=1)
    return ops.cast(share, sums.dtype)
