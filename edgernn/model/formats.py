"""The nouns of fixed point: formats and precisions (NUMERICS.md section 2)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from edgernn.display import record_repr
from edgernn.errors import ModelError

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


#: Below 0, a code is worth more than 1; above the bits of the code, all of it is less than 1.
FRACTION_BITS: Final = range(-16, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class QFormat:
    """A signed fixed-point format: code ``q`` in ``bits`` bits means ``q * 2**-frac_bits``."""

    bits: int
    frac_bits: int

    def __post_init__(self) -> None:
        """Refuse formats that no code uses."""
        if self.bits not in (8, 16, 32) or self.frac_bits not in FRACTION_BITS:
            raise ValueError(
                f"QFormat: expected 8, 16 or 32 bits and frac_bits from {min(FRACTION_BITS)} to "
                f"{max(FRACTION_BITS)}, got bits={self.bits}, frac_bits={self.frac_bits}"
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


#: Bits of the low part of a wide state (clause 2.8), and what its name ends in.
LOW_BITS: Final = 15
LOW: Final = "_low"


def low_format(high: QFormat) -> QFormat:
    """The format of the low part of a state whose high part has this one."""
    return QFormat(bits=16, frac_bits=high.frac_bits + LOW_BITS)


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
RELU_EXPONENTS: Final = range(-16, 16)
#: The same of cell states and of arguments and results of functions, in cells whose functions are
#: chosen freely (clauses 7.24 to 7.26).
WIDE_CELL_EXPONENTS: Final = range(-5, 15)
VALUE_EXPONENTS: Final = range(-16, 16)
GATE_EXPONENTS: Final = range(1, 16)


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayRecord:
    """A record that may hold arrays, or tuples of records: equal by value, never hashed.

    Records derived from it are declared with ``eq=False``: what `dataclass` would write compares
    arrays as if they were numbers.
    """

    def __eq__(self, other: object) -> bool:
        """Whether the other is of the same class and equal field by field, dtypes of arrays too."""
        if type(self) is not type(other):
            return False
        for field in fields(self):
            left, right = getattr(self, field.name), getattr(other, field.name)
            if isinstance(left, np.ndarray) is not isinstance(right, np.ndarray):
                return False  # one of them is None
            if isinstance(left, np.ndarray):
                if left.dtype != right.dtype or not np.array_equal(left, right):
                    return False
            elif left != right:
                return False
        return True

    __hash__ = None  # type: ignore[assignment]

    def __init_subclass__(cls, **options: Any) -> None:
        """Keep the inherited repr: that of `dataclass` would print whole arrays."""
        # By name: `dataclass` with slots makes the class again, and super() means the first one.
        super(ArrayRecord, cls).__init_subclass__(**options)
        if "__repr__" not in vars(cls):
            cls.__repr__ = cls.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        """One line; arrays by dtype and shape."""
        return record_repr(self)


def frozen_array(
    owner: str, field: str, value: Any, dtype: npt.DTypeLike, ndim: int
) -> npt.NDArray[Any]:
    """Return a read-only C-contiguous copy, refusing any dtype or rank but the stated one."""
    array = np.asarray(value)
    wanted = np.dtype(dtype)
    if array.dtype != wanted or array.ndim != ndim:
        raise ModelError(
            f"{owner}.{field}: expected {ndim}-d {wanted.name}, "
            f"got {array.ndim}-d {array.dtype.name}"
        )
    copy = np.array(array, dtype=wanted, order="C", copy=True)
    copy.flags.writeable = False
    return copy


def check_rows(owner: str, rows: int, **per_row: npt.NDArray[Any]) -> None:
    """Refuse arrays that do not have one value per row."""
    for name, array in per_row.items():
        if array.shape != (rows,):
            raise ModelError(f"{owner}.{name}: expected shape ({rows},), got {array.shape}")


def check_range(owner: str, name: str, array: npt.NDArray[Any], low: int, high: int) -> None:
    """Refuse integers outside the inclusive bounds."""
    if array.size and (int(array.min()) < low or int(array.max()) > high):
        raise ModelError(
            f"{owner}.{name}: expected values in [{low}, {high}], "
            f"got [{int(array.min())}, {int(array.max())}]"
        )
