"""Streams of real readings from files: arrays, tables of text, JSON lines, plain or compressed."""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgeRnnError, ReadingError, TableWarning
from edgernn.model.formats import FloatArray
from edgernn.model.interface import Port
from edgernn.records.csv_records import CsvReader
from edgernn.records.opening import TableOptions, open_reader
from edgernn.records.record import Reader
from edgernn.records.text_files import (
    SAMPLE_LINES,
    TextSource,
    damage_named,
    decompressed,
    open_text,
)
from edgernn.session.policies import Policy
from edgernn_export.calibration.frames import by_name
from edgernn_export.calibration.streams import missing_policy, without_missing

#: What NumPy raises on files it cannot make sense of; MemoryError where a header promises too much.
_DAMAGED: Final = (
    ValueError,
    EOFError,
    AttributeError,
    KeyError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
_NPY_MAGIC: Final = b"\x93NUMPY"
_ZIP_MAGIC: Final = b"PK\x03\x04"
_EMPTY_ZIP_MAGIC: Final = b"PK\x05\x06"
#: Files that are neither arrays nor text, and how their content gets into one that is.
_STRANGERS: Final = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "Write the array with numpy.save"),
    (b"PAR1", "a Parquet file", "Write the table as CSV"),
    (b"ARROW1", "an Arrow file", "Write the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "Save the sheet as CSV"),
    (b"SQLite format 3", "an SQLite database", "Write the table as CSV"),
    (b"\x80\x04", "a pickle", "Write the array with numpy.save"),
    (b"\x80\x05", "a pickle", "Write the array with numpy.save"),
    (b"MATLAB 5.0", "a MATLAB file", "Write the array with numpy.save"),
)
_CURE: Final = "Fix the file, or pass --on-bad-reading hold or skip"
_DEFAULT: Final = TableOptions()


def load_streams(
    path: Path,
    input_names: Sequence[str],
    options: TableOptions = _DEFAULT,
    on_missing: str = "raise",
    ports: Sequence[Port] = (),
) -> list[FloatArray]:
    """All streams of a file, each float64 [T, I].

    The kind of a file is told by its content, under .gz and .xz as well. Arrays: a file of
    numpy.save holds one, [T, I] or [B, T, I] ([T] where I = 1), one of numpy.savez one or more,
    taken in the order of their names, or one for each of several inputs, by name. CSV and JSON
    lines hold one stream; columns and keys are picked by the channel names.

    Args:
        path: the file.
        input_names: channel names I.
        options: how a table is to be read.
        on_missing: what a reading without a finite number for each channel does: "raise", "hold"
            (the channel keeps its last value) or "skip" (the reading is left out). In arrays,
            "raise" leaves NaN where it is.
        ports: of several inputs, their names and widths.

    Raises:
        EdgeRnnError: another kind of file, or not the expected arrays.
        ReadingError: a line is bad and ``on_missing`` is "raise", or all lines are; the message
            names it.
        OSError: the file cannot be read.
    """
    policy = missing_policy(on_missing)
    if holds_arrays(path):
        streams = [
            without_missing(stream, policy)[0]
            for name, array in _joined(load_arrays(path), input_names, ports, path.name)
            for stream in _split(f"{path.name}{name and f' {name}'}", array, len(input_names))
        ]
        if not streams:
            raise EdgeRnnError(f"streams: expected at least one stream, got none ({path.name}).")
        return streams
    readings = load_table(path, input_names, (), options, on_missing).x
    if not len(readings):
        raise EdgeRnnError(f"streams: expected at least one reading, got none ({path.name}).")
    return [readings]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadingTable:
    """Readings from a text table, and the other columns.

    Attributes:
        x: float64 [T, I].
        columns: cells of other columns by name, by position from 1 where they have no names; T of
            each, as text from CSV, as JSON values from JSON lines.
        lines: line numbers from 1, int [T].
    """

    x: FloatArray
    columns: dict[str | int, list[object]]
    lines: npt.NDArray[np.int64]


