"""The integer model against the float network: how far apart, when, and where most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.evaluation.recording import IntArray

#: Parts of a recording, one after the other.
TENTHS: Final = 10
#: The error grows where its rise is this share of its mean, and this many standard errors.
_RISE: Final = 0.5
_STANDARD_ERRORS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Integer minus float for one output.

    Attributes:
        output: its name.
        rmse: root of the mean square.
        relative: the same as a share of the standard deviation of the float output; None where
            that does not move.
        bias: mean.
        largest: largest magnitude.
    """

    output: str
    rmse: float
    relative: float | None
    bias: float
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OverTime:
    """How the difference develops.

    Attributes:
        along: "steps since the zero state", or "answers in their order".
        tenths: its root mean square in each tenth, as a share of the float outputs' standard
            deviation; None where a tenth has no answer.
        rise: of a straight line through the tenths from the first to the last, over their mean.
        grows: the rise is more than chance, and more than half the mean.
    """

    along: str
    tenths: tuple[float | None, ...]
    rise: float | None
    grows: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An answer of the integer model that is far from the float network's.

    Attributes:
        stream: name of the stream.
        place: line or reading.
        time: of the time column, "" without one.
        output: which output is farthest away.
        target: what it should have been, None if unknown.
        float_value: what the float network answers.
        integer_value: what the integer model answers.
    """

    stream: str
    place: int
    time: str
    output: str
    target: float | None
    float_value: float
    integer_value: float


def departures(names: Sequence[str], float_y: FloatArray, integer_y: FloatArray) -> list[Departure]:
    """Integer minus float, per output; answers are [N, O] with N >= 1."""
    found = []
    for k, name in enumerate(names):
        difference = integer_y[:, k] - float_y[:, k]
        root = float(np.sqrt(np.mean(np.square(difference))))
        spread = float(np.std(float_y[:, k]))
        found.append(
            Departure(
                output=name,
                rmse=root,
                relative=root / spread if spread > 0 else None,
                bias=float(np.mean(difference)),
                largest=float(np.max(np.abs(difference))),
            )
        )
    return found


def relative_size(float_y: FloatArray, integer_y: FloatArray) -> FloatArray:
    """Size of each difference [N, O] in standard deviations of the float output.

    An output that does not move counts by its magnitude, one that is always 0 as it is.
    """
    spread = np.std(float_y, axis=0)
    magnitude = np.max(np.abs(float_y), axis=0)
    unit = np.where(spread > 0, spread, np.where(magnitude > 0, magnitude, 1.0))
    sizes: FloatArray = np.abs(integer_y - float_y) / unit
    return sizes


def over_time(sizes: FloatArray, position: IntArray, along: str) -> OverTime:
    """The difference in tenths.

    Args:
        sizes: of `relative_size`, [N, O].
        position: when each answer was given [N], from 0.
        along: what a position counts.
    """
    square = np.mean(np.square(sizes), axis=1)
    which = position * TENTHS // (int(position.max()) + 1)
    counts = np.bincount(which, minlength=TENTHS)
    sums = np.bincount(which, weights=square, minlength=TENTHS)
    there = counts > 0
    tenths = np.sqrt(sums[there] / counts[there])
    rise, grows = _trend(np.flatnonzero(there).astype(np.float64), tenths)
    values = np.full(TENTHS, np.nan)
    values[there] = tenths
    return OverTime(
        along=along,
        tenths=tuple(None if np.isnan(v) else float(v) for v in values),
        rise=rise,
        grows=grows,
    )


def _trend(x: FloatArray, y: FloatArray) -> tuple[float | None, bool]:
    """Rise of the least-squares line over the mean, and whether it is one."""
    mean = float(y.mean())
    if len(x) < 5 or mean <= 0:
        return None, False
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    rest = y - mean - slope * centred
    error = float(np.sqrt(rest @ rest / (len(x) - 2) / (centred @ centred)))
    rise = slope * float(x[-1] - x[0]) / mean
    return rise, rise > _RISE and slope > _STANDARD_ERRORS * error


def worst_answers(size: FloatArray, stream: IntArray, row: IntArray, count: int) -> list[int]:
    """The answers that differ most, no two of them close together in one stream.

    Args:
        size: of the difference [N].
        stream: number of the stream [N].
        row: reading in its stream [N].
        count: how many at most.
    """
    apart = max(1, (int(row.max()) + 1) // 50)
    chosen: list[int] = []
    for n in np.argsort(-size, kind="stable"):
        if len(chosen) == count or size[n] == 0:
            break
        if all(stream[n] != stream[m] or abs(row[n] - row[m]) >= apart for m in chosen):
            chosen.append(int(n))
    return chosen
