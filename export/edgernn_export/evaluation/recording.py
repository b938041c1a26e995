"""A recording: streams of readings, and what a model should have answered to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgeRnnError, ReadingError, ShapeError
from edgernn.model.formats import FloatArray
from edgernn.session.policies import Policy
from edgernn_export.calibration.streams import missing_policy, without_missing

IntArray = npt.NDArray[np.int64]
#: float64 where targets are numbers, text where they are names of classes.
Targets = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """Streams of readings with their targets.

    Attributes:
        streams: float64 [T, I] each, NaN where a value is missing; every stream begins in the zero
            state.
        names: of the streams.
        places: int64 [T] each: the line of a file, or the index of a reading in its stream.
        place: what a place is called.
        times: text [T] each, "" where unknown; None without a time column.
        targets: one per reading, [T] or [T, K] each, or one per stream, [] or [K] each; None
            without targets.
        per_stream: targets are one per stream.
        many: the recording is many sequences by its form, not one stream or several.
    """

    streams: tuple[FloatArray, ...]
    names: tuple[str, ...]
    places: tuple[IntArray, ...]
    place: str = "reading"
    times: tuple[tuple[str, ...], ...] | None = None
    targets: tuple[Targets, ...] | None = None
    per_stream: bool = False
    many: bool = False

    @property
    def readings(self) -> int:
        """Readings of all streams."""
        return sum(len(stream) for stream in self.streams)

    def with_targets(self, target: Any) -> Recording:
        """The same readings with targets of another source, see `from_arrays`."""
        targets, per_stream = _targets(target, [len(stream) for stream in self.streams])
        return replace(self, targets=targets, per_stream=per_stream)

    def complete(self, on_missing: str) -> Recording:
        """The recording as a session of this policy would advance with it.

        Args:
            on_missing: "raise", "hold" (a channel keeps its last value) or "skip" (the reading is
                left out).

        Raises:
            ReadingError: a reading is NaN or infinite, and the policy is "raise".
            EdgeRnnError: no such policy, or nothing is left of a stream.
        """
        policy = missing_policy(on_missing)
        if policy is Policy.RAISE:
            for name, stream in zip(self.names, self.streams, strict=True):
                _check_finite(stream, name)
            return self
        parts = [without_missing(stream, policy) for stream in self.streams]
        empty = [name for name, (x, _) in zip(self.names, parts, strict=True) if not len(x)]
        if empty:
            raise EdgeRnnError(
                f"evaluate data: expected complete readings, got none in {empty[0]:.60}."
            )
        kept = [keep for _, keep in parts]
        targets, times = self.targets, self.times
        if targets is not None and not self.per_stream:
            targets = tuple(t[keep] for t, keep in zip(targets, kept, strict=True))
        if times is not None:
            times = tuple(
                tuple(text for text, there in zip(texts, keep, strict=True) if there)
                for texts, keep in zip(times, kept, strict=True)
            )
        return replace(
            self,
            streams=tuple(x for x, _ in parts),
            places=tuple(place[keep] for place, keep in zip(self.places, kept, strict=True)),
            targets=targets,
            times=times,
        )


def _check_finite(stream: FloatArray, where: str) -> None:
    finite = np.isfinite(stream)
    if finite.all():
        return
    reading, channel = (int(v) for v in np.argwhere(~finite)[0])
    raise ReadingError(
        f"evaluate: expected finite readings, got {stream[reading, channel]} ({where}, reading "
        f"{reading}, channel {channel}; {np.count_nonzero(~finite)} in all). Drop or fill "
        "them, or pass on_missing='hold' or 'skip' (--on-bad-reading)."
    )


def from_arrays(data: Any, target: Any, inputs: int) -> Recording:
    """A recording of arrays.

    Args:
        data: [T, I], [B, T, I] or a list of [T_i, I]; [T] where I is 1.
        target: None; one per reading, of the same form as the data with K or no columns; or one
            per sequence, [B] or [B, K].
        inputs: number of channels I.

    Raises:
        ShapeError: another form, or not numbers.
    """
    streams, many = _streams(data, inputs)
    names = tuple(f"sequence {b}" if many else f"stream {b}" for b in range(len(streams)))
    places = tuple(np.arange(len(stream)) for stream in streams)
    recording = Recording(streams=streams, names=names, places=places, many=many)
    return recording if target is None else recording.with_targets(target)


def _streams(data: Any, inputs: int) -> tuple[tuple[FloatArray, ...], bool]:
    listed = isinstance(data, (list, tuple)) and len(data) > 0 and np.ndim(data[0]) == 2
    try:
        arrays = [_numbers(entry) for entry in data] if listed else [_numbers(data)]
    except (TypeError, ValueError) as error:
        raise ShapeError(f"evaluate data: expected numbers, got {error!s:.120}.") from error
    many = not listed and arrays[0].ndim == 3
    if many:
        arrays = list(arrays[0])
    if inputs == 1:
        arrays = [a[:, None] if a.ndim == 1 else a for a in arrays]
    wrong = [a.shape for a in arrays if a.ndim != 2 or a.shape[1] != inputs or not len(a)]
    if wrong or not arrays:
        raise ShapeError(
            f"evaluate data: expected non-empty [T, {inputs}], [B, T, {inputs}] or a list of "
            f"[T, {inputs}], got {list(wrong[0]) if wrong else 'nothing'}."
        )
    return tuple(arrays), many


def _numbers(values: Any) -> FloatArray:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"values of type {array.dtype.name}")
    return array.astype(np.float64)


def target_array(values: Any) -> Targets:
    """Targets as float64, or as text where they are names.

    Raises:
        ShapeError: other lengths.
    """
    array = np.asarray(values)
    if array.dtype.kind in "US":
        return array.astype(np.str_)
    if array.dtype.kind == "O" and all(isinstance(v, str) for v in array.flat):
        return array.astype(np.str_)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(
            f"evaluate target: expected numbers or class names, got {error!s:.120}."
        ) from error


def _targets(target: Any, lengths: Sequence[int]) -> tuple[tuple[Targets, ...], bool]:
    """Targets of each stream, and whether there is one per stream."""
    count = len(lengths)
    if isinstance(target, (list, tuple)) and len(target) == count and np.ndim(target[0]) > 0:
        each = [target_array(entry) for entry in target]
    else:
        whole = target_array(target)
        each = [whole] if count == 1 and whole.shape[:1] == (lengths[0],) else list(whole)
    if len(each) == count:
        if all(a.ndim in (1, 2) and len(a) == n for a, n in zip(each, lengths, strict=True)):
            return tuple(each), False
        if all(np.ndim(a) <= 1 for a in each) and len({np.shape(a) for a in each}) == 1:
            return tuple(np.asarray(a) for a in each), True
    raise ShapeError(
        f"evaluate target: expected one per reading ({lengths[0]} in the first of {count} "
        f"streams) or one per stream ({count}), got shape {_shape(target)}."
    )


def _shape(target: Any) -> str:
    try:
        return str(list(np.shape(target)))
    except ValueError:
        return f"{len(target)} arrays of several lengths"
