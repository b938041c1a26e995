"""Which weights are kept or removed together, and masks of one matrix from the size of its weights.

Rows and columns are those of the integer model's matrices [R, N]: a row is one unit of one gate, a
column one operand (an input, or a component of the state). Keras stores the transpose.

NumPy alone, the same on every machine. Ties are broken by position: what comes first (gate, then
row, then column) stays. What is masked stays masked, so that a mask never grows again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from edgernn.model.formats import BoolArray, FloatArray

#: Size of a block: mean of absolute values, or root of the mean square.
NORMS: Final = ("l1", "l2")
#: Ranks below every weight: already masked.
_GONE = -1.0


@dataclass(frozen=True, slots=True)
class Pattern:
    """One way to cut a gate's matrix [H, N] into groups.

    Groups start at the gate's first row and column, so that no group spans two gates, or kernel
    and recurrent kernel; groups at the far edges are smaller.

    Attributes:
        rows: rows (units) of a group.
        columns: columns (operands) of a group.
        at_most: weights of a group that may stay when all groups are pruned; None where a group
            stays or goes as a whole.
    """

    rows: int
    columns: int
    at_most: int | None = None


PATTERNS: Final[Mapping[str, Pattern]] = MappingProxyType(
    {
        "unstructured": Pattern(1, 1),
        "2:4": Pattern(1, 4, at_most=2),
        "1x4": Pattern(1, 4),
        "4x1": Pattern(4, 1),
        "4x4": Pattern(4, 4),
        "8x4": Pattern(8, 4),
        "1x16": Pattern(1, 16),
    }
)


def kept_count(density: float, count: int) -> int:
    """How many of ``count`` stay: the product rounded up, so that at least one does.

    Decimal fractions meet whole products exactly: 0.07 of 100 is 7.

    >>> kept_count(0.07, 100), kept_count(0.501, 10), kept_count(0.01, 5)
    (7, 6, 1)
    """
    return min(count, math.ceil(round(density * count, 9)))


def renew(
    weights: FloatArray,
    before: BoolArray,
    *,
    density: float,
    pattern: Pattern,
    norm: str,
    keep_diagonal: bool,
) -> BoolArray:
    """The mask of gates that compete for the same share of weights.

    Args:
        weights: finite weights [G, H, N] of G gates.
        before: the mask up to now [G, H, N].
        density: share of the groups that stay.
        pattern: how gates are cut into groups.
        norm: "l1" or "l2".
        keep_diagonal: weights from a unit to itself always stay; needs H = N. Blocks are ranked and
            counted without them; in an n:m pattern they use one of the n places.

    Returns:
        The mask [G, H, N], True where a weight stays.
    """
    if pattern.at_most is not None:
        score = np.where(before, np.abs(weights), _GONE)
        if keep_diagonal:
            score[_diagonal(score.shape)] = np.inf
        best = _best_of_groups(score, pattern.columns, pattern.at_most)
        return _without_smallest(score, ~best, density)
    ranked = np.ones(weights.shape, dtype=np.bool_)
    if keep_diagonal:
        ranked &= ~_diagonal(weights.shape)
    size = np.abs(weights) if norm == "l1" else np.square(weights)
    count = _block_sums(ranked.astype(np.float64), pattern)
    # The root of the mean square ranks as the mean square does.
    score = _block_sums(np.where(ranked, size, 0.0), pattern) / np.maximum(count, 1.0)
    score[_block_sums((ranked & before).astype(np.float64), pattern) == 0.0] = _GONE
    kept = _largest(score, count > 0.0, density)
    return _spread(kept, pattern, weights.shape) | ~ranked


def _diagonal(shape: tuple[int, ...]) -> BoolArray:
    """True on the diagonal of each of G matrices [H, H]."""
    return np.broadcast_to(np.eye(shape[1], dtype=np.bool_), shape)


def _block_sums(values: FloatArray, pattern: Pattern) -> FloatArray:
    """Sums per block: [G, H, N] to [G, blocks down, blocks across]."""
    _, height, width = values.shape
    rows = np.add.reduceat(values, np.arange(0, height, pattern.rows), axis=1)
    sums: FloatArray = np.add.reduceat(rows, np.arange(0, width, pattern.columns), axis=2)
    return sums


def _largest(score: FloatArray, counts: BoolArray, density: float) -> BoolArray:
    """The share of blocks with the largest scores, among those that count."""
    candidates = np.flatnonzero(counts)
    order = np.argsort(-score.ravel()[candidates], kind="stable")
    kept = np.zeros(score.size, dtype=np.bool_)
    kept[candidates[order[: kept_count(density, len(candidates))]]] = True
    return kept.reshape(score.shape)


def _spread(kept: BoolArray, pattern: Pattern, shape: tuple[int, ...]) -> BoolArray:
    """Blocks back to weights; edge blocks are cut to the matrix."""
    rows = np.repeat(kept, pattern.rows, axis=1)[:, : shape[1]]
    mask: BoolArray = np.repeat(rows, pattern.columns, axis=2)[:, :, : shape[2]]
    return mask


def _best_of_groups(score: FloatArray, columns: int, at_most: int) -> BoolArray:
    """The ``at_most`` largest scores of each group of columns; ragged groups may keep as many."""
    width = score.shape[2]
    padding = ((0, 0), (0, 0), (0, -width % columns))
    padded = np.pad(score, padding, constant_values=2 * _GONE)
    groups = padded.reshape(*score.shape[:2], -1, columns)
    order = np.argsort(-groups, axis=-1, kind="stable")
    place = np.argsort(order, axis=-1, kind="stable")
    best: BoolArray = (place < at_most).reshape(padded.shape)[:, :, :width]
    return best


def _without_smallest(score: FloatArray, surplus: BoolArray, density: float) -> BoolArray:
    """Remove the smallest of the surplus, as many as the density asks and the surplus has."""
    candidates = np.flatnonzero(surplus)
    order = np.lexsort((-candidates, score.ravel()[candidates]))
    mask = np.ones(score.size, dtype=np.bool_)
    mask[candidates[order[: score.size - kept_count(density, score.size)]]] = False
    return mask.reshape(score.shape)
