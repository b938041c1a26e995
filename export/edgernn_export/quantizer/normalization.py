"""Constants of a normalization (NUMERICS.md clause 7.11), and of the gain and offset behind it.

The normalization is made for one real scale of what it reads; epsilon means the same to it as to
the float layer. Its result has a format, Q4.11, whatever it read.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

import numpy as np

from edgernn.errors import EdgeRnnError
from edgernn.model.formats import INT16_MAX, INT16_MIN, NORMALIZED, FloatArray
from edgernn.model.scales import (
    MAX_EPSILON,
    MAX_NORMALIZED,
    SCALE_SHIFTS,
    NormalizationConstants,
    ScaleVector,
)

#: Of gains that are all 0, which need none.
_ANY_SHIFT: Final = 15


def normalization_constants(width: int, scale: float, epsilon: float) -> NormalizationConstants:
    """The constants of clause 7.11.

    Args:
        width: number of elements N.
        scale: real value of one code of what is normalised, finite and above 0.
        epsilon: added to the variance, in real units squared; 0 at least.

    Raises:
        EdgeRnnError: too many elements, or an epsilon beside which no code of that scale counts.
    """
    if not 1 <= width <= MAX_NORMALIZED:
        raise EdgeRnnError(
            f"normalization: expected 1 to {MAX_NORMALIZED} units, got {width}. Make the layer "
            "narrower, or leave the normalization out."
        )
    frame = NormalizationConstants(width=width, epsilon=np.ones(1, np.int32))
    most, square_bits = frame.most_bits, frame.square_bits
    # Of the floats' exact values: the same constants on every machine.
    ratio = Fraction(epsilon) * width**3 / Fraction(scale) ** 2
    exact = [ratio * Fraction(4) ** (square_bits - b) for b in range(most + 1)]
    kept = [number for number in exact if number <= MAX_EPSILON]
    if not kept:
        raise EdgeRnnError(
            f"normalization: expected an epsilon that codes of scale {scale:g} can outweigh, got "
            f"{epsilon:g}. Take a smaller epsilon, or calibrate with larger values."
        )
    table = np.array([max(1, round(number)) for number in kept], np.int32)
    return NormalizationConstants(width=width, epsilon=table)


def gain_and_offset(gain: FloatArray, offset: FloatArray, scale: float) -> ScaleVector:
    """The scaling (clause 7.9) that applies gain and offset to a normalization.

    Args:
        gain: float64 [N].
        offset: float64 [N], in real units.
        scale: real value of one code of the result.
    """
    per_code = gain * (NORMALIZED.scale / scale)
    largest = float(np.abs(per_code).max())
    room = math.floor(math.log2(INT16_MAX / largest)) if largest > 0 else _ANY_SHIFT
    shift = min(max(room, SCALE_SHIFTS[0]), SCALE_SHIFTS[-1])
    multiplier = np.clip(np.rint(per_code * 2.0**shift), -INT16_MAX, INT16_MAX)
    bias = np.clip(np.rint(offset / scale), INT16_MIN, INT16_MAX)
    return ScaleVector(
        multiplier=multiplier.astype(np.int16), shift=shift, bias=bias.astype(np.int16)
    )
