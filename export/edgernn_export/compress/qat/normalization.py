"""Normalization (NUMERICS.md clause 7.11) in training: forward exact, backward straight-through."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import tensorflow as tf

from edgernn.model.formats import INT16_MAX, INT16_MIN, NORMALIZED
from edgernn.model.scales import NormalizationConstants
from edgernn_export.compress.qat.tensor_arithmetic import Tensor, floor_shift, half_up, narrow, wide
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

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def clause(value: Tensor) -> tuple[Tensor, Any]:
        before = _before_saturation(wide(value), constants)
        codes = tf.clip_by_value(before, INT16_MIN, INT16_MAX)
        inside, y = narrow(before == codes), narrow(codes)
        centred = value - tf.reduce_mean(value, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        per_code = tf.math.rsqrt(variance + _epsilon(constants))

        def grad(upstream: Tensor) -> Tensor:
            share = upstream * inside / NORMALIZED.scale
            unit = centred * per_code
            mean = tf.reduce_mean(share, axis=-1, keepdims=True)
            along = tf.reduce_mean(share * unit, axis=-1, keepdims=True)
            return per_code * (share - mean - unit * along)

        return y, grad

    return clause(value)


def _epsilon(constants: NormalizationConstants) -> float:
    """The real number added to the variance of codes, as near as its largest constant says."""
    scaling = 4.0 ** (constants.least_bits - constants.square_bits)
    return float(constants.epsilon[0]) * scaling / constants.width**3


def _before_saturation(x: Tensor, constants: NormalizationConstants) -> Tensor:
    """The y of the clause before sat16, int32."""
    most = constants.most_bits
    bits = np.maximum(np.arange(most + 1), constants.least_bits)
    d = x * constants.width - tf.reduce_sum(x, axis=-1, keepdims=True)
    largest = tf.reduce_max(tf.abs(d), axis=-1, keepdims=True)
    b = _reached(largest, (1 << np.arange(most)).astype(np.int32))
    m = d * tf.gather((1 << (most - bits)).astype(np.int32), b)
    v, q = (half_up(m, tf.constant(most - k)) for k in (15, constants.square_bits))
    epsilon = tf.gather(constants.epsilon[bits - constants.least_bits], b)
    sums = tf.reduce_sum(q * q, axis=-1, keepdims=True) + epsilon
    squares = tf.minimum(sums, (1 << 30) - 1)
    j = _reached(squares, _POWERS)
    p = tf.bitwise.left_shift(squares, 28 - 2 * j)
    u = floor_shift(p, 22) - FIRST_ROOT
    h = tf.bitwise.bitwise_and(floor_shift(p, 12), 1023)
    r = tf.gather(_ROOTS, u) - floor_shift(h * tf.gather(_STEPS, u), 10)
    r = half_up(r * constants.gain, tf.constant(15))
    return half_up(v * r, j + constants.shift)


def _reached(number: Tensor, powers: Any) -> Tensor:
    """How many of the powers a number [B, 1] reaches."""
    return tf.reduce_sum(wide(number >= powers), axis=-1, keepdims=True)
