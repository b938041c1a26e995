"""Raw readings with their times, prepared as the device will prepare them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import CalibrationError, ClippedReadingsWarning
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.prepare.preparation import Preparation
from edgernn.prepare.times import TimeReader
from edgernn.records.opening import TableOptions
from edgernn_export.calibration.files import load_rows

_DEFAULT: Final = TableOptions()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedReadings:
    """A raw recording as the model reads it.

    Attributes:
        times_s: seconds since 1970-01-01 UTC, float64 [N]; NaN without times.
        x: prepared readings, float64 [N, I]; NaN where a value is missing.
        begins: rows where the stream starts again, ascending; the first is 0.
        names: of the channels [I].
        counts: what the preparation counted, see `PreparationStream.counts`.
    """

    times_s: FloatArray
    x: FloatArray
    begins: tuple[int, ...]
    names: tuple[str, ...]
    counts: dict[str, int]

    @property
    def streams(self) -> list[FloatArray]:
        """The pieces between resets, each float64 [T, I]: what `quantize` calibrates with."""
        ends = [*self.begins[1:], len(self.x)]
        return [self.x[a:b] for a, b in zip(self.begins, ends, strict=True) if a < b]

    def values_at(self, times_s: npt.ArrayLike, values: npt.ArrayLike) -> FloatArray:
        """What another recording says at the times of the prepared readings, as for targets.

        Args:
            times_s: ascending seconds since 1970-01-01 UTC [M].
            values: [M] or [M, K].

        Returns:
            float64 [N] or [N, K]: the last value at or before each time; NaN before the first.
        """
        at, found = np.asarray(times_s, np.float64), np.asarray(values, np.float64)
        place = np.searchsorted(at, self.times_s, "right") - 1
        chosen: FloatArray = found[np.maximum(place, 0)].copy()
        chosen[place < 0] = np.nan
        return chosen


def prepare(
    preparation: Preparation | IntegerModel | str | Path,
    readings: Any,
    times: Sequence[Any] | npt.NDArray[Any] | None = None,
    *,
    time_column: str = "",
    zone: str = "UTC",
    options: TableOptions = _DEFAULT,
) -> PreparedReadings:
    """Prepare a raw recording for training and calibration, with the bits of the device.

    Args:
        preparation: the preparation, a model that records one, or a TOML file of one.
        readings: raw values [T, R] in the order of the raw channels, a data frame with columns of
            their names, or a table of text (CSV or JSON lines) by its path.
        times: one per reading: seconds since 1970-01-01 UTC, ISO 8601, or datetimes.
        time_column: column of the times, of a data frame or a table.
        zone: time zone of times without an offset, as in "Europe/Berlin".
        options: how a table of text is read.

    Returns:
        The prepared readings, with their times.

    Raises:
        CalibrationError: the model records no preparation.
        DeclarationError: the file holds no valid preparation.
        ReadingError: a time is none, or missing where a step needs one.
        ShapeError: another number of raw channels.

    Warns:
        ClippedReadingsWarning: values were clipped; with their number.
    """
    chosen = _preparation(preparation)
    if isinstance(readings, (str, Path)):
        columns = (time_column,) if time_column else ()
        rows = load_rows(Path(readings), chosen.inputs, columns, options, "hold")
        table: Any = rows.x
        times = rows.columns[time_column] if time_column else times
    elif hasattr(readings, "columns"):
        times = readings[time_column].to_list() if time_column else times
        table = readings[list(chosen.inputs)].to_numpy(np.float64)
    else:
        table = readings
    at = None
    if times is not None:
        reader = TimeReader(zone)
        at = [reader.seconds(_plain(time)) for time in times]
    return _prepared(chosen, at, np.asarray(table, dtype=np.float64))


def prepare_groups(
    preparation: Preparation,
    path: Path,
    group: str,
    *,
    time_column: str = "",
    zone: str = "UTC",
    options: TableOptions = _DEFAULT,
) -> list[PreparedReadings]:
    """Prepare the streams of a table of text whose lines say to which stream they belong.

    Args:
        preparation: of each of them.
        path: the table.
        group: column that separates streams, such as a device ID.
        time_column: column of the times.
        zone: time zone of times without an offset.
        options: how the table is read.

    Returns:
        The streams in the order in which they begin.

    Raises:
        EdgeRnnError: there is no such column.
        ReadingError: as `prepare`.

    Warns:
        ClippedReadingsWarning: as `prepare`.
    """
    columns = tuple(dict.fromkeys((group, time_column) if time_column else (group,)))
    options = replace(options, one_stream=True)
    rows = load_rows(path, preparation.inputs, columns, options, "hold")
    places: dict[str, list[int]] = {}
    for place, name in enumerate(rows.columns[group]):
        places.setdefault(str(name), []).append(place)
    found = []
    for own in places.values():
        at = None
        if time_column:
            reader = TimeReader(zone)
            at = [reader.seconds(rows.columns[time_column][place]) for place in own]
        found.append(_prepared(preparation, at, rows.x[own]))
    return found


def _preparation(given: Preparation | IntegerModel | str | Path) -> Preparation:
    if isinstance(given, Preparation):
        return given
    if isinstance(given, IntegerModel):
        if given.preparation is None:
            raise CalibrationError(
                f"prepare: expected a model that records a preparation, got '{given.name}', which "
                "does not. Pass the preparation that it was trained with."
            )
        return given.preparation
    return Preparation.from_file(given)


def _plain(time: Any) -> Any:
    """Times of NumPy and pandas as Python has them."""
    if isinstance(time, np.datetime64):
        return time.astype("datetime64[ns]").astype(np.int64).item() / 1e9
    return time.item() if isinstance(time, np.generic) else time


def _prepared(
    preparation: Preparation, times_s: list[float] | None, table: FloatArray
) -> PreparedReadings:
    stream = preparation.stream()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedReadingsWarning)
        found = preparation.pushed(stream, times_s, table)
    if stream.counts["clipped"]:
        warnings.warn(
            f"prepare: expected values within the limits of the preparation, got "
            f"{stream.counts['clipped']} beyond them. They were clipped.",
            ClippedReadingsWarning,
            stacklevel=3,
        )
    x = np.array([one.x for one in found], dtype=np.float64)
    return PreparedReadings(
        times_s=np.array([one.time_s for one in found], dtype=np.float64),
        x=x.reshape(len(found), len(preparation.channels)),
        begins=(0, *(i for i, one in enumerate(found) if one.reset and i)),
        names=preparation.channels,
        counts=dict(stream.counts),
    )
