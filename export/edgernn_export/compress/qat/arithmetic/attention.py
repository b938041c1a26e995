"""Attention (NUMERICS.md clauses 7.28, 7.30, 7.31) in training: forward exact, backward smooth.

As in `straight_through`, codes are float32, and a gradient is that of the real function. A memory
is its rows, one after the other, as in the clauses.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgernn.model.formats import PREACTIVATION, UNIT, Int16Array
from edgernn_export.compress.qat.arithmetic.integers import (
    floor_shift,
    half_up,
    narrow,
    sat16,
    wide,
)
from edgernn_export.compress.qat.arithmetic.straight_through import saturating_sum, tanh
from edgernn_export.compress.tensors.back_ends import (
    Tensor,
    constant,
    gathered,
    like,
    ops,
    with_gradient,
)
from edgernn_firmware_sim.reference.attention import FARTHEST, LEAST_SCORE, WHOLE, exponentials

_EXPONENTIALS: Final = exponentials()
#: Codes of a share per code of a score, where a share has slope 1.
_SLOPE: Final = PREACTIVATION.scale / UNIT.scale


def dot_scores(query: Tensor, keys: Tensor, shift: int) -> Tensor:
    """Clause 7.30 by dot products: scores [B, n] of a query [B, D] and keys [B, n*D]."""
    width = query.shape[-1]

    def clause(query: Tensor, keys: Tensor) -> tuple[Tensor, Any]:
        rows = _rows(keys, width)
        sums = ops.sum(wide(rows) * wide(query)[:, None, :], axis=-1)
        codes, slope = _rounded(sums, shift)

        def rule(upstream: Tensor) -> tuple[Tensor, Tensor]:
            share = (upstream * slope)[..., None]
            of_keys = ops.reshape(share * query[:, None, :], (-1, keys.shape[-1]))
            return ops.sum(share * rows, axis=1), of_keys

        return codes, rule

    return with_gradient(clause)(query, keys)


def additive_scores(query: Tensor, keys: Tensor, weight: Int16Array, shift: int) -> Tensor:
    """Clause 7.30 by tanh: scores [B, n] of a query [B, D] and keys [B, n*D].

    Args:
        query: in Q5.10.
        keys: in Q5.10.
        weight: codes [D], which are not trained.
        shift: of the sum.
    """
    rows = _rows(keys, query.shape[-1])
    bent = tanh(saturating_sum(rows, query[:, None, :] + ops.zeros_like(rows)))
    factor = constant(weight, bent)

    def clause(bent: Tensor) -> tuple[Tensor, Any]:
        codes, slope = _rounded(ops.sum(wide(bent) * wide(factor), axis=-1), shift)
        return codes, lambda upstream: (upstream * slope)[..., None] * factor

    return with_gradient(clause)(bent)


def softmax(scores: Tensor, filled: Tensor) -> Tensor:
    """Clause 7.28: shares [B, n] of scores [B, n] and of which slots are filled, [B, n]."""

    def clause(scores: Tensor) -> tuple[Tensor, Any]:
        z = ops.minimum(ops.maximum(wide(scores), LEAST_SCORE), wide(filled))
        apart = ops.minimum(ops.max(z, axis=-1, keepdims=True) - z, FARTHEST)
        e = gathered(like(_EXPONENTIALS, apart), apart)
        total = ops.sum(e, axis=-1, keepdims=True)
        codes = narrow(floor_shift(e * ops.floor_divide(like(np.int32(WHOLE), e), total), 16))
        real = codes * UNIT.scale

        def rule(upstream: Tensor) -> Tensor:
            mean = ops.sum(upstream * real, axis=-1, keepdims=True)
            return _SLOPE * real * (upstream - mean)

        return codes, rule

    return with_gradient(clause)(scores)


def context(shares: Tensor, rows: Tensor) -> Tensor:
    """Clause 7.31: the mean [B, E] of rows [B, n*E] by their shares [B, n]."""
    width = rows.shape[-1] // shares.shape[-1]

    def clause(shares: Tensor, rows: Tensor) -> tuple[Tensor, Any]:
        values = _rows(rows, width)
        sums = ops.sum(wide(shares)[..., None] * wide(values), axis=1)

        def rule(upstream: Tensor) -> tuple[Tensor, Tensor]:
            share = (upstream * UNIT.scale)[:, None, :]
            of_rows = ops.reshape(share * shares[..., None], (-1, rows.shape[-1]))
            return ops.sum(share * values, axis=-1), of_rows

        return narrow(half_up(sums, UNIT.frac_bits)), rule

    return with_gradient(clause)(shares, rows)


def _rows(memory: Tensor, width: int) -> Tensor:
    """The rows [B, n, width] of a memory [B, n * width]."""
    return ops.reshape(memory, (-1, memory.shape[-1] // width, width))


def _rounded(sums: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """The codes of sums, and their slope."""
    rounded = half_up(sums, shift)
    codes = sat16(rounded)
    return narrow(codes), narrow(codes == rounded) * 2.0**-shift
