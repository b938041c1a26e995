"""What a session accepts as a reading, and what happens to the rest.

A reading is one finite real number per input channel. Anything else is *bad*: not finite, missing,
not numeric, or of another shape. The policy says what a bad reading does; none touches the state
with its value.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgeRnnError, ReadingError, ShapeError
from edgernn.formats import FloatArray, OperandArray, Precision

BoolArray = npt.NDArray[np.bool_]


class Policy(enum.Enum):
    """What a bad reading does.

    RAISE refuses it with an error and leaves the stream as it was. HOLD advances the stream with
    the last good reading instead; before the first good reading it does what SKIP does. SKIP
    leaves the stream as it was and repeats the last output; NaN before the first output.
    """

    RAISE = "raise"
    HOLD = "hold"
    SKIP = "skip"

    @staticmethod
    def named(name: str) -> Policy:
        """The policy of that name.

        Raises:
            EdgeRnnError: no policy has this name.
        """
        try:
            return Policy(name)
        except ValueError:
            wanted = ", ".join(policy.value for policy in Policy)
            raise EdgeRnnError(
                f"on_bad_reading: expected one of {wanted}, got {name!r:.40}."
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """A chunk of readings, good and bad.

    Attributes:
        x: float64 [T, I]; rows of bad readings are zero.
        good: bool [T].
        problem: the error of the first bad reading, None if all are good.
    """

    x: FloatArray
    good: BoolArray
    problem: EdgeRnnError | None


def _as_float(x: object) -> FloatArray:
    """A float64 array of numbers; masked and missing values become NaN.

    Raises:
        ShapeError: ragged, or not numbers.
    """
    try:
        if isinstance(x, np.ma.MaskedArray):
            masked: Any = x
            x = masked.astype(np.float64).filled(np.nan)
        array = np.asarray(x)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"values of type {array.dtype.name}")
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise ShapeError(f"session: expected real numbers, got {error!s:.120}.") from None


def read_one(x: object, width: int, where: str = "") -> FloatArray:
    """One reading as float64 [I].

    Args:
        x: array-like [I], or a scalar where I = 1.
        width: number of input channels I.
        where: position of the reading, for messages.

    Raises:
        ShapeError: another shape, or not numbers.
        ReadingError: a value is NaN or infinite.
    """
    reading = _as_float(x)
    if reading.ndim == 0 and width == 1:
        reading = reading.reshape(1)
    if reading.shape != (width,):
        raise ShapeError(
            f"session: expected a reading of shape ({width},), got {reading.shape}"
            f"{where and f' ({where})'}. Pass one number per input channel."
        )
    finite = np.isfinite(reading)
    if not finite.all():
        channel = int(np.argmin(finite))
        raise ReadingError(
            f"session: expected finite values, got {reading[channel]} "
            f"({where and f'{where}, '}channel {channel}). "
            "Repair the reading, or open the session with on_bad_reading='hold' or 'skip'."
        )
    return reading


def read_many(xs: object, width: int) -> Readings:
    """A chunk of readings, each judged on its own.

    Args:
        xs: array-like [T, I], [T] where I = 1, or an iterable of readings.
        width: number of input channels I.

    Raises:
        ShapeError: ``xs`` is not a sequence of readings at all.
    """
    rows = _rows(xs)
    if rows is None:
        raise ShapeError(
            f"session: expected readings [T, {width}], got {type(xs).__name__}. "
            "Pass a sequence of readings to run, a single one to step."
        )
    try:
        array = _as_float(rows)
    except ShapeError:
        return _read_each(rows, width)
    if array.ndim == 1 and (width == 1 or array.size == 0):
        array = array.reshape(-1, width)
    if array.shape[1:] != (width,):
        return _read_each(array, width)
    good = np.isfinite(array).all(axis=1)
    if good.all():
        return Readings(x=array, good=good, problem=None)
    return _read_each(array, width)


def _rows(xs: object) -> Iterable[object] | None:
    """What iterates over readings, None where nothing does."""
    if hasattr(xs, "__array__"):
        # A table of pandas would iterate over its column names. A masked array keeps its mask.
        array: Any = xs if isinstance(xs, np.ma.MaskedArray) else np.asarray(xs)
        return cast("Iterable[object]", array) if array.ndim else None
    if isinstance(xs, Iterable) and not isinstance(xs, (str, bytes)):
        return list(xs)
    return None


def _read_each(xs: Iterable[object], width: int) -> Readings:
    """The slow way, which knows the first problem."""
    rows, good = [], []
    problem: EdgeRnnError | None = None
    for t, x in enumerate(xs):
        try:
            rows.append(read_one(x, width, f"reading {t}"))
            good.append(True)
        except (ShapeError, ReadingError) as error:
            problem = problem or error
            rows.append(np.zeros(width))
            good.append(False)
    x_all = np.array(rows, dtype=np.float64).reshape(-1, width)
    return Readings(x=x_all, good=np.array(good, dtype=np.bool_), problem=problem)


def read_codes(q_x: object, precision: Precision, width: int, *, many: bool) -> OperandArray:
    """Operand codes, checked against NUMERICS.md clause 2.3.

    Args:
        q_x: integer array-like [I], or [T, I] with ``many``.
        precision: of the model.
        width: number of input channels I.
        many: expect a chunk.

    Returns:
        A copy in the precision's operand dtype.

    Raises:
        ShapeError: another shape, or not integers.
        ReadingError: a code outside the precision's range or grid.
    """
    wanted = f"[T, {width}]" if many else f"[{width}]"
    try:
        codes = np.asarray(q_x)
    except ValueError as error:
        raise ShapeError(f"session: expected codes {wanted}, got {error!s:.120}.") from None
    if codes.dtype.kind not in "iu" or codes.ndim != 1 + many or codes.shape[-1] != width:
        raise ShapeError(
            f"session: expected integer codes {wanted}, "
            f"got {codes.dtype.name} {list(codes.shape)}. Use `step` and `run` for real numbers."
        )
    p = precision
    bad = (codes < p.input_low) | (codes > p.input_high) | (codes % p.input_step != 0)
    if bad.any():
        grid = f"multiples of {p.input_step}" if p.input_step > 1 else "codes"
        raise ReadingError(
            f"session: expected {grid} in [{p.input_low}, {p.input_high}], "
            f"got {int(codes[bad][0])} (NUMERICS.md clause 2.3). "
            "Make codes with `session.interface.quantize`."
        )
    return codes.astype(p.operand_dtype)


def advancing_codes(
    readings: Readings, q_xs: OperandArray, held: OperandArray | None, policy: Policy
) -> tuple[OperandArray, BoolArray]:
    """What a chunk of readings advances a stream by.

    Args:
        readings: a chunk of T readings.
        q_xs: their codes [T, I]; those of bad readings mean nothing.
        held: codes [I] the stream was last advanced by, None if it was not.
        policy: what bad readings do.

    Returns:
        Codes [N, I] to advance by, and bool [T]: which readings advance the stream, N of them.
    """
    good = readings.good
    if policy is not Policy.HOLD or good.all():
        return q_xs[good], good
    # The row of the last good reading up to and including t; 0 is the one held before.
    row = np.maximum.accumulate(np.where(good, np.arange(1, len(good) + 1), 0))
    before = np.zeros_like(q_xs[:1]) if held is None else held[None]
    advances = (row > 0) | (held is not None)
    return np.concatenate([before, q_xs])[row[advances]], advances
