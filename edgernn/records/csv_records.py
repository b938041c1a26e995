"""Tables of cells between delimiters."""

from __future__ import annotations

import csv
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from edgernn.errors import ReadingError, TableWarning
from edgernn.records.advice import table_advice
from edgernn.records.columns import Picker, listed, passed_columns
from edgernn.records.dialect import Dialect, said_by_spreadsheet
from edgernn.records.keys import KeyWatch
from edgernn.records.record import Form, Number, Record

_NONE: Final[Mapping[str | int, object]] = MappingProxyType({})
#: What stands for a missing value, and names no column.
_NOTHING: Final = frozenset(
    {"err", "error", "inf", "infinity", "n/a", "na", "nan", "none", "null", "timeout"}
)
#: What no name of a column has: control characters, and bytes that were no text.
_NO_NAME: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufffd]")


class CsvReader:
    """Rows of a table; a first line that names the columns is a header.

    Args:
        picker: columns of the channels.
        dialect: delimiter and decimal mark.
        tell: the dialect of a line, where the first one may have been noise.
        codes: numbers are integer codes.
        passed: columns that go through, see `passed_columns`.
        keys: watches columns that identify sensors; None where nobody cares.
        note: takes a sentence where columns are not called as the channels; a warning by default.
    """

    def __init__(
        self,
        picker: Picker,
        dialect: Dialect,
        *,
        tell: Callable[[str], Dialect] | None = None,
        codes: bool = False,
        passed: Sequence[str] = (),
        keys: KeyWatch | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        """Begin before the first line."""
        self._picker, self._dialect, self._codes, self._tell = picker, dialect, codes, tell
        self._wanted_passed, self._keys = tuple(passed), keys
        self._note = note or _note
        self.header: tuple[str, ...] | None = None
        self._columns: tuple[int, ...] | None = None
        self._passed: dict[str | int, int] = {}
        self._watched: dict[str, int] = {}
        self._width = 0
        self._begun = False

    @property
    def dialect(self) -> Dialect:
        """How cells are split and numbers written."""
        return self._dialect

    @property
    def column_names(self) -> tuple[str, ...] | None:
        """Names of the columns that feed the channels [I]; None without a header."""
        if self.header is None or self._columns is None:
            return None
        return tuple(self.header[index] for index in self._columns)

    def read(self, line: str) -> Record | None:
        """See `Reader.read`."""
        if not self._begun and said_by_spreadsheet(line):
            return None
        if not self._begun and self._tell:
            self._dialect = self._tell(line)
        try:
            cells = self._dialect.split(line)
        except csv.Error as error:
            return self._malformed(f"expected cells between delimiters, got {error}")
        if not self._begun:
            if self._is_header(cells):
                self._begin(cells)
                return None
            problem = self._begin_without_header(cells)
            if problem:
                return self._malformed(problem)
        if len(cells) != self._width:
            where = "header" if self.header else "first reading"
            return self._malformed(
                f"expected {self._width} columns as in the {where}, got {len(cells)}"
            )
        if self._keys and self._watched:
            self._keys.check({name: cells[index] for name, index in self._watched.items()})
        return self._record(cells)

    def _is_header(self, cells: list[str]) -> bool:
        """Names of the model's channels, or text that may be names."""
        if self._picker.touches(cells):
            return True
        if len(cells) < len(self._picker.inputs) or not any(cells):
            return False
        if any(map(self._dialect.is_number, cells)):
            return False
        return all(_may_be_a_name(cell) for cell in cells if cell)

    def _begin(self, header: list[str]) -> None:
        self._columns = self._picker.from_header(header, self._note)
        self.header = tuple(header)
        self._begin_width(len(header))
        fed = set(self._columns)
        names = {name: index for index, name in enumerate(header) if index not in fed}
        if self._keys:
            self._watched = {name: names[name] for name in self._keys.candidates(list(names))}

    def _begin_without_header(self, cells: list[str]) -> str:
        """Take the columns by position; what is wrong where that is not possible."""
        names = listed(self._picker.wanted)
        count = len(self._picker.inputs)
        values = f"{count} value{'s' * (count > 1)} ({names})"
        if any(cells) and not any(map(self._dialect.is_number, cells)):
            what = "an integer" if self._codes else "a number"
            wanted = what if len(cells) == count == 1 else f"a header or {values}"
            return f"expected {wanted}, got {self._dialect.delimiter.join(cells)!r:.60}"
        columns = self._picker.from_width(len(cells))
        if columns is None:
            wanted = f"columns {names}" if self._picker.said else values
            return f"expected {wanted}, got {len(cells)}"
        self._columns = columns
        self._begin_width(len(cells))
        return ""

    def _begin_width(self, width: int) -> None:
        self._width, self._begun = width, True
        self._passed = passed_columns(self._wanted_passed, self.header, width)

    def _record(self, cells: list[str]) -> Record:
        x: list[Number] = []
        problem = ""
        for index in self._columns or ():
            value = self._number(cells[index])
            if value is None:
                problem = problem or self._cell_problem(cells[index], index)
            x.append(math.nan if value is None else value)
        return Record(
            x=x,
            problem=ReadingError(problem) if problem else None,
            form=Form.LIST if self.header is None else Form.OBJECT,
            passed={name: cells[index] for name, index in self._passed.items()}
            if self._passed
            else _NONE,
        )

    def _number(self, cell: str) -> Number | None:
        """The finite number of a cell, None where it holds none."""
        try:
            if self._codes:
                return None if "_" in cell else int(cell)
            value = self._dialect.number(cell)
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    def _cell_problem(self, cell: str, index: int) -> str:
        wanted = "an integer" if self._codes else "a number"
        name = f" '{self.header[index]:.40}'" if self.header else ""
        got = f"{cell!r:.40}" if cell else "an empty cell"
        return f"expected {wanted}, got {got} (column {index + 1}{name})"

    def _malformed(self, problem: str) -> Record:
        return Record(
            x=[math.nan] * len(self._picker.inputs),
            problem=ReadingError(problem),
            malformed=True,
            form=Form.LIST if self.header is None else Form.OBJECT,
            passed=dict.fromkeys(self._passed, ""),
        )

    def header_names(self, record: Record | None) -> Sequence[str] | None:  # noqa: ARG002
        """See `Reader.header_names`."""
        return None if self.header is None else [str(name) for name in self._passed]

    def advice(self, lines: list[str]) -> str:
        """See `Reader.advice`."""
        return table_advice(lines, self._dialect, self._picker, self.header)


def _may_be_a_name(cell: str) -> bool:
    """Whether a cell may name a column, rather than be a value, or noise on a wire."""
    return (
        any(map(str.isalpha, cell))
        and cell.casefold() not in _NOTHING
        and not _NO_NAME.search(cell)
    )


def _note(text: str) -> None:
    warnings.warn(text, TableWarning, stacklevel=2)
