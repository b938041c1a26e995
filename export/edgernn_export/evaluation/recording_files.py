"""Recordings from files and tables: readings, targets, groups and times side by side."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.errors import EdgeRnnError, ReadingError
from edgernn.formats import FloatArray
from edgernn_export.evaluation.recording import (
    IntArray,
    Recording,
    Targets,
    check_finite,
    from_arrays,
    target_array,
)
from edgernn_export.stream_files import load_arrays, load_streams

_TABLES: Final = (".csv", ".jsonl")


def from_file(
    path: Path,
    inputs: Sequence[str],
    target: Sequence[str] | None = None,
    group: str | None = None,
    time: str | None = None,
) -> Recording:
    """A recording from a file.

    A .csv or .jsonl file is a table with a column (a key) for each channel and whatever else is
    named. A .npy file holds readings [T, I] or [B, T, I], an .npz file one or more such arrays, or
    readings named "x" and targets named "y".

    Args:
        path: the file.
        inputs: channel names I.
        target: columns of the targets.
        group: a column; each of its values is a stream of its own.
        time: a column that says when a reading was taken.

    Raises:
        EdgeRnnError: another kind of file, columns that it has not, or no readings.
        ReadingError: a reading is not a finite number.
        OSError: the file cannot be read.
    """
    columns = [*(target or ()), *(name for name in (group, time) if name is not None)]
    if path.suffix.lower() in _TABLES:
        (readings,) = load_streams(path, inputs)
        cells, lines = _cells(path, columns)
        return from_table(
            readings, cells, target, group, time, places=lines, place="line", name=path.name
        )
    if columns:
        raise EdgeRnnError(
            f"evaluate data: expected a table with the columns {', '.join(columns)}, got "
            f"'{path.name}'. Give a .csv or .jsonl file, or the targets of arrays with --labels."
        )
    if path.suffix.lower() == ".npz":
        arrays = dict(load_arrays(path))
        if set(arrays) == {"x", "y"}:
            return from_arrays(arrays["x"], arrays["y"], len(inputs))
    streams = load_streams(path, inputs)
    many = path.suffix.lower() == ".npy" and len(streams) > 1
    data = np.stack(streams) if many else streams
    return from_arrays(data, None, len(inputs))


def from_frame(
    frame: Any,
    inputs: Sequence[str],
    target: Sequence[str] | None = None,
    group: str | None = None,
    time: str | None = None,
) -> Recording:
    """A recording from a pandas DataFrame; the arguments are those of `from_file`."""
    wanted = [*inputs, *(target or ()), *(name for name in (group, time) if name is not None)]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise EdgeRnnError(
            f"evaluate data: expected the columns {', '.join(wanted)}, got none called "
            f"{', '.join(missing)}. Rename them in the table."
        )
    readings = np.ascontiguousarray(frame[list(inputs)].to_numpy(dtype=np.float64))
    cells = {name: [str(v) for v in frame[name]] for name in (group, time) if name is not None}
    columns: dict[str, Any] = {name: frame[name].to_numpy() for name in target or ()}
    return from_table(
        readings, cells | columns, target, group, time,
        places=np.arange(len(readings)), place="row", name="table",
    )  # fmt: skip


def from_table(
    readings: FloatArray,
    cells: Mapping[str, Sequence[Any]],
    target: Sequence[str] | None,
    group: str | None,
    time: str | None,
    *,
    places: IntArray,
    place: str,
    name: str,
) -> Recording:
    """A recording from columns of one table."""
    if not len(readings):
        raise EdgeRnnError(f"evaluate data: expected at least one reading, got none ({name}).")
    check_finite(readings, name)
    keys = [name] * len(readings) if group is None else list(cells[group])
    members: dict[Any, list[int]] = {}
    for row, key in enumerate(keys):
        members.setdefault(key, []).append(row)
    rows = [np.array(indices) for indices in members.values()]
    targets = None if target is None else _columns(cells, target)
    recording = Recording(
        streams=tuple(readings[r] for r in rows),
        names=tuple(f"{group} {key}" if group else str(key) for key in members),
        places=tuple(places[r] for r in rows),
        place=place,
        targets=None if targets is None else tuple(targets[r] for r in rows),
    )
    if time is None:
        return recording
    return replace(recording, times=tuple(tuple(str(cells[time][t]) for t in r) for r in rows))


def labels(path: Path) -> Targets:
    """Targets from a file of their own: .npy, an .npz of one array, or .csv.

    Raises:
        EdgeRnnError: another kind of file.
        OSError: the file cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        arrays = load_arrays(path)
        if len(arrays) != 1:
            names = ", ".join(name for name, _ in arrays)
            raise EdgeRnnError(
                f"evaluate labels: expected one array in '{path.name}', got {names or 'none'}."
            )
        return target_array(arrays[0][1])
    if suffix != ".csv":
        raise EdgeRnnError(
            f"evaluate labels: expected a .npy, .npz or .csv file, got '{path.name}'."
        )
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    if len(rows) > 1 and not any(map(_is_number, rows[0])) and all(map(_is_number, rows[1])):
        rows = rows[1:]
    if len({len(row) for row in rows}) != 1:
        raise EdgeRnnError(
            f"evaluate labels: expected rows of one length, got others ('{path.name}')."
        )
    values = _values([cell for row in rows for cell in row]).reshape(len(rows), -1)
    return values[:, 0] if values.shape[1] == 1 else values


def _columns(cells: Mapping[str, Sequence[Any]], names: Sequence[str]) -> Targets:
    columns = [_values(cells[name]) for name in names]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def _values(cells: Sequence[Any]) -> Targets:
    """Numbers, NaN for empty cells, where all cells hold one; else text."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "biuf":
        return target_array(cells)
    texts = ["" if cell is None else str(cell).strip() for cell in cells]
    if all(not text or _is_number(text) for text in texts):
        return np.array([float(text) if text else np.nan for text in texts])
    return target_array(texts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _cells(path: Path, columns: Sequence[str]) -> tuple[dict[str, list[Any]], IntArray]:
    """Some columns of a table as they are, and the line of each reading."""
    json_lines = path.suffix.lower() == ".jsonl"
    found: dict[str, list[Any]] = {name: [] for name in columns}
    lines: list[int] = []
    header: list[str] | None = None
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            if json_lines:
                record = json.loads(line) if columns else {}
                cells = record if isinstance(record, dict) else {}
            else:
                row = [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True))]
                if header is None:
                    header = row
                    _require(columns, header, path)
                    if not all(map(_is_number, filter(None, row))):
                        continue
                cells = dict(zip(header, row, strict=False))
            missing = [name for name in columns if name not in cells]
            if missing:
                raise ReadingError(
                    f"{path.name}, line {number}: expected the columns {', '.join(columns)}, got "
                    f"none called {', '.join(missing)}."
                )
            for name in columns:
                found[name].append(cells[name])
            lines.append(number)
    return found, np.array(lines, dtype=np.int64)


def _require(columns: Sequence[str], header: Sequence[str], path: Path) -> None:
    missing = [name for name in columns if name not in header]
    if missing:
        raise EdgeRnnError(
            f"{path.name}: expected a header with the columns {', '.join(columns)}, got none "
            f"called {', '.join(missing)}. It has: {', '.join(header):.200}"
        )
