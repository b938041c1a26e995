"""Delimiter and decimal mark of a table: given, or told by its lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Delimiters by the name that a shell leaves alone.
DELIMITERS: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "space": " ", "pipe": "|"}
#: Where two split lines equally well the first is taken: none of the first three is in a number.
_CANDIDATES: Final = (";", "\t", "|", ",", " ")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_THOUSANDS: Final = re.compile(r"[+-]?\d{1,3},\d{3}")
_DECIMAL_POINT: Final = re.compile(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(slots=True, kw_only=True)
class Dialect:
    """How cells are split and numbers written.

    Attributes:
        delimiter: one character; a blank stands for any run of them.
        decimal: "." or ","; None until a number with a mark has been read.
    """

    delimiter: str
    decimal: str | None

    def split(self, line: str) -> list[str]:
        """The cells of a line.

        Raises:
            csv.Error: the line breaks the rules of quoting, or a quoted cell goes on in the next.
        """
        text = line.rstrip("\r\n")
        if self.delimiter == " ":
            text = text.strip()
        # A second line is looked at where a quote of the first is open.
        rows = csv.reader([f"{text}\n", ""], delimiter=self.delimiter, skipinitialspace=True)
        cells = next(rows, [])
        if rows.line_num > 1:
            raise csv.Error("an unclosed quote at the end of the line")
        return [cell.strip() for cell in cells]

    def number(self, cell: str) -> float:
        """The number in a cell; the first one with a mark settles the decimal mark.

        Raises:
            ValueError: not a number in this dialect.
        """
        mark = self.decimal or _mark(cell, self.delimiter)
        value = _value(cell, mark or ".")
        self.decimal = mark
        return value

    def is_number(self, cell: str) -> bool:
        """Whether `number` would read the cell; settles nothing."""
        try:
            _value(cell, self.decimal or _mark(cell, self.delimiter) or ".")
        except ValueError:
            return False
        return True


def _value(cell: str, mark: str) -> float:
    if "_" in cell:  # float() groups digits by it
        raise ValueError("digits grouped by '_'")
    if mark == ",":
        if "." in cell:
            raise ValueError("a point although the decimal mark is a comma")
        cell = cell.replace(",", ".")
    return float(cell)


def _mark(cell: str, delimiter: str) -> str | None:
    """The decimal mark that a cell shows.

    If cells are separated by semicolons, a comma is the decimal mark. Elsewhere three
    digits behind it may as well be thousands, which only the user can tell.
    """
    if delimiter != "," and _DECIMAL_COMMA.fullmatch(cell):
        return "," if delimiter == ";" or not _THOUSANDS.fullmatch(cell) else None
    return "." if _DECIMAL_POINT.fullmatch(cell) else None


def told(
    lines: Sequence[str],
    names: Sequence[str] = (),
    delimiter: str | None = None,
    decimal: str | None = None,
) -> Dialect:
    """The dialect of a table by its first lines.

    Args:
        lines: at least the first line.
        names: columns that a header would have.
        delimiter: where it is known.
        decimal: where it is known.
    """
    lines = [line for line in lines if line.strip()]
    if lines and delimiter is None and (said := said_by_spreadsheet(lines[0])):
        delimiter, lines = said, lines[1:]
    if delimiter is None:
        scores = {d: _score(lines, d, names, decimal) for d in _CANDIDATES if d != decimal}
        best = max(scores, key=scores.__getitem__)
        delimiter = best if scores[best] > (False, -1.0) else ";" if decimal == "," else ","
    if decimal is None:
        decimal = "." if delimiter == "," else _common_mark(lines, delimiter)
    return Dialect(delimiter=delimiter, decimal=decimal)


def said_by_spreadsheet(line: str) -> str | None:
    """The delimiter of a first line such as ``sep=;``."""
    text = line.strip("\r\n\ufeff ")
    return text[4] if len(text) == 5 and text.lower().startswith("sep=") else None


def _score(
    lines: Sequence[str], delimiter: str, names: Sequence[str], decimal: str | None
) -> tuple[bool, float]:
    """How well a delimiter splits lines: into the wanted names, into numbers, into equal rows."""
    dialect = Dialect(delimiter=delimiter, decimal="." if delimiter == "," else decimal)
    try:
        rows = [dialect.split(line) for line in lines]
    except csv.Error:
        return False, -1.0
    widths = [len(row) for row in rows]
    if max(widths, default=0) < 2:
        return False, -1.0
    named = bool(names) and set(names) <= set(rows[0])

    def is_number(cell: str) -> bool:
        commas = dialect.decimal is None and _DECIMAL_COMMA.fullmatch(cell)  # or thousands
        return bool(commas) or dialect.is_number(cell)

    shares = [sum(map(is_number, row)) / len(row) if len(row) > 1 else 0.0 for row in rows]
    evenness = max(map(widths.count, widths)) / len(widths)
    share = round(sum(shares) / len(rows) * evenness, 6)
    if delimiter == " " and not named and not share:
        return False, -1.0  # words
    return named, share


def _common_mark(lines: Sequence[str], delimiter: str) -> str | None:
    dialect = Dialect(delimiter=delimiter, decimal=None)
    try:
        marks = [_mark(cell, delimiter) for line in lines for cell in dialect.split(line)]
    except csv.Error:
        return None
    commas, points = marks.count(","), marks.count(".")
    if commas == points:
        return None
    return "," if commas > points else "."