def load_table(
    path: Path,
    input_names: Sequence[str],
    columns: Sequence[str] = (),
    options: TableOptions = _DEFAULT,
    on_missing: str = "raise",
) -> ReadingTable:
    """The readings of a table and other columns of it.

    Args:
        path: CSV or JSON lines, see `load_streams`.
        input_names: channel names I.
        columns: other columns, by name, by position from 1, or "all".
        options: how the table is to be read.
        on_missing: see `load_streams`.

    Raises:
        EdgeRnnError, ReadingError, OSError: as `load_streams`; there is no such column.
    """
    table = load_rows(path, input_names, columns, options, on_missing)
    x, kept = without_missing(table.x, missing_policy(on_missing))
    return ReadingTable(
        x=x,
        columns={
            name: [cell for cell, keep in zip(cells, kept, strict=True) if keep]
            for name, cells in table.columns.items()
        },
        lines=table.lines[kept],
    )


def load_rows(
    path: Path,
    input_names: Sequence[str],
    columns: Sequence[str] = (),
    options: TableOptions = _DEFAULT,
    on_missing: str = "raise",
) -> ReadingTable:
    """All rows of a table, as `load_table` but with NaN where a value is missing."""
    policy = missing_policy(on_missing)
    _refuse_strangers(path, _head(path))
    with open_text(str(path), options.encoding) as source:
        source.look()
        reader = open_reader(source, input_names, options, passed=columns)
        rows = _rows(path.name, source, reader, policy)
    names = dict.fromkeys(name for cells in rows.passed for name in cells)
    return ReadingTable(
        x=np.array(rows.values, dtype=np.float64).reshape(-1, len(input_names)),
        columns={name: [cells.get(name) for cells in rows.passed] for name in names},
        lines=np.array(rows.lines, dtype=np.int64),
    )


def load_groups(
    path: Path,
    input_names: Sequence[str],
    group: str,
    options: TableOptions = _DEFAULT,
    on_missing: str = "raise",
) -> list[FloatArray]:
    """The streams of a table whose lines say to which of them they belong, each float64 [T, I].

    Args:
        path: CSV or JSON lines, see `load_streams`.
        input_names: channel names I.
        group: column that separates streams, such as a device ID; lines of several streams may
            alternate.
        options: how the table is to be read.
        on_missing: see `load_streams`.

    Returns:
        The streams in the order in which they begin, those without any reading left out.

    Raises:
        EdgeRnnError, ReadingError, OSError: as `load_table`; no stream has a reading.
    """
    rows = load_rows(path, input_names, (group,), replace(options, one_stream=True), on_missing)
    places: dict[str, list[int]] = {}
    for place, name in enumerate(rows.columns.get(group, ())):
        places.setdefault(str(name), []).append(place)
    policy = missing_policy(on_missing)
    streams = [without_missing(rows.x[own], policy)[0] for own in places.values()]
    streams = [stream for stream in streams if len(stream)]
    if not streams:
        raise EdgeRnnError(f"streams: expected at least one reading, got none ({path.name}).")
    return streams


def header_names(
    path: Path, input_names: Sequence[str], options: TableOptions = _DEFAULT
) -> tuple[str, ...] | None:
    """Names of the columns that would feed the channels.

    Args:
        path: any file that `load_streams` reads.
        input_names: channel names I.
        options: how a table is to be read.

    Returns:
        I names from the header of a CSV file; None if the file has no header or is not CSV.

    Raises:
        EdgeRnnError: the header does not fit the channels.
        OSError: the file cannot be read.
    """
    if holds_arrays(path):
        return None
    _refuse_strangers(path, _head(path))
    with open_text(str(path), options.encoding) as source:
        source.look()
        reader = open_reader(source, input_names, options)
        if not isinstance(reader, CsvReader):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TableWarning)  # `load_streams` issues them
            for line in source.lines():
                if line.strip() and reader.read(line) is not None:
                    break
        return reader.column_names


def refuse_unreadable(*paths: Path) -> None:
    """Find out that a file cannot be opened before a framework has been imported for it.

    Raises:
        OSError: one of them cannot be.
    """
    for path in paths:
        if not path.is_dir():  # a SavedModel
            with path.open("rb"):
                pass


def _head(path: Path) -> bytes:
    """The first bytes of a file, decompressed."""
    with path.open("rb") as file, damage_named(path.name):
        head: bytes = decompressed(file).peek(128)
    return head


