"""Normalization (NUMERICS.md clause 7.11) in training: forward exact, backward straight-through."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgernn.model.formats import INT16_MAX, INT16_MIN, NORMALIZED
from edgernn.model.scales import NormalizationConstants
from edgernn_export.compress.qat.arithmetic.integers import floor_shift, half_up, narrow, wide
from edgernn_export.compress.tensors.back_ends import Tensor, gathered, like, ops, with_gradient
from edgernn_firmware_sim.reference.normalization import FIRST_ROOT, inverse_root_table

_ROOTS: Final = inverse_root_table()
_STEPS: Final = _ROOTS[:-1] - _ROOTS[1:]
#: Powers of 4 that Q of the clause may reach.
_POWERS: Final = (4 ** np.arange(1, 15)).astype(np.int32)


def normalized(value: Tensor, constants: NormalizationConstants) -> Tensor:
    """Codes of Q4.11, float32 [B, N]; the gradient is that of the real normalization.

    Args:
        value: int16 codes, float32 [B, N].
        constants: of the clause.
    """

    def clause(value: Tensor) -> tuple[Tensor, Any]:
        before = _before_saturation(wide(value), constants)
        codes = ops.clip(before, INT16_MIN, INT16_MAX)
        inside, y = narrow(before == codes), narrow(codes)
        centred = value - ops.mean(value, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        per_code = ops.rsqrt(variance + _epsilon(constants))

        def grad(upstream: Tensor) -> Tensor:
            share = upstream * inside / NORMALIZED.scale
            unit = centred * per_code
            mean = ops.mean(share, axis=-1, keepdims=True)
            along = ops.mean(share * unit, axis=-1, keepdims=True)
            return per_code * (share - mean - unit * along)

        return y, grad

    return with_gradient(clause)(value)


def _epsilon(constants: NormalizationConstants) -> float:
    """The real number added to the variance of codes, as near as its largest constant says."""
    scaling = 4.0 ** (constants.least_bits - constants.square_bits)
    return float(constants.epsilon[0]) * scaling / constants.width**3


def _before_saturation(x: Tensor, constants: NormalizationConstants) -> Tensor:
    """The y of the clause before sat16, int32."""
    most = constants.most_bits
    bits = np.maximum(np.arange(most + 1), constants.least_bits)
    d = x * constants.width - ops.sum(x, axis=-1, keepdims=True)
    largest = ops.max(ops.abs(d), axis=-1, keepdims=True)
    b = _reached(largest, 1 << np.arange(most))
    m = d * gathered(_tensor(1 << (most - bits), x), b)
    v, q = (half_up(m, most - k) for k in (15, constants.square_bits))
    epsilon = gathered(_tensor(constants.epsilon[bits - constants.least_bits], x), b)
    sums = ops.sum(q * q, axis=-1, keepdims=True) + epsilon
    squares = ops.minimum(sums, (1 << 30) - 1)
    j = _reached(squares, _POWERS)
    p = ops.left_shift(squares, 28 - 2 * j)
    u = floor_shift(p, 22) - FIRST_ROOT
    h = ops.bitwise_and(floor_shift(p, 12), 1023)
    r = gathered(_tensor(_ROOTS, x), u) - floor_shift(h * gathered(_tensor(_STEPS, x), u), 10)
    r = half_up(r * constants.gain, 15)
    return half_up(v * r, j + constants.shift)


def _reached(number: Tensor, powers: Any) -> Tensor:
    """How many of the powers a number [B, 1] reaches."""
    return ops.sum(wide(number >= _tensor(powers, number)), axis=-1, keepdims=True)


def _tensor(integers: Any, x: Tensor) -> Tensor:
    return like(np.asarray(integers, np.int32), x)
