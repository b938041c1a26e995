"""Tables and cell arithmetic of NUMERICS.md, forward exact, backward straight-through.

Every function takes and returns float32 codes and computes in int32 what its clause says. Its
gradient is that of the real function the codes stand for, and 0 where a saturation acted (Bengio et
al. 2013; Jacob et al. 2018).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import INT16_MAX, INT16_MIN, Precision
from edgernn_export.compress.qat.arithmetic.integers import (
    floor_shift,
    narrow,
    round_product,
    sat16,
    wide,
)
from edgernn_export.compress.tensors.back_ends import Tensor, gathered, like, ops, with_gradient
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


def operand(value: Tensor, precision: Precision) -> Tensor:
    """Clause 2.7: the operand O(v) of an int16 value."""
    short = precision is Precision.W8A8

    def clause(value: Tensor) -> tuple[Tensor, Any]:
        v = wide(value)
        rounded = round_product(v, 8) if short else 4 * round_product(v, 3)
        codes = ops.minimum(rounded, precision.operand_high)
        slope = narrow(rounded == codes) / precision.operand_ratio

        def grad(upstream: Tensor) -> Tensor:
            return upstream * slope

        return narrow(codes), grad

    return with_gradient(clause)(value)


def _interpolated(m: Tensor, bits: int, end: int) -> Tensor:
    """Clauses 3.2 and 3.3: the table at m / 2**bits, times 2**bits."""
    u = ops.minimum(floor_shift(m, bits), 255)
    found = gathered(like(_TABLE, u), u)
    step = ops.bitwise_and(found, (1 << _STEP_BITS) - 1)
    rest = ops.bitwise_and(m, (1 << bits) - 1)
    r = floor_shift(found, _STEP_BITS) * (1 << bits) + rest * step
    return ops.where(u == 255, end, r)


@with_gradient
def sigmoid(z: Tensor) -> tuple[Tensor, Any]:
    """Clause 3.2."""
    d = 12 * wide(z)
    r = _interpolated(ops.abs(d), 9, 32767 << 10)
    y = narrow(floor_shift(ops.where(d >= 0, r + 512, (1 << 25) - r + 511), 10))
    return y, lambda upstream: upstream * (_SLOPE * (y / _UNIT) * (1.0 - y / _UNIT))


@with_gradient
def tanh(z: Tensor) -> tuple[Tensor, Any]:
    """Clause 3.3."""
    d = 12 * wide(z)
    r = _interpolated(ops.abs(d), 8, 65535 << 8)
    y = narrow(floor_shift(ops.where(d >= 0, r - (1 << 23) + 128, (1 << 23) - r + 127), 8))
    return y, lambda upstream: upstream * (_SLOPE * (1.0 - ops.square(y / _UNIT)))


@with_gradient
def hard_sigmoid(z: Tensor) -> tuple[Tensor, Any]:
    """Clause 3.4."""
    line = sat16(round_product(21845 * wide(z), 12)) + 16384
    y = ops.maximum(sat16(line), 0)
    slope = narrow(line == y) * (_SLOPE / 6.0)
    return narrow(y), lambda upstream: upstream * slope


def rescaled(value: Tensor, k: int) -> Tensor:
    """R(v, k) of clause 1.3, for int16 values."""

    def clause(value: Tensor) -> tuple[Tensor, Any]:
        return narrow(round_product(wide(value), k)), lambda upstream: upstream * 2.0**-k

    return with_gradient(clause)(value)


def product(a: Tensor, b: Tensor, k: int) -> Tensor:
    """R(a * b, k) of clause 1.3; most fit int16 (clause 7.2), see `saturated` for the others."""

    def clause(a: Tensor, b: Tensor) -> tuple[Tensor, Any]:
        def grad(upstream: Tensor) -> tuple[Tensor, Tensor]:
            share = upstream * 2.0**-k
            return share * b, share * a

        return narrow(round_product(wide(a) * wide(b), k)), grad

    return with_gradient(clause)(a, b)


@with_gradient
def hypotenuse(a: Tensor, b: Tensor) -> tuple[Tensor, Any]:
    """Clause 7.10: the rounded root of a² + b²; at 0 it has no slope."""
    v, w = (ops.maximum(wide(leg), -INT16_MAX) for leg in (a, b))
    squares = v * v + w * w
    # The root in float32 is off by less than 1, which the squares correct in int32.
    r = ops.minimum(wide(ops.sqrt(narrow(squares))), 46340)
    r = r - wide(r * r > squares)
    r = r + wide(squares - r * r > r)
    y = narrow(ops.minimum(r, INT16_MAX))
    slope = narrow(r <= INT16_MAX) / ops.maximum(y, 1.0)
    return y, lambda upstream: (upstream * slope * a, upstream * slope * b)


@with_gradient
def saturated(value: Tensor) -> tuple[Tensor, Any]:
    """sat16(v)."""
    codes = ops.clip(value, float(INT16_MIN), float(INT16_MAX))
    inside = narrow(value == codes)
    return codes, lambda upstream: upstream * inside


@with_gradient
def saturating_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Any]:
    """sat16(a + b)."""
    total = a + b
    codes = ops.clip(total, float(INT16_MIN), float(INT16_MAX))
    inside = narrow(total == codes)

    def grad(upstream: Tensor) -> tuple[Tensor, Tensor]:
        share = upstream * inside
        return share, share

    return codes, grad


def complement(z: Tensor, one: int) -> Tensor:
    """The w = sat16(2^b - z) of clauses 7.5 and 7.25; ``one`` is 2^b."""

    def clause(z: Tensor) -> tuple[Tensor, Any]:
        codes = ops.clip(float(one) - z, float(INT16_MIN), float(INT16_MAX))
        return codes, lambda upstream: -upstream

    return with_gradient(clause)(z)


def looked_up(table: Tensor, tokens: Tensor) -> Tensor:
    """Clause 8.3: 256 times the rows [D] of a table [V, D] that tokens [B, n] number, [B, n*D]."""
    vocabulary, width = table.shape
    numbers = ops.reshape(wide(tokens), (-1,))

    def clause(table: Tensor) -> tuple[Tensor, Any]:
        def rule(upstream: Tensor) -> Tensor:
            share = 256.0 * ops.reshape(upstream, (-1, width))
            return ops.segment_sum(share, numbers, vocabulary)

        codes = 256.0 * gathered(table, numbers)
        return ops.reshape(codes, (-1, tokens.shape[-1] * width)), rule

    return with_gradient(clause)(table)