def holds_arrays(path: Path) -> bool:
    """Whether a file is one of numpy.save or numpy.savez, by its content.

    Raises:
        OSError: the file cannot be read.
    """
    return _head(path).startswith((_NPY_MAGIC, _ZIP_MAGIC, _EMPTY_ZIP_MAGIC))


def _unreadable(path: Path, error: Exception) -> EdgeRnnError:
    return EdgeRnnError(
        f"streams: expected arrays of numbers in '{path.name}', got {error!s:.120}. "
        "Write it with numpy.save or numpy.savez."
    )


def _refuse_strangers(path: Path, head: bytes) -> None:
    for magic, kind, cure in _STRANGERS:
        if head.startswith(magic):
            raise EdgeRnnError(
                f"streams: expected a NumPy array, a CSV file or JSON lines, got {kind} "
                f"('{path.name}'). {cure}."
            )
    inner = [suffix.lower() for suffix in path.suffixes]
    if ".npy" in inner or ".npz" in inner:
        raise _unreadable(path, ValueError("bytes in another format" if head else "an empty file"))


def load_arrays(path: Path) -> list[tuple[str, Any]]:
    """The arrays of a file of numpy.save or numpy.savez by name, in the order of their names.

    Raises:
        EdgeRnnError: the file is damaged, or holds something else than arrays.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file, damage_named(path.name):
        content = io.BytesIO(decompressed(file).read())
    try:
        loaded = np.load(content, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return [("", loaded)]
        with loaded as archive:
            others = [name for name in archive.zip.namelist() if not name.endswith(".npy")]
            if others:
                raise ValueError(f"an archive of other files, such as {others[0]!r:.40}")
            return [(name, archive[name]) for name in sorted(archive.files)]
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def _joined(
    arrays: list[tuple[str, Any]], names: Sequence[str], ports: Sequence[Port], owner: str
) -> list[tuple[str, Any]]:
    """Arrays of the inputs of a model as one array of all channels; others unchanged."""
    if not ports or {name for name, _ in arrays} != {port.name for port in ports}:
        return arrays
    return [("", by_name(dict(arrays), names, ports, owner))]


def _split(owner: str, array: Any, width: int) -> list[FloatArray]:
    if array.dtype.kind not in "biuf":
        raise EdgeRnnError(f"streams: expected real numbers, got {array.dtype.name} ({owner}).")
    if array.ndim == 1 and width == 1:
        array = array[:, None]
    if array.ndim not in (2, 3) or array.shape[-1] != width:
        raise EdgeRnnError(
            f"streams: expected [T, {width}] or [B, T, {width}], got {list(array.shape)} ({owner})."
        )
    wide = array.astype(np.float64)
    return [wide] if wide.ndim == 2 else list(wide)


@dataclass(frozen=True, slots=True)
class _TableRows:
    """All rows of a table, in little memory: values [T * I], NaN where a channel has none."""

    values: array[float] = field(default_factory=lambda: array("d"))
    lines: array[int] = field(default_factory=lambda: array("q"))
    passed: list[Mapping[str | int, object]] = field(default_factory=list)


def _rows(name: str, source: TextSource, reader: Reader, policy: Policy) -> _TableRows:
    rows = _TableRows()
    bad, first, examples = 0, "", list[str]()
    for number, line in enumerate(source.lines(), start=1):
        if not line.strip():
            continue
        try:
            record = reader.read(line)
        except EdgeRnnError as error:
            raise type(error)(f"{name}, line {number}: {error}") from error
        if record is None:
            continue
        rows.values.extend(record.x)
        rows.lines.append(number)
        rows.passed.append(record.passed)
        if record.problem is None:
            continue
        bad += 1
        first = first or f"{name}, line {number}: {record.problem}"
        if bad <= SAMPLE_LINES:
            examples.append(line)
        if policy is Policy.RAISE:
            cure = reader.advice(examples) if len(rows.lines) == 1 else ""
            raise ReadingError(f"{first}. {cure or _CURE}")
    if bad and bad == len(rows.lines):
        cure = reader.advice(examples)
        raise ReadingError(f"{first}; no line has a valid reading{cure and f'. {cure}'}")
    return rows
