"""Tables and cell arithmetic of NUMERICS.md, forward exact, backward straight-through.

Every function takes and returns float32 codes and computes in int32 what its clause says. Its
gradient is that of the real function the codes stand for, and 0 where a saturation acted (Bengio et
al. 2013; Jacob et al. 2018).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from edgernn.model.formats import INT16_MAX, INT16_MIN, Precision
from edgernn_export.compress.qat.tensor_arithmetic import (
    Tensor,
    floor_shift,
    narrow,
    round_product,
    sat16,
    wide,
)
from edgernn_firmware_sim.reference.tables import sigmoid_table

#: Bits of a table step; the table entry stands above them, so that one gather reads both.
_STEP_BITS: Final = 11


def _entries_and_steps() -> npt.NDArray[np.int32]:
    """T[i] * 2**11 + (T[i + 1] - T[i])."""
    table = sigmoid_table()
    steps = np.diff(table, append=table[-1])
    packed: npt.NDArray[np.int32] = (table << _STEP_BITS) + steps
    return packed


_TABLE: Final = _entries_and_steps()
#: Q0.15 codes of 1.
_UNIT: Final = 32768.0
#: Q0.15 codes per Q5.10 code where a gate has slope 1.
_SLOPE: Final = 32.0


def input_codes(x: Tensor, scale: Any, offset: Any, precision: Precision) -> Tensor:
    """Clause 9.1: operand codes [..., I] of readings, in double precision.

    Args:
        x: float32 [..., I], physical units.
        scale: float64 [I], physical units per code.
        offset: float64 [I], physical value of code 0.
        precision: of the model.
    """
    quantum = precision.input_step
    low, high = -(-precision.input_low // quantum), precision.input_high // quantum

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def clause(x: Tensor) -> tuple[Tensor, Any]:
        rounded = tf.round((tf.cast(x, tf.float64) - offset) / (quantum * scale))
        codes = tf.clip_by_value(rounded, low, high)

        def grad(upstream: Tensor) -> Tensor:
            return upstream * narrow(codes == rounded) / tf.cast(scale, tf.float32)

        return narrow(codes * quantum), grad

    return clause(x)


def operand(value: Tensor, precision: Precision) -> Tensor:
    """Clause 2.7: the operand O(v) of an int16 value."""
    short = precision is Precision.W8A8

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def clause(value: Tensor) -> tuple[Tensor, Any]:
        v = wide(value)
        rounded = round_product(v, 8) if short else 4 * round_product(v, 3)
        codes = tf.minimum(rounded, precision.operand_high)
        slope = narrow(rounded == codes) / precision.operand_ratio

        def grad(upstream: Tensor) -> Tensor:
            return upstream * slope

        return narrow(codes), grad

    return clause(value)


def _interpolated(m: Tensor, bits: int, end: int) -> Tensor:
    """Clauses 3.2 and 3.3: the table at m / 2**bits, times 2**bits."""
    u = tf.minimum(floor_shift(m, bits), 255)
    found = tf.gather(_TABLE, u)
    step = tf.bitwise.bitwise_and(found, (1 << _STEP_BITS) - 1)
    rest = tf.bitwise.bitwise_and(m, (1 << bits) - 1)
    r = floor_shift(found, _STEP_BITS) * (1 << bits) + rest * step
    return tf.where(u == 255, end, r)


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
def sigmoid(z: Tensor) -> tuple[Tensor, Any]:
    """Clause 3.2."""
    d = 12 * wide(z)
    r = _interpolated(tf.abs(d), 9, 32767 << 10)
    y = narrow(floor_shift(tf.where(d >= 0, r + 512, (1 << 25) - r + 511), 10))
    return y, lambda upstream: upstream * (_SLOPE * (y / _UNIT) * (1.0 - y / _UNIT))


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
def tanh(z: Tensor) -> tuple[Tensor, Any]:
    """Clause 3.3."""
    d = 12 * wide(z)
    r = _interpolated(tf.abs(d), 8, 65535 << 8)
    y = narrow(floor_shift(tf.where(d >= 0, r - (1 << 23) + 128, (1 << 23) - r + 127), 8))
    return y, lambda upstream: upstream * (_SLOPE * (1.0 - tf.square(y / _UNIT)))


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
def hard_sigmoid(z: Tensor) -> tuple[Tensor, Any]:
    """Clause 3.4."""
    line = sat16(round_product(21845 * wide(z), 12)) + 16384
    y = tf.maximum(sat16(line), 0)
    slope = narrow(line == y) * (_SLOPE / 6.0)
    return narrow(y), lambda upstream: upstream * slope


def rescaled(value: Tensor, k: int) -> Tensor:
    """R(v, k) of clause 1.3, for int16 values."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def clause(value: Tensor) -> tuple[Tensor, Any]:
        return narrow(round_product(wide(value), k)), lambda upstream: upstream * 2.0**-k

    return clause(value)


def product(a: Tensor, b: Tensor, k: int) -> Tensor:
    """R(a * b, k) of clause 1.3; most fit int16 (clause 7.2), see `saturated` for the others."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def clause(a: Tensor, b: Tensor) -> tuple[Tensor, Any]:
        def grad(upstream: Tensor) -> tuple[Tensor, Tensor]:
            share = upstream * 2.0**-k
            return share * b, share * a

        return narrow(round_product(wide(a) * wide(b), k)), grad

    return clause(a, b)


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
def saturated(value: Tensor) -> tuple[Tensor, Any]:
    """sat16(v)."""
    codes = tf.clip_by_value(value, float(INT16_MIN), float(INT16_MAX))
    inside = narrow(value == codes)
    return codes, lambda upstream: upstream * inside


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
def saturating_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Any]:
    """sat16(a + b)."""
    total = a + b
    codes = tf.clip_by_value(total, float(INT16_MIN), float(INT16_MAX))
    inside = narrow(total == codes)

    def grad(upstream: Tensor) -> tuple[Tensor, Tensor]:
        share = upstream * inside
        return share, share

    return codes, grad


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
def complement(z: Tensor) -> tuple[Tensor, Any]:
    """The w = sat16(32768 - z) of clause 7.5."""
    return tf.minimum(_UNIT - z, float(INT16_MAX)), lambda upstream: -upstream


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
def looked_up(table: Tensor, tokens: Tensor) -> tuple[Tensor, Any]:
    """Clause 8.3: 256 times the rows [D] of a table [V, D] that tokens [B, n] number, [B, n*D]."""
    numbers = tf.reshape(wide(tokens), (-1,))
    vocabulary, width = table.shape
    codes = 256.0 * tf.gather(table, numbers)

    def grad(upstream: Tensor) -> tuple[Tensor, None]:
        share = 256.0 * tf.reshape(upstream, (-1, width))
        return tf.math.unsorted_segment_sum(share, numbers, vocabulary), None

    return tf.reshape(codes, (-1, tokens.shape[-1] * width)), grad
