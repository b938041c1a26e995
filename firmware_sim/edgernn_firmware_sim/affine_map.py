"""Affine maps of NUMERICS.md sections 4 and 5 and the operand conversion of clause 2.7."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edgernn.affine import Affine, Affine8, Affine16, Source
from edgernn.formats import Precision
from edgernn_firmware_sim.arithmetic import Int32, half_up, round_product, widen
from edgernn_firmware_sim.events import Names, Quiet

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


class AffineMap8:
    """Section 4, `w8a8`."""

    def __init__(self, affine: Affine8, names: Names) -> None:
        """Widen and transpose the weights once."""
        self._names = names
        self._terms = [
            (t.source, np.ascontiguousarray(widen(t.weights).T), t.multiplier) for t in affine.terms
        ]
        self._bias = affine.bias
        self._shift = affine.shift

    def __call__(self, operands: Operands, note: Quiet) -> Int32:
        """Clauses 4.2 and 4.3."""
        u = self._bias
        for source, weights, multiplier in self._terms:
            u = u + (operands[source] @ weights) * multiplier
        return note.sat16_each(self._names, half_up(u, self._shift))


class AffineMap16:
    """Section 5, `w8a16`."""

    def __init__(self, affine: Affine16, names: Names) -> None:
        """Widen and transpose the weights once."""
        self._names = names
        self._terms = [
            (
                t,
                np.ascontiguousarray(widen(t.weights).T),
                tuple(f"{n}.{t.source.value}" for n in names),
            )
            for t in affine.terms
        ]

    def __call__(self, operands: Operands, note: Quiet) -> Int32:
        """Clauses 5.2 and 5.3."""
        parts = []
        for term, weights, names in self._terms:
            acc = (operands[term.source] @ weights) + term.bias
            v = note.sat16_each(names, half_up(acc, term.shift))
            parts.append(round_product(v * term.multiplier, 15))
        if len(parts) == 1:
            return note.see_each(self._names, parts[0])
        return note.sat16_each(self._names, parts[0] + parts[1])


def affine_map(affine: Affine, names: Names) -> AffineMap:
    """The executable form of an affine record; ``names`` are those of its stacked results."""
    return AffineMap8(affine, names) if isinstance(affine, Affine8) else AffineMap16(affine, names)


def joined(affines: dict[str, Affine]) -> bool:
    """Whether any map reads the concatenation `xh`."""
    return any(t.source is Source.XH for a in affines.values() for t in a.terms)
