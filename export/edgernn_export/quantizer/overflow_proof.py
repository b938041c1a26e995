"""The overflow proof: per row, the exact interval of every accumulator, and its witness.

The bounds are those of NUMERICS.md clauses 4.4 and 5.5, over the actual weights and the codes that
each operand can have. A row that could overflow is refused together with the operand codes that do
it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgernn.errors import OverflowRefused
from edgernn.model.affine import (
    ACCUMULATOR_LIMIT_W8A8,
    ACCUMULATOR_LIMIT_W8A16,
    Affine8,
    CodeRange,
    Source,
    Term16,
)
from edgernn.model.formats import WEIGHT_MAX, FloatArray, Int8Array
from edgernn.model.integer_model import IntegerModel

_LISTED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProof:
    """Headroom of one affine map (its worst row).

    Attributes:
        name: ``<layer>.<map>``.
        row: the row with the least headroom.
        worst: largest magnitude its accumulator can reach.
        limit: the bound it stays below.
        headroom_bits: log2(limit / worst).
    """

    name: str
    row: int
    worst: int
    limit: int
    headroom_bits: float


def prove(model: IntegerModel) -> tuple[RowProof, ...]:
    """The proof of every affine map of a model, worst row each."""
    proofs = []
    for index, layer in enumerate(model.layers):
        ranges = model.operand_ranges(index)
        for name, affine in layer.affines.items():
            if isinstance(affine, Affine8):
                worst, limit = affine.worst(ranges), ACCUMULATOR_LIMIT_W8A8
            else:
                every = [term.worst(ranges[term.source]) for term in affine.terms]
                worst, limit = np.max(every, axis=0), ACCUMULATOR_LIMIT_W8A16
            row = int(np.argmax(worst))
            proofs.append(
                RowProof(
                    name=f"{layer.name}.{name}",
                    row=row,
                    worst=int(worst[row]),
                    limit=limit,
                    headroom_bits=float(np.log2(limit / max(int(worst[row]), 1))),
                )
            )
    return tuple(proofs)


def breaking_codes(
    weights: Int8Array, row: int, ranges: tuple[CodeRange, ...], sign: int
) -> npt.NDArray[np.int64]:
    """Operand codes that drive a row's sum to its largest (sign 1) or smallest (-1) value."""
    low = np.array([r.low for r in ranges], dtype=np.int64)
    high = np.array([r.high for r in ranges], dtype=np.int64)
    direction = np.sign(weights[row].astype(np.int64)) * sign
    return np.where(direction > 0, high, np.where(direction < 0, low, 0))


def _listed(codes: npt.NDArray[np.int64]) -> str:
    head = ", ".join(str(int(c)) for c in codes[:_LISTED])
    return f"[{head}{', ...' if codes.size > _LISTED else ''}]"


def refuse8(owner: str, affine: Affine8, ranges: dict[Source, tuple[CodeRange, ...]]) -> None:
    """Raise OverflowRefused when a row of a `w8a8` map can overflow."""
    unsafe = affine.unsafe_rows(ranges)
    if not unsafe.size:
        return
    row = int(unsafe[0])
    sign = 1 if int(affine.bias[row]) >= 0 else -1
    total, parts = int(affine.bias[row]), []
    for term in affine.terms:
        codes = breaking_codes(term.weights, row, ranges[term.source], sign)
        total += int(term.weights[row].astype(np.int64) @ codes) * int(term.multiplier[row])
        parts.append(f"{term.source.value} = {_listed(codes)}")
    raise OverflowRefused(
        f"{owner}: expected every accumulator below 2^29, got {total} in row {row} for operand "
        f"codes {'; '.join(parts)} ({unsafe.size} such rows). Train with smaller weights, or "
        "scale the input down."
    )


def refuse16(
    owner: str,
    term: Term16,
    step: FloatArray,
    ranges: tuple[CodeRange, ...],
    weight_max: int = WEIGHT_MAX,
) -> None:
    """Raise OverflowRefused for a `w8a16` term that no allowed step (clause 5.2) can hold."""
    unsafe = np.flatnonzero(term.worst(ranges) >= ACCUMULATOR_LIMIT_W8A16)
    row = int(unsafe[0]) if unsafe.size else int(np.argmax(step))
    sign = 1 if int(term.bias[row]) >= 0 else -1
    codes = breaking_codes(term.weights, row, ranges, sign)
    total = int(term.weights[row].astype(np.int64) @ codes) + int(term.bias[row])
    if unsafe.size:
        wanted, got = "an accumulator below 2^31", f"{total}"
    else:
        wanted = f"weights of at most {weight_max} steps of 2^-3 output codes"
        got = f"steps of {step[row]:.4g}, so output code {total * float(step[row]):.4g}"
    cure = (
        "use precision 'w8a8'"
        if weight_max == WEIGHT_MAX
        else ("use 8-bit weights in this layer (weight_bits)")
    )
    raise OverflowRefused(
        f"{owner}: expected {wanted}, got {got} in row {row} for operand codes "
        f"{_listed(codes)}. Train with smaller weights, scale the input down, or {cure}."
    )
