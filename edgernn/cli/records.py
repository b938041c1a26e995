"""Readings as lines of text: CSV and JSON lines, in and out in the same form."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from typing import Final, Protocol

from edgernn.errors import EdgeRnnError, ReadingError

Number = int | float


class Records(Protocol):
    """One text format; an instance sees every line of one stream in order."""

    inputs: tuple[str, ...]

    def parse(self, line: str) -> list[Number] | None:
        """A reading, or None where the line carries none.

        Raises:
            ReadingError: the line is malformed.
            EdgeRnnError: the stream cannot be used at all.
        """
        ...

    def header(self) -> str | None:
        """The line to write for a line that carried no reading."""
        ...

    def format(self, y: Sequence[Number]) -> str:
        """The output that answers the reading parsed last, without a line end."""
        ...


def _number(text: str, column: int, codes: bool) -> Number:
    stripped = text.strip()
    if not stripped and not codes:
        return math.nan  # an empty cell is a missing value, which is a bad reading
    try:
        if "_" in stripped:
            raise ValueError("digits grouped by '_'")
        return int(stripped) if codes else float(stripped)
    except ValueError:
        wanted = "an integer" if codes else "a number"
        raise ReadingError(
            f"expected {wanted}, got {stripped!r:.40} (column {column + 1})"
        ) from None


class CsvRecords:
    """Comma-separated values; a first line with text and without any number is a header.

    Args:
        inputs: channel names; columns are picked by them where a header has them all, and taken
            in their order where it has none of them.
        outputs: output names, written as a header where the input has one.
        codes: numbers are integer codes.
    """

    def __init__(self, inputs: Sequence[str], outputs: Sequence[str], codes: bool) -> None:
        self.inputs, self._outputs, self._codes = tuple(inputs), tuple(outputs), codes
        self._columns: tuple[int, ...] | None = None
        self._width = 0
        self._first = True

    def parse(self, line: str) -> list[Number] | None:
        """See `Records.parse`."""
        try:
            cells = next(csv.reader([line], skipinitialspace=True))
        except csv.Error as error:
            raise ReadingError(f"expected comma-separated values, got {error}") from None
        first, self._first = self._first, False
        if first and _is_header(cells):
            self._columns, self._width = self._pick([cell.strip() for cell in cells]), len(cells)
            return None
        columns = range(len(cells)) if self._columns is None else self._columns
        if self._columns is not None and len(cells) != self._width:
            raise ReadingError(f"expected {self._width} columns as in the header, got {len(cells)}")
        return [_number(cells[column], column, self._codes) for column in columns]

    def _pick(self, header: list[str]) -> tuple[int, ...]:
        repeated = [name for name in self.inputs if header.count(name) > 1]
        if repeated:
            raise EdgeRnnError(
                f"expected a header with one column per name, got {', '.join(repeated)} "
                "more than once. Rename the other columns."
            )
        missing = [name for name in self.inputs if name not in header]
        if not missing:
            return tuple(header.index(name) for name in self.inputs)
        # Only names of which none is the model's say nothing about the order of the columns.
        if len(missing) == len(self.inputs) == len(header):
            return tuple(range(len(header)))
        raise EdgeRnnError(
            f"expected a header with the columns {', '.join(self.inputs)}, "
            f"got one without {', '.join(missing)}. Rename the columns, or remove the others."
        )

    def header(self) -> str | None:
        """See `Records.header`."""
        return _csv_line(self._outputs)

    def format(self, y: Sequence[Number]) -> str:
        """See `Records.format`."""
        return _csv_line([repr(value) for value in y])


def _is_header(cells: list[str]) -> bool:
    return any(map(str.strip, cells)) and not any(map(_is_number, cells))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _csv_line(cells: Sequence[str]) -> str:
    quoted = [
        '"' + c.replace('"', '""') + '"' if any(s in c for s in ',"\n\r') else c for c in cells
    ]
    return ",".join(quoted)


class JsonRecords:
    """One JSON value per line: a list, an object keyed by channel names, or a number.

    Outputs come back in the form of the reading they answer; a number that is not finite is null.

    Args:
        inputs: channel names.
        outputs: output names.
    """

    def __init__(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.inputs, self._outputs = tuple(inputs), tuple(outputs)
        self._form: type = list

    def parse(self, line: str) -> list[Number] | None:
        """See `Records.parse`."""
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ReadingError(
                f"expected a JSON value, got {line.strip()!r:.40} ({error})"
            ) from None
        self._form = type(value)
        if isinstance(value, dict):
            missing = [name for name in self.inputs if name not in value]
            if missing:
                raise ReadingError(
                    f"expected the keys {', '.join(self.inputs)}, "
                    f"got an object without {', '.join(missing)}"
                )
            value = [value[name] for name in self.inputs]
        cells = value if isinstance(value, list) else [value]
        for cell in cells:
            if isinstance(cell, bool) or not isinstance(cell, (int, float, type(None))):
                raise ReadingError(f"expected numbers, got {json.dumps(cell):.40}")
        return [math.nan if cell is None else cell for cell in cells]

    def header(self) -> str | None:
        """JSON lines have no header."""
        return None

    def format(self, y: Sequence[Number]) -> str:
        """See `Records.format`."""
        values = [value if math.isfinite(value) else None for value in y]
        if self._form is dict:
            return json.dumps(dict(zip(self._outputs, values, strict=True)))
        if self._form is not list and len(values) == 1:
            return json.dumps(values[0])
        return json.dumps(values)


#: Formats by name; "auto" looks at the file name, then at the first line.
FORMATS: Final = ("csv", "jsonl")
_SUFFIXES: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def guess_format(suffix: str, first_line: str) -> str:
    """The format of a file with this suffix ("" for a pipe) and this first line."""
    if suffix.lower() in _SUFFIXES:
        return _SUFFIXES[suffix.lower()]
    return "jsonl" if first_line.lstrip()[:1] in ("[", "{") else "csv"
