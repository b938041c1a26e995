"""Integer affine maps: the records of NUMERICS.md sections 4 (`w8a8`) and 5 (`w8a16`).

The records hold every number the arithmetic needs and prove their own bounds; they compute
nothing else.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import ModelError
from edgernn.model.formats import (
    ArrayRecord,
    Int8Array,
    Int32Array,
    check_range,
    check_rows,
    frozen_array,
)
from edgernn.model.storage import Storage

#: Exclusive bounds of clauses 4.4 and 5.5.
ACCUMULATOR_LIMIT_W8A8 = 1 << 29
ACCUMULATOR_LIMIT_W8A16 = 1 << 31


class Source(enum.Enum):
    """What a term of an affine map multiplies its weights with (clause 4.1)."""

    X = "x"
    H = "h"
    XH = "xh"
    RH = "rh"

    def parts(self, inputs: int, units: int) -> tuple[int, ...]:
        """Lengths of the vectors it puts together, in a layer of these widths."""
        if self is Source.XH:
            return inputs, units
        return (inputs if self is Source.X else units,)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRange:
    """Inclusive bounds of the operand codes of one source."""

    low: int
    high: int


def _check_weights(owner: str, weights: Int8Array, storage: Storage) -> None:
    if 0 in weights.shape:
        raise ModelError(
            f"{owner}.weights: expected at least one row and column, got {weights.shape}"
        )
    if not isinstance(storage, Storage):
        raise ModelError(f"{owner}.storage: expected a Storage, got {storage!r:.40}")
    check_range(owner, "weights", weights, -storage.weight_max, storage.weight_max)


def dot_interval(
    weights: Int8Array, ranges: tuple[CodeRange, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Exact per-row interval of W.q when column j of q lies in ranges[j]."""
    lows = np.array([r.low for r in ranges], dtype=np.int64)
    highs = np.array([r.high for r in ranges], dtype=np.int64)
    rows = weights.shape[0]
    low, high = np.empty(rows, dtype=np.int64), np.empty(rows, dtype=np.int64)
    block = max(1, 65_536 // weights.shape[1])  # the proof needs no more memory than 1.5 MiB
    for start in range(0, rows, block):
        part = slice(start, start + block)
        at_low, at_high = weights[part] * lows, weights[part] * highs
        low[part] = np.minimum(at_low, at_high).sum(axis=1)
        high[part] = np.maximum(at_low, at_high).sum(axis=1)
    return low, high


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Term8(ArrayRecord):
    """One matrix product of a `w8a8` affine map: acc * multiplier (clause 4.2).

    Attributes:
        source: which operands the columns read.
        weights: int8 [R, N] in [-127, 127].
        multiplier: int32 [R], >= 0.
        storage: how the weights lie in files and on devices.
    """

    source: Source
    weights: Int8Array
    multiplier: Int32Array
    storage: Storage = Storage.DENSE8

    def __post_init__(self) -> None:
        """Freeze and check the arrays."""
        owner = f"term {self.source.value}"
        set_ = object.__setattr__
        set_(self, "weights", frozen_array(owner, "weights", self.weights, np.int8, 2))
        set_(self, "multiplier", frozen_array(owner, "multiplier", self.multiplier, np.int32, 1))
        _check_weights(owner, self.weights, self.storage)
        check_rows(owner, self.weights.shape[0], multiplier=self.multiplier)
        check_range(owner, "multiplier", self.multiplier, 0, ACCUMULATOR_LIMIT_W8A8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Affine8(ArrayRecord):
    """A `w8a8` affine map: sat16(half_up(sum of acc*m + bias, shift)) (section 4).

    Attributes:
        terms: one or two products.
        bias: int32 [R], in units of acc*m.
        shift: one shift for all rows, 1..28.
    """

    terms: tuple[Term8, ...]
    bias: Int32Array
    shift: int

    def __post_init__(self) -> None:
        """Freeze and check the arrays; bounds need operand ranges, see `worst`."""
        object.__setattr__(self, "bias", frozen_array("affine", "bias", self.bias, np.int32, 1))
        _check_terms(self.terms, Term8, self.bias.shape[0])
        if not 1 <= self.shift <= 28:
            raise ModelError(f"affine.shift: expected 1..28, got {self.shift}")

    @property
    def rows(self) -> int:
        """Number of outputs R."""
        return int(self.bias.shape[0])

    def worst(self, ranges: dict[Source, tuple[CodeRange, ...]]) -> npt.NDArray[np.int64]:
        """Largest |u| + 2**(shift-1) per row in any order of summation (clause 4.4)."""
        total = np.abs(self.bias.astype(np.int64)) + (1 << (self.shift - 1))
        for term in self.terms:
            low, high = dot_interval(term.weights, ranges[term.source])
            total = total + np.maximum(-low, high) * term.multiplier
        return total

    def unsafe_rows(self, ranges: dict[Source, tuple[CodeRange, ...]]) -> npt.NDArray[np.int64]:
        """Rows that break clause 4.4 for some operand codes in ``ranges``."""
        return np.flatnonzero(self.worst(ranges) >= ACCUMULATOR_LIMIT_W8A8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Term16(ArrayRecord):
    """One matrix product of a `w8a16` affine map (clauses 5.1, 5.2).

    Attributes:
        source: which operands the columns read.
        weights: int8 [R, N] in [-127, 127].
        bias: int32 [R], bias mod 4 = 1.
        shift: int32 [R], 3..30.
        multiplier: int32 [R], 0..32767, Q0.15.
        storage: how the weights lie in files and on devices.
    """

    source: Source
    weights: Int8Array
    bias: Int32Array
    shift: Int32Array
    multiplier: Int32Array
    storage: Storage = Storage.DENSE8

    def __post_init__(self) -> None:
        """Freeze and check the arrays."""
        owner = f"term {self.source.value}"
        set_ = object.__setattr__
        set_(self, "weights", frozen_array(owner, "weights", self.weights, np.int8, 2))
        for name in ("bias", "shift", "multiplier"):
            set_(self, name, frozen_array(owner, name, getattr(self, name), np.int32, 1))
        _check_weights(owner, self.weights, self.storage)
        rows = self.weights.shape[0]
        check_rows(owner, rows, bias=self.bias, shift=self.shift, multiplier=self.multiplier)
        check_range(owner, "shift", self.shift, 3, 30)
        check_range(owner, "multiplier", self.multiplier, 0, 32767)
        if np.any(self.bias % 4 != 1):
            raise ModelError(f"{owner}.bias: expected bias mod 4 = 1 in every row (clause 5.1)")

    def worst(self, ranges: tuple[CodeRange, ...]) -> npt.NDArray[np.int64]:
        """Largest |acc| + 2**(shift-1) per row in any order of summation (clause 5.5)."""
        low, high = dot_interval(self.weights, ranges)
        half = np.int64(1) << (self.shift.astype(np.int64) - 1)
        worst: npt.NDArray[np.int64] = (
            np.maximum(-low, high) + np.abs(self.bias.astype(np.int64)) + half
        )
        return worst


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Affine16(ArrayRecord):
    """A `w8a16` affine map: the saturating sum of its terms (section 5)."""

    terms: tuple[Term16, ...]

    def __post_init__(self) -> None:
        """Check that the terms agree in their number of rows."""
        if not self.terms:
            raise ModelError("affine.terms: expected 1 or 2 terms, got 0")
        _check_terms(self.terms, Term16, int(self.terms[0].weights.shape[0]))

    @property
    def rows(self) -> int:
        """Number of outputs R."""
        return int(self.terms[0].weights.shape[0])

    def unsafe_rows(self, ranges: dict[Source, tuple[CodeRange, ...]]) -> npt.NDArray[np.int64]:
        """Rows that break clause 5.5 for some operand codes in ``ranges``."""
        unsafe = np.zeros(self.rows, dtype=bool)
        for term in self.terms:
            unsafe |= term.worst(ranges[term.source]) >= ACCUMULATOR_LIMIT_W8A16
        return np.flatnonzero(unsafe)


Affine = Affine8 | Affine16


def _check_terms(terms: tuple[Any, ...], kind: type[Any], rows: int) -> None:
    if not isinstance(terms, tuple) or not 1 <= len(terms) <= 2:
        raise ModelError(f"affine.terms: expected a tuple of 1 or 2 terms, got {terms!r:.60}")
    for term in terms:
        if type(term) is not kind:
            raise ModelError(f"affine.terms: expected {kind.__name__}, got {type(term).__name__}")
        if term.weights.shape[0] != rows:
            raise ModelError(
                f"affine.terms: expected {rows} rows in every term, got {term.weights.shape[0]}"
            )
