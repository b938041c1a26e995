"""Streams of real readings from files: .npy, .npz, .csv, .jsonl."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.cli.records import CsvRecords, JsonRecords, Records
from edgernn.errors import EdgeRnnError, ReadingError
from edgernn.formats import FloatArray

SUFFIXES: Final = (".npy", ".npz", ".csv", ".jsonl")


def load_streams(path: Path, input_names: Sequence[str]) -> list[FloatArray]:
    """All streams of a file, each float64 [T, I].

    A .npy file holds one array [T, I] or [B, T, I] ([T] where I = 1); a .npz file one or more of
    them, taken in the order of their names. CSV and JSON lines hold one stream; columns and keys
    are picked by the channel names.

    Args:
        path: the file.
        input_names: channel names I.

    Raises:
        EdgeRnnError: another kind of file, or not the expected arrays.
        ReadingError: a line is malformed; the message names it.
        OSError: the file cannot be read.
    """
    if path.suffix in (".npy", ".npz"):
        arrays = _arrays(path)
        if not arrays:
            raise EdgeRnnError(f"streams: expected at least one array, got none ({path.name}).")
        return [
            stream
            for name, array in arrays
            for stream in _split(f"{path.name}{name and f' {name}'}", array, len(input_names))
        ]
    if path.suffix == ".csv":
        return [_lines(path, CsvRecords(input_names, (), codes=False), len(input_names))]
    if path.suffix == ".jsonl":
        return [_lines(path, JsonRecords(input_names, ()), len(input_names))]
    raise EdgeRnnError(
        f"streams: expected a file ending in {', '.join(SUFFIXES)}, got '{path.name}'."
    )


def _arrays(path: Path) -> list[tuple[str, Any]]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if path.suffix == ".npy":
            return [("", loaded)]
        with loaded as archive:
            return [(name, archive[name]) for name in sorted(archive.files)]
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
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
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = records.parse(line)
            except EdgeRnnError as error:
                raise type(error)(f"{path.name}, line {number}: {error}") from error
            if row is None:
                continue
            if len(row) != width:
                raise ReadingError(
                    f"{path.name}, line {number}: expected {width} values, got {len(row)}. "
                    f"Give the columns a header with the names {', '.join(records.inputs)}."
                )
            rows.append(row)
    return np.array(rows, dtype=np.float64).reshape(-1, width)
