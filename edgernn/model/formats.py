"""The nouns of fixed point: formats and precisions (NUMERICS.md section 2)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Int8Array = npt.NDArray[np.int8]
Int16Array = npt.NDArray[np.int16]
Int32Array = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
#: Operand codes: int8 in `w8a8`, int16 in `w8a16`.
OperandArray = npt.NDArray[np.integer[Any]]

INT16_MIN: Final = -32768
INT16_MAX: Final = 32767
WEIGHT_MAX: Final = 127
#: Largest `inputs` or `units` of a layer in a file. The overflow proof adds products of 2**44 per
#: column in int64; with this limit the proof itself cannot overflow.
MAX_WIDTH: Final = 65_536
#: Most tokens that a channel may tell apart: each is an int16.
MAX_VOCABULARY: Final = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class QFormat:
    """A signed fixed-point format: code ``q`` in ``bits`` bits means ``q * 2**-frac_bits``."""

    bits: int
    frac_bits: int

    def __post_init__(self) -> None:
        """Refuse formats that no code uses."""
        if self.bits not in (8, 16, 32) or not 0 <= self.frac_bits < self.bits:
            raise ValueError(
                f"QFormat: expected 8, 16 or 32 bits and 0 <= frac_bits < bits, "
                f"got bits={self.bits}, frac_bits={self.frac_bits}"
            )

    @property
    def scale(self) -> float:
        """Real value of one code step."""
        return float(2.0**-self.frac_bits)

    @property
    def low(self) -> int:
        """Smallest code."""
        return -(1 << (self.bits - 1))

    @property
    def high(self) -> int:
        """Largest code."""
        return (1 << (self.bits - 1)) - 1

    def __str__(self) -> str:
        """Conventional name, for example ``Q5.10``."""
        return f"Q{self.bits - 1 - self.frac_bits}.{self.frac_bits}"


#: Input of sigmoid, tanh and hard sigmoid (clause 2.4).
PREACTIVATION: Final = QFormat(bits=16, frac_bits=10)
#: Gate outputs and hidden states in [-1, 1) (clauses 2.5, 2.6).
UNIT: Final = QFormat(bits=16, frac_bits=15)
#: Result of a normalization (clause 7.11).
NORMALIZED: Final = QFormat(bits=16, frac_bits=11)
#: Codes whose scale is that of what they were copied from.
PLAIN_CODES: Final = QFormat(bits=16, frac_bits=0)

#: Allowed exponents of an LSTM cell state and of a relu SimpleRNN state (clause 2.6).
CELL_EXPONENTS: Final = range(10, 15)
RELU_EXPONENTS: Final = range(0, 16)


#: How a precision is asked for: that of the weights, too.
PrecisionName = Literal["w8a8", "w8a16", "w4a8", "w4a16"]


class Precision(enum.Enum):
    """Width of operands, by the name of the model with 8-bit weights (clauses 2.2 and 4.5)."""

    W8A8 = "w8a8"
    W8A16 = "w8a16"

    @property
    def operand_dtype(self) -> np.dtype[np.integer[Any]]:
        """NumPy dtype of operand codes."""
        return np.dtype(np.int8) if self is Precision.W8A8 else np.dtype(np.int16)

    @property
    def input_low(self) -> int:
        """Smallest model input code (clause 2.3)."""
        return -128 if self is Precision.W8A8 else -32764

    @property
    def input_high(self) -> int:
        """Largest model input code (clause 2.3)."""
        return 127 if self is Precision.W8A8 else 32764

    @property
    def input_step(self) -> int:
        """Input codes are multiples of this (clause 2.3)."""
        return 1 if self is Precision.W8A8 else 4

    @property
    def operand_low(self) -> int:
        """Smallest operand made from an int16 value (clause 2.7)."""
        return -128 if self is Precision.W8A8 else -16384

    @property
    def operand_high(self) -> int:
        """Largest operand made from an int16 value (clause 2.7)."""
        return 127 if self is Precision.W8A8 else 16384

    @property
    def operand_ratio(self) -> int:
        """Codes of an int16 value that one operand code is worth (clause 2.7)."""
        return 256 if self is Precision.W8A8 else 2
