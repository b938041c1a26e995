"""Constants of operations on values: of scaling (7.9), normalization (7.11), leaky sums (7.23)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from edgernn.errors import ModelError
from edgernn.model.formats import (
    INT16_MAX,
    ArrayRecord,
    Int16Array,
    Int32Array,
    check_range,
    check_rows,
    frozen_array,
)

#: Shifts of clause 7.9.
SCALE_SHIFTS = range(1, 31)
#: Elements that clause 7.11 normalizes: with more, products would pass 32 bits.
MAX_NORMALIZED = 256
#: Largest epsilon of clause 7.11, in units of the sum of squares.
MAX_EPSILON = 1 << 29
#: Shifts of what a leaky sum takes in (clause 7.23).
ENTRY_SHIFTS = range(16)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScaleVector(ArrayRecord):
    """y = sat16(sat16(R(v * multiplier, shift)) + bias), element by element (clause 7.9).

    Attributes:
        multiplier: int16 [N] in [-32767, 32767].
        shift: of all elements, 1..30.
        bias: int16 [N]; where all are 0, there is no second sum.
    """

    multiplier: Int16Array
    shift: int
    bias: Int16Array

    def __post_init__(self) -> None:
        """Freeze and check."""
        for name in ("multiplier", "bias"):
            array = frozen_array("scale", name, getattr(self, name), np.int16, 1)
            object.__setattr__(self, name, array)
        check_rows("scale", self.width, bias=self.bias)
        check_range("scale", "multiplier", self.multiplier, -INT16_MAX, INT16_MAX)
        if not self.width or self.shift not in SCALE_SHIFTS:
            raise ModelError(
                f"scale: expected at least one element and a shift of 1..30, got {self.width} "
                f"elements and a shift of {self.shift}"
            )

    @property
    def width(self) -> int:
        """Number of elements N."""
        return int(self.multiplier.shape[0])

    @property
    def has_bias(self) -> bool:
        """Whether the second sum exists."""
        return bool(self.bias.any())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NormalizationConstants(ArrayRecord):
    """What clause 7.11 needs to know of N elements of one scale: the table E, and what N gives.

    Attributes:
        width: number of elements N, 1..256.
        epsilon: int32, E[b] for the bit lengths b from the least one to the largest, 1..2^29 and
            never rising.
    """

    width: int
    epsilon: Int32Array

    def __post_init__(self) -> None:
        """Freeze and check."""
        array = frozen_array("normalization", "epsilon", self.epsilon, np.int32, 1)
        object.__setattr__(self, "epsilon", array)
        if not 1 <= self.width <= MAX_NORMALIZED:
            raise ModelError(
                f"normalization.width: expected 1..{MAX_NORMALIZED} elements, got {self.width}"
            )
        if not 1 <= array.size <= self.most_bits + 1:
            raise ModelError(
                f"normalization.epsilon: expected 1..{self.most_bits + 1} numbers for "
                f"{self.width} elements, got {array.size}"
            )
        check_range("normalization", "epsilon", array, 1, MAX_EPSILON)
        if np.any(np.diff(array) > 0):
            raise ModelError("normalization.epsilon: expected numbers in non-increasing order")

    @staticmethod
    def of(width: int, scale: float, epsilon: float) -> NormalizationConstants:
        """The constants for elements of one real scale.

        Args:
            width: number of elements N.
            scale: real value of one code, finite and above 0.
            epsilon: added to the variance, in real units squared; 0 at least.

        Raises:
            ModelError: too many elements, or an epsilon that exceeds every code of that scale.
        """
        frame = NormalizationConstants(width=width, epsilon=np.ones(1, np.int32))
        # Of the floats' exact values: the same constants on every machine.
        ratio = Fraction(epsilon) * width**3 / Fraction(scale) ** 2
        bits = range(frame.most_bits + 1)
        exact = [ratio * Fraction(4) ** (frame.square_bits - b) for b in bits]
        kept = [max(1, round(number)) for number in exact if number <= MAX_EPSILON]
        if not kept:
            raise ModelError(
                f"normalization: expected an epsilon that codes of scale {scale:g} can "
                f"outweigh, got {epsilon:g}. Use a smaller epsilon, or calibrate with larger "
                "values."
            )
        return NormalizationConstants(width=width, epsilon=np.array(kept, np.int32))

    @property
    def most_bits(self) -> int:
        """The t of clause 7.11: bits that N times a difference from the mean has at most."""
        return 16 + (self.width - 1).bit_length()

    @property
    def least_bits(self) -> int:
        """The bit length that smaller ones are taken for."""
        return self.most_bits + 1 - int(self.epsilon.size)

    @property
    def square_bits(self) -> int:
        """The w: bits of what is squared."""
        return (29 - (self.width - 1).bit_length()) // 2

    @property
    def root_bits(self) -> int:
        """The a: the root of N is less than 2^a, and 2^(a-1) at least."""
        return math.isqrt(self.width).bit_length()

    @property
    def gain(self) -> int:
        """The G: the root of N as a part of 2^a, in Q0.15."""
        return (math.isqrt(self.width << (32 - 2 * self.root_bits)) + 1) >> 1

    @property
    def shift(self) -> int:
        """The last shift where j is 0."""
        return 19 - self.square_bits - self.root_bits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeakConstants(ArrayRecord):
    """What a leaky sum loses of its state in a step, and the scale of what it takes in (7.23).

    Attributes:
        high: int16 [N], the upper 15 bits of the share that is lost, in Q0.30.
        low: int16 [N], the lower 15 bits.
        shift: int16 [N], 0..15: fraction bits of the wide state beyond those of what comes in.
    """

    high: Int16Array
    low: Int16Array
    shift: Int16Array

    def __post_init__(self) -> None:
        """Freeze and check."""
        for name in ("high", "low", "shift"):
            array = frozen_array("leak", name, getattr(self, name), np.int16, 1)
            object.__setattr__(self, name, array)
        check_rows("leak", self.width, low=self.low, shift=self.shift)
        check_range("leak", "high", self.high, 0, INT16_MAX)
        check_range("leak", "low", self.low, 0, INT16_MAX)
        check_range("leak", "shift", self.shift, min(ENTRY_SHIFTS), max(ENTRY_SHIFTS))
        if not self.width:
            raise ModelError("leak: expected at least one element, got none")

    @property
    def width(self) -> int:
        """Number of elements N."""
        return int(self.high.shape[0])
