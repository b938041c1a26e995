"""Why no line of a table is a reading: the likely reason, and the option that fixes it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import product
from typing import Final

from edgernn.records.columns import NOT_UTF8, REPLACED, Picker, listed
from edgernn.records.dialect import DELIMITERS, Dialect, told

_NAMES: Final = {mark: name for name, mark in DELIMITERS.items()}


def table_advice(
    lines: Sequence[str], dialect: Dialect, picker: Picker, header: Sequence[str] | None
) -> str:
    """One sentence about lines that should be rows; "" where nothing explains them."""
    text = "".join(lines)
    if text[1:6] == "NUMPY" or text.startswith("PK\x03\x04"):
        return (
            "The file contains NumPy arrays. Write the readings as a table with "
            "numpy.savetxt('readings.csv', readings, delimiter=',')"
        )
    if "\x00" in text:
        return "The text has zero bytes. If it is UTF-16, pass --encoding utf-16"
    if all(line.lstrip()[:1] in ("[", "{") for line in lines):
        return (
            "The lines look like JSON. Rename the file to end in .jsonl, or pass --input-format "
            "jsonl to edgernn run"
        )
    found = _other_dialect(lines, dialect, picker)
    if found:
        return found
    columns, width = _numeric_columns(lines, dialect)
    if header is None and width != len(picker.inputs):
        wanted = len(picker.inputs)
        if len(columns) == wanted:
            places = ",".join(str(column + 1) for column in columns)
            return f"The numbers are in other columns. Pass --columns {places}"
        if len(columns) > wanted:
            return (
                f"There are {len(columns)} columns of numbers; the model reads {wanted} "
                f"({listed(picker.inputs)}). Select the columns with --columns"
            )
    if REPLACED in text:
        return NOT_UTF8
    return ""


def _other_dialect(lines: Sequence[str], dialect: Dialect, picker: Picker) -> str:
    """Another delimiter or decimal mark by which every line is a reading."""
    wanted = len(picker.inputs)
    best, best_share = None, 0.0
    for delimiter, decimal in product(DELIMITERS.values(), ".,"):
        other = Dialect(delimiter=delimiter, decimal=decimal)
        if delimiter == decimal or other == dialect or delimiter not in "".join(lines):
            continue
        columns, width = _numeric_columns(lines, other)
        if len(columns) == wanted and wanted / width > best_share:
            best, best_share = other, wanted / width
    if best is None:
        if wanted == 1 and _numeric_columns(lines, Dialect(delimiter=";", decimal=","))[0] == [0]:
            return "The lines are valid readings if commas are decimal marks. Pass --decimal ,"
        return ""
    options = ""
    if best.delimiter != dialect.delimiter:
        options += f" --delimiter {_NAMES[best.delimiter]}"
    known = dialect.decimal or told(lines, delimiter=best.delimiter).decimal or "."
    if best.decimal != known:
        options += f" --decimal {best.decimal}"
    return f"The lines are valid readings with other settings. Pass{options}"


def _numeric_columns(lines: Sequence[str], dialect: Dialect) -> tuple[list[int], int]:
    """The columns that hold numbers in all lines, noise among them left aside; the width."""
    try:
        rows = [dialect.split(line) for line in lines]
    except csv.Error:
        return [], 1
    widths = [len(row) for row in rows]
    width = max(widths, key=widths.count)
    alike = [row for row in rows if len(row) == width]
    if 2 * len(alike) <= len(rows):
        return [], 1
    return [
        index for index in range(width) if all(_is_finite(row[index], dialect) for row in alike)
    ], width


def _is_finite(cell: str, dialect: Dialect) -> bool:
    return dialect.is_number(cell) and any(map(str.isdigit, cell))
