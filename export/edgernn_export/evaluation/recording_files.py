"""Recordings from files and tables: readings, targets, groups and times side by side."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.errors import EdgeRnnError
from edgernn.model.formats import FloatArray
from edgernn.records.columns import listed
from edgernn.records.opening import TableOptions
from edgernn.records.text_files import open_text
from edgernn_export.calibration.files import (
    ReadingTable,
    holds_arrays,
    load_arrays,
    load_rows,
    load_streams,
)
from edgernn_export.calibration.frames import without_frames
from edgernn_export.evaluation.recording import (
    IntArray,
    Recording,
    Targets,
    from_arrays,
    target_array,
)

_DEFAULT: Final = TableOptions()


def from_file(
    path: Path,
    inputs: Sequence[str],
    target: Sequence[str] | None = None,
    group: str | None = None,
    time: str | None = None,
    *,
    options: TableOptions = _DEFAULT,
    on_missing: str = "raise",
) -> Recording:
    """A recording from a file; missing readings are NaN.

    CSV and JSON lines are tables with a column (a key) for each channel and whatever else is named.
    A file of numpy.save holds readings [T, I] or [B, T, I], one of numpy.savez one or more such
    arrays, or readings named "x" and targets named "y".

    Args:
        path: the file.
        inputs: channel names I.
        target: columns of the targets.
        group: a column; each of its values is a separate stream.
        time: a column that says when a reading was taken.
        options: how a table is to be read.
        on_missing: "raise" refuses lines with missing readings.

    Raises:
        EdgeRnnError: another kind of file, columns that it has not, or no readings.
        ReadingError: a line is bad.
        OSError: the file cannot be read.
    """
    columns = list(dict.fromkeys([*(target or ()), *(n for n in (group, time) if n is not None)]))
    if not holds_arrays(path):
        if group is not None:  # it tells sensors apart
            options = replace(options, one_stream=True)
        table = load_rows(path, inputs, columns, options, on_missing)
        cells = {name: _column(table, name, columns, path.name) for name in columns}
        return from_table(
            table.x, cells, target, group, time, places=table.lines, place="line", name=path.name
        )
    if columns:
        raise EdgeRnnError(
            f"evaluate data: expected a table with the columns {listed(columns)}, got arrays "
            f"('{path.name}'). Pass CSV or JSON lines, or pass the targets for arrays with "
            "--labels."
        )
    arrays = dict(load_arrays(path))
    if set(arrays) == {"x", "y"}:
        return from_arrays(arrays["x"], arrays["y"], len(inputs))
    streams = load_streams(path, inputs)
    many = len(arrays) == 1 and len(streams) > 1
    return from_arrays(np.stack(streams) if many else streams, None, len(inputs))


def _column(table: ReadingTable, name: str, columns: Sequence[str], file: str) -> list[object]:
    """The cells of a column given by name or position."""
    keys = list(table.columns)
    if name in table.columns:
        found = table.columns[name]
    elif name.isdecimal() and int(name) in table.columns:
        found = table.columns[int(name)]
    else:  # by position in a table with names
        found = table.columns[keys[columns.index(name)]] if len(keys) == len(columns) else []
    if all(cell is None for cell in found):
        raise EdgeRnnError(
            f"{file}: expected a column '{name:.60}', got none with a value. Name another column."
        )
    return found


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
            f"evaluate data: expected the columns {', '.join(wanted)}, got none named "
            f"{', '.join(missing)}. Rename the columns in the table."
        )
    readings = np.ascontiguousarray(without_frames(frame, list(inputs), "evaluate data"))
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
    """Targets from a separate file: one NumPy array, or CSV with one target per line.

    Raises:
        EdgeRnnError: several arrays, or rows of several lengths.
        OSError: the file cannot be read.
    """
    if holds_arrays(path):
        arrays = load_arrays(path)
        if len(arrays) != 1:
            raise EdgeRnnError(
                f"evaluate labels: expected one array in '{path.name}', got "
                f"{listed([name for name, _ in arrays]) or 'none'}."
            )
        return target_array(arrays[0][1])
    with open_text(str(path)) as source:
        lines = [line.strip() for line in source.lines() if line.strip()]
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    if len(rows) > 1 and not any(map(_is_number, rows[0])) and all(map(_is_number, rows[1])):
        rows = rows[1:]
    if len({len(row) for row in rows}) != 1:
        raise EdgeRnnError(
            "evaluate labels: expected rows of equal length, got different lengths "
            f"('{path.name}')."
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
    if not any("." in text for text in texts):  # a decimal comma
        points = [text.replace(",", ".") for text in texts]
        texts = points if all(map(_is_number, filter(None, points))) else texts
    if all(map(_is_number, filter(None, texts))):
        return np.array([float(text) if text else np.nan for text in texts])
    return target_array(texts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
