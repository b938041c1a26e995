"""Clauses 4.2, 4.3 and 5.2 of NUMERICS.md: from sums to codes, and the integer biases in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from edgernn_export.compress.qat.arithmetic.exact_sums import gradient_of, whole
from edgernn_export.compress.qat.arithmetic.integers import (
    floor_shift,
    half_up,
    narrow,
    power_of_two,
    round_product,
    sat16,
    wide,
)
from edgernn_export.compress.tensors.back_ends import Tensor, ops, with_gradient

#: Where products are cut, so that int32 holds the sums of thousands of each half.
_LOW_BITS: Final = 12
_LOW: Final = (1 << _LOW_BITS) - 1
_LARGEST: Final = 2.0**30
_HIGHEST: Final = 1 << (30 - _LOW_BITS)


def requantized8(
    sums: Sequence[Tensor], multipliers: Sequence[Tensor], bias: Tensor, shift: Tensor
) -> Tensor:
    """Clauses 4.2 and 4.3.

    Args:
        sums: of one or two terms, [B, R], or [B, 2, R] in parts.
        multipliers: of the terms, int32 [R].
        bias: integers, float32 [R].
        shift: int32 scalar.

    Returns:
        Codes, float32 [B, R].
    """

    def clause(bias: Tensor, *sums: Tensor) -> tuple[Tensor, Any]:
        pairs = list(zip(sums, multipliers, strict=True))
        u = sum((whole(acc) * multiplier for acc, multiplier in pairs), wide(bias))
        rounded = half_up(u, shift)
        codes = sat16(rounded)
        slope = narrow(rounded == codes) * (1.0 / narrow(power_of_two(shift)))

        def rule(upstream: Tensor) -> tuple[Tensor, ...]:
            share = upstream * slope
            to_sums = (gradient_of(acc, share * narrow(m)) for acc, m in pairs)
            return ops.sum(share, axis=0), *to_sums

        return narrow(codes), rule

    return with_gradient(clause)(bias, *sums)


def requantized16(acc: Tensor, quarter_bias: Tensor, shift: Tensor, multiplier: Tensor) -> Tensor:
    """Clause 5.2: the value p of one term.

    Args:
        acc: sums [B, R], or [B, 2, R] in parts.
        quarter_bias: integers n, float32 [R]; the bias is 4n + 1.
        shift: int32 [R].
        multiplier: int32 [R].

    Returns:
        Codes, float32 [B, R].
    """

    def clause(acc: Tensor, quarter_bias: Tensor) -> tuple[Tensor, Any]:
        rounded = half_up(whole(acc) + (4 * wide(quarter_bias) + 1), shift)
        v = sat16(rounded)
        per_sum = narrow(multiplier) * 2.0**-15 / narrow(power_of_two(shift))
        slope = narrow(rounded == v) * per_sum

        def rule(upstream: Tensor) -> tuple[Tensor, Tensor]:
            share = upstream * slope
            return gradient_of(acc, share), 4.0 * ops.sum(share, axis=0)

        return narrow(round_product(v * multiplier, 15)), rule

    return with_gradient(clause)(acc, quarter_bias)


def rounded_sum(
    terms: Sequence[tuple[Tensor, Tensor]], limit: float, guard_bits: int = 0
) -> Tensor:
    """Integers of sums of products, the same in whatever order a back-end adds.

    Each product is rounded separately and added in int32. The gradient is that of the real sum.

    Args:
        terms: values and rates of the same shape, float32, [R] or [N, R], which has N products.
        limit: largest magnitude, at most 2**29.
        guard_bits: bits below a unit that products are rounded to.

    Returns:
        Integers, float32 [R].
    """
    rates = [rate for _, rate in terms]

    def clause(*values: Tensor) -> tuple[Tensor, Any]:
        high: Any = 0
        low: Any = 0
        for value, rate in zip(values, rates, strict=True):
            scaled = ops.round(value * rate * 2.0**guard_bits)
            part = wide(ops.clip(scaled, -_LARGEST, _LARGEST))
            part = ops.reshape(part, (-1, part.shape[-1]))
            high += ops.sum(floor_shift(part, _LOW_BITS), axis=0)
            low += ops.sum(ops.bitwise_and(part, _LOW), axis=0)
        high = ops.clip(high + floor_shift(low, _LOW_BITS), -_HIGHEST, _HIGHEST)
        total = (1 << _LOW_BITS) * high + ops.bitwise_and(low, _LOW)
        if guard_bits:
            total = half_up(total, guard_bits)
        made = ops.clip(narrow(total), -limit, limit)
        return made, lambda upstream: tuple(upstream * rate for rate in rates)

    return with_gradient(clause)(*(value for value, _ in terms))
