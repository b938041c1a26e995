"""Answers as lines of text, with the digits that their steps bear."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from edgernn.errors import EdgeRnnError
from edgernn.model.interface import Port, port_slices
from edgernn.records.columns import listed
from edgernn.records.dialect import Dialect
from edgernn.records.record import Form, Number, Record

#: Outside these bounds decimals would be a row of zeros.
_FINEST, _COARSEST = 1e-12, 1e12
#: Significant digits that tell any two of 65536 codes of one scale apart.
_SIGNIFICANT: Final = 6


def decimals(step: float) -> int | None:
    """Decimals that distinguish values ``step`` apart (rounding error below half a step).

    None where decimals are no way to write such values; `_SIGNIFICANT` digits are.
    """
    if not _FINEST <= step <= _COARSEST:
        return None
    return max(0, math.floor(-math.log10(step)) + 1)


class Digits:
    """Texts of answers.

    Args:
        steps: physical units per code [O], None of a probability; None for codes.
    """

    def __init__(self, steps: Sequence[float | None] | None) -> None:
        """Work out the decimals."""
        self._decimals: list[int | None] | None = None
        if steps is not None:
            self._decimals = [None if step is None else decimals(step) for step in steps]

    def texts(self, y: Sequence[Number]) -> list[str]:
        """One text per output; integers are codes."""
        places = self._decimals or [None] * len(y)
        return [_text(value, count) for value, count in zip(y, places, strict=True)]


def _text(value: Number, places: int | None) -> str:
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "nan"
    return f"{value:.{_SIGNIFICANT}g}" if places is None else f"{value:.{places}f}"


def output_names(outputs: Sequence[str], passed: Sequence[str]) -> list[str]:
    """Names of the outputs next to columns that are passed through, without duplicates."""
    names: list[str] = []
    for name in outputs:
        while name in passed or name in names:
            name += "_output"
        names.append(name)
    return names


class AnswerWriter(Protocol):
    """One text format."""

    def header(self, passed: Sequence[str]) -> str | None:
        """The line before the answers, given the columns that go through; None without one."""
        ...

    def line(self, record: Record, y: Sequence[Number]) -> str:
        """The answer to a record.

        Raises:
            EdgeRnnError: the record has other columns than the header.
        """
        ...


class CsvWriter:
    """Cells between delimiters, with a header where the readings have names.

    Args:
        outputs: output names.
        digits: texts of outputs.
        dialect: delimiter and decimal mark as they are known by now; the first reading settles
            them.
    """

    def __init__(
        self, outputs: Sequence[str], digits: Digits, dialect: Callable[[], Dialect]
    ) -> None:
        """Begin before the first line."""
        self._outputs, self._digits, self._dialect = tuple(outputs), digits, dialect
        self._decimal: str | None = None
        self._passed: tuple[str, ...] | None = None

    def header(self, passed: Sequence[str]) -> str | None:
        """See `AnswerWriter.header`."""
        self._passed = tuple(passed)
        delimiter = self._dialect().delimiter
        names = [*passed, *output_names(self._outputs, passed)]
        return delimiter.join(_quoted(names, delimiter))

    def line(self, record: Record, y: Sequence[Number]) -> str:
        """See `AnswerWriter.line`."""
        names = tuple(record.passed) if self._passed is None else self._passed
        strange = [str(name) for name in record.passed if name not in names]
        if strange:
            raise EdgeRnnError(
                "--pass-through: expected the keys of the first reading, got "
                f"{listed(strange)}. Name the columns, or write JSON lines with "
                "--output-format jsonl"
            )
        if self._decimal is None and not record.malformed:
            self._decimal = self._dialect().decimal or "."
        texts = self._digits.texts(y)
        if self._decimal == ",":
            texts = [text.replace(".", ",") for text in texts]
        delimiter = self._dialect().delimiter
        if names:  # numbers need no quotes
            cells = [_cell(record.passed.get(name)) for name in names]
            texts = [*_quoted(cells, delimiter), *texts]
        elif len(texts) == 1:  # but where nothing shows that a comma is no delimiter
            texts = _quoted(texts, ",")
        return delimiter.join(texts)


def _quoted(cells: Sequence[str], delimiter: str) -> list[str]:
    """Cells with quotes where they need them."""
    special = {delimiter, '"', "\n", "\r"}
    quoted = [f'"{c.replace(chr(34), chr(34) * 2)}"' if special & set(c) else c for c in cells]
    if delimiter == " ":  # an empty cell would be no cell
        quoted = [cell or '""' for cell in quoted]
    return quoted


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


class JsonWriter:
    """JSON values in the form of the readings; a number that is not finite is null.

    Args:
        outputs: output names.
        digits: texts of outputs.
        cells: what goes through are cells of a table: those that are JSON numbers become numbers.
        ports: the outputs, where there are several; in objects, each is a list of its channels, or
            the value of its only one.
    """

    def __init__(
        self, outputs: Sequence[str], digits: Digits, *, cells: bool, ports: Sequence[Port] = ()
    ) -> None:
        """Begin before the first line."""
        self._outputs, self._digits, self._cells = tuple(outputs), digits, cells
        self._ports = port_slices(tuple(ports))

    def header(self, passed: Sequence[str]) -> str | None:  # noqa: ARG002
        """JSON lines have no header."""
        return None

    def line(self, record: Record, y: Sequence[Number]) -> str:
        """See `AnswerWriter.line`."""
        texts = self._digits.texts(y)
        values = [None if text == "nan" else json.loads(text) for text in texts]
        passed = record.passed
        if self._cells:
            passed = {name: _json_value(cell) for name, cell in passed.items()}
        if record.form is Form.OBJECT:
            return json.dumps(self._object(passed, values), ensure_ascii=False)
        if record.form is Form.NUMBER and len(values) == 1:
            return json.dumps(values[0])
        return json.dumps([*passed.values(), *values], ensure_ascii=False)

    def _object(
        self, passed: Mapping[str | int, object], values: list[object]
    ) -> dict[str, object]:
        if not self._ports:
            return _merged(passed, self._outputs, values)
        parts = [values[own] for own in self._ports.values()]
        members = [part[0] if len(part) == 1 else part for part in parts]
        return _merged(passed, tuple(self._ports), members)


def _merged(
    passed: Mapping[str | int, object], outputs: Sequence[str], values: Sequence[object]
) -> dict[str, object]:
    names = output_names(outputs, [str(name) for name in passed])
    return {str(name): value for name, value in passed.items()} | dict(
        zip(names, values, strict=True)
    )


def _json_value(cell: object) -> object:
    """A cell as a JSON number where it is written like one, null where it is empty."""
    if not isinstance(cell, str) or not cell:
        return None
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    finite = isinstance(value, float) and math.isfinite(value)
    return value if finite or type(value) is int else cell
