"""Streams of real readings from files: .npy, .npz, .csv, .jsonl."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.cli.records import CsvRecords, JsonRecords, Records
from edgernn.errors import EdgeRnnError, ReadingError
from edgernn.formats import FloatArray

SUFFIXES: Final = (".npy", ".npz", ".csv", ".jsonl")
#: What NumPy raises on files it cannot make sense of; MemoryError where a header promises too much.
_DAMAGED: Final = (
    ValueError,
    EOFError,
    AttributeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)


def require_streams(path: Path) -> None:
    """Refuse a path that holds no streams, before anything slow is done.

    Raises:
        EdgeRnnError: there is nothing at the path, a directory, or another kind of file.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise EdgeRnnError(
            f"streams: expected a file ending in {', '.join(SUFFIXES)}, got '{path.name}'."
        )
    if path.is_dir() or not path.exists():
        got = "a directory" if path.is_dir() else "nothing at this path"
        raise EdgeRnnError(f"streams: expected a file, got {got}: '{path}'.")


def load_streams(path: Path, input_names: Sequence[str]) -> list[FloatArray]:
    """All streams of a file, each float64 [T, I].

    A .npy file holds one array [T, I] or [B, T, I] ([T] where I = 1); a .npz file one or more of
    them, taken in the order of their names. CSV and JSON lines hold one stream; columns and keys
    are picked by the channel names.

    Args:
        path: the file.
        input_names: channel names I.

    Raises:
        EdgeRnnError: nothing there, another kind of file, or not the expected arrays.
        ReadingError: a line is malformed; the message names it.
        OSError: the file cannot be read.
    """
    require_streams(path)
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        streams = [
            stream
            for name, array in _arrays(path)
            for stream in _split(f"{path.name}{name and f' {name}'}", array, len(input_names))
        ]
        if not streams:
            raise EdgeRnnError(f"streams: expected at least one stream, got none ({path.name}).")
        return streams
    if suffix == ".csv":
        return [_lines(path, CsvRecords(input_names, (), codes=False), len(input_names))]
    return [_lines(path, JsonRecords(input_names, ()), len(input_names))]


def _arrays(path: Path) -> list[tuple[str, Any]]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return [("", loaded)]
        with loaded as archive:
            return [(name, archive[name]) for name in sorted(archive.files)]
    except _DAMAGED as error:
        raise EdgeRnnError(
            f"streams: expected arrays of numbers in '{path.name}', got {error!s:.120}. "
            "Write it with numpy.save or numpy.savez."
        ) from error


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


def _lines(path: Path, records: Records, width: int) -> FloatArray:
    rows: list[Any] = []
    # A byte that is not UTF-8 becomes U+FFFD, which parsing refuses wherever it matters.
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                cells = records.parse(line)
                row = None if cells is None else [float(cell) for cell in cells]
            except EdgeRnnError as error:
                raise type(error)(f"{path.name}, line {number}: {error}") from error
            except OverflowError as error:
                raise ReadingError(
                    f"{path.name}, line {number}: expected numbers, got {error}."
                ) from error
            if row is None:
                continue
            if len(row) != width:
                raise ReadingError(
                    f"{path.name}, line {number}: expected {width} values, got {len(row)}. "
                    f"Give the columns a header with the names {', '.join(records.inputs)}."
                )
            rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(-1, width)
