"""Why no line of a table is a reading: the likely reason, and the option that cures it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import product
from typing import Final

from edgernn.records.columns import Picker, listed
from edgernn.records.dialect import Dialect
from edgernn.records.options import DELIMITERS

_NAMES: Final = {mark: name for name, mark in DELIMITERS.items()}


def table_advice(
    lines: Sequence[str], dialect: Dialect, picker: Picker, header: Sequence[str] | None
) -> str:
    """One sentence about lines that should be rows; "" where nothing explains them."""
    text = "".join(lines)
    if "\x00" in text:
        return "The text has zero bytes: is it UTF-16? Say so with --encoding utf-16"
    if all(line.lstrip()[:1] in ("[", "{") for line in lines):
        return "The lines look like JSON: read them with --input-format jsonl"
    found = _other_dialect(lines, dialect, picker)
    if found:
        return found
    if header is None and (columns := _numeric_columns(lines, dialect)):
        wanted = len(picker.inputs)
        if len(columns) == wanted:
            places = ",".join(str(column + 1) for column in columns)
            return f"The numbers are in other columns: pick them with --columns {places}"
        if len(columns) > wanted:
            return (
                f"There are {len(columns)} columns of numbers; the model reads {wanted} "
                f"({listed(picker.inputs)}): pick them with --columns"
            )
    if "\ufffd" in text:
        return "The text is not UTF-8: name its encoding, as --encoding cp1252"
    return ""


def _other_dialect(lines: Sequence[str], dialect: Dialect, picker: Picker) -> str:
    """Another delimiter or decimal mark by which every line is a reading."""
    wanted = len(picker.inputs)
    for delimiter, decimal in product(DELIMITERS.values(), ".,"):
        if delimiter == decimal or (delimiter, decimal) == (dialect.delimiter, dialect.decimal):
            continue
        columns = _numeric_columns(lines, Dialect(delimiter=delimiter, decimal=decimal))
        if len(columns) == wanted and not (wanted == 1 and delimiter not in "".join(lines)):
            options = "" if delimiter == dialect.delimiter else f" --delimiter {_NAMES[delimiter]}"
            if decimal != dialect.decimal:
                options += f" --decimal {decimal}"
            return f"The lines are readings if they are read with{options}"
    if wanted == 1 and _numeric_columns(lines, Dialect(delimiter=";", decimal=",")) == [0]:
        return "The lines are readings if their commas are decimal marks: --decimal ,"
    return ""


def _numeric_columns(lines: Sequence[str], dialect: Dialect) -> list[int]:
    """The columns that hold numbers in all of these lines, noise among them left aside."""
    try:
        rows = [dialect.split(line) for line in lines]
    except csv.Error:
        return []
    widths = [len(row) for row in rows]
    width = max(widths, key=widths.count)
    alike = [row for row in rows if len(row) == width]
    if 2 * len(alike) <= len(rows):
        return []
    return [index for index in range(width) if all(dialect.is_number(row[index]) for row in alike)]
