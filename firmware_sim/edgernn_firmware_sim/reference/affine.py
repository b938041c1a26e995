"""Affine maps of NUMERICS.md sections 4 and 5 and the operand conversion of clause 2.7."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgernn.model.affine import Affine, Affine8, Affine16, Source
from edgernn.model.formats import Int8Array, Precision
from edgernn_firmware_sim.reference.arithmetic import Int32, half_up, round_product
from edgernn_firmware_sim.reference.events import Names, Quiet

#: Operand codes [B, N] by source.
Operands = dict[Source, Int32]


class AffineMap(Protocol):
    """A callable affine map with its weights laid out for the matrix product."""

    def __call__(self, operands: Operands, note: Quiet) -> Int32:
        """Map operand codes [B, N] to int16 results [B, R]."""
        ...


def operand(precision: Precision, value: Int32, note: Quiet, name: str) -> Int32:
    """Clause 2.7: the operand O(v) of an int16 value."""
    if precision is Precision.W8A8:
        return note.sat8(name, round_product(value, 8))
    return round_product(value, 3) * np.int32(4)


class ExactProduct:
    """W.q in the integers, by floating point that rounds nothing (NumPy has no integer BLAS).

    A sum of products is exact in any order, fused or not, as long as no partial sum leaves the
    integers that the type has without gaps. A partial sum is at most sum |w| max |q| of its row:
    by clauses 2.2, 2.3 and 4.1 below 2**17 * 2**7 * 2**15 = 2**39, and float64 has all integers up
    to 2**53. Where the actual weights keep it below 2**24, float32 does, in half the time. By
    clauses 4.1 (for a multiplier of 0), 4.4 and 5.5 the sum itself fits 32 bits.
    """

    def __init__(self, weights: Int8Array, largest_code: int) -> None:
        """Lay out int8 weights [R, N] for codes of at most this magnitude."""
        reach = np.abs(weights.astype(np.int64)).sum(axis=1) * largest_code
        self._dtype = np.dtype(np.float32 if int(reach.max()) < 1 << 24 else np.float64)
        self._weights: npt.NDArray[Any] = weights.astype(self._dtype).T

    def __call__(self, codes: Int32) -> Int32:
        """Sums [B, R] for operand codes [B, N]."""
        sums: npt.NDArray[Any] = codes.astype(self._dtype) @ self._weights
        return sums.astype(np.int32)


class AffineMap8:
    """Section 4, `w8a8`."""

    def __init__(self, affine: Affine8, names: Names) -> None:
        """Lay the weights out once."""
        self._names = names
        self._terms = [
            (t.source, ExactProduct(t.weights, -Precision.W8A8.input_low), t.multiplier)
            for t in affine.terms
        ]
        self._bias = affine.bias
        self._shift = affine.shift

    def __call__(self, operands: Operands, note: Quiet) -> Int32:
        """Clauses 4.2 and 4.3."""
        u = self._bias
        for source, product, multiplier in self._terms:
            u = u + product(operands[source]) * multiplier
        return note.sat16_each(self._names, half_up(u, self._shift))


class AffineMap16:
    """Section 5, `w8a16`."""

    def __init__(self, affine: Affine16, names: Names) -> None:
        """Lay the weights out once."""
        self._names = names
        self._terms = [
            (
                t,
                ExactProduct(t.weights, Precision.W8A16.input_high),
                tuple(f"{n}.{t.source.value}" for n in names),
            )
            for t in affine.terms
        ]

    def __call__(self, operands: Operands, note: Quiet) -> Int32:
        """Clauses 5.2 and 5.3."""
        parts = []
        for term, product, names in self._terms:
            acc = product(operands[term.source]) + term.bias
            v = note.sat16_each(names, half_up(acc, term.shift))
            parts.append(round_product(v * term.multiplier, 15))
        if len(parts) == 1:
            return note.see_each(self._names, parts[0])
        return note.sat16_each(self._names, parts[0] + parts[1])


def affine_map(affine: Affine, names: Names) -> AffineMap:
    """The executable form of an affine record; ``names`` are those of its stacked results."""
    return AffineMap8(affine, names) if isinstance(affine, Affine8) else AffineMap16(affine, names)
