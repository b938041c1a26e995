"""Tables of readings: CSV and JSON lines, from a file, a growing file, or a pipe."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from edgernn.connections.arrival import Arrival, ArrivalBatch
from edgernn.connections.fields import FIELD_OPTIONS, KEY_OPTION, Fields, field_problems
from edgernn.connections.options import ConnectionOption, OptionValues, toml_value
from edgernn.connections.payloads import PayloadReader
from edgernn.connections.registry import Connection
from edgernn.errors import EdgeRnnError
from edgernn.records.columns import ALL, Picker
from edgernn.records.csv_records import CsvReader
from edgernn.records.dialect import DELIMITERS, Dialect, said_by_spreadsheet, told
from edgernn.records.port_names import InputNames
from edgernn.records.record import Record
from edgernn.sources.line_files import FileLine, LineFile, LineReader

LINE_OPTIONS: Final = (
    ConnectionOption(
        name="encoding",
        help="Encoding of the text: utf-8, or one in which a line ends with the same byte.",
        default="utf-8",
    ),
    ConnectionOption(
        name="max_line_bytes",
        help="Longest line; longer ones are dropped.",
        kind="integer",
        default=1 << 20,
        low=64,
        high=1 << 28,
    ),
)
DIALECT_OPTIONS: Final = (
    ConnectionOption(
        name="delimiter",
        help="Character between cells, or its name; by default that of the first lines.",
        default="",
        example="semicolon",
    ),
    ConnectionOption(
        name="decimal",
        help="Decimal mark; by default that of the first numbers.",
        default="",
        choices=("", ".", ","),
        example=".",
    ),
)
_FOLLOW: Final = ConnectionOption(
    name="follow",
    help="Wait for more at the end of the file; a replaced or cut file is read from its start.",
    kind="flag",
    default=False,
)


def _path_option(example: str) -> ConnectionOption:
    return ConnectionOption(
        name="path", help='File to read; "-" is the standard input.', example=example
    )


class _LineSource(Connection):
    """A source whose readings are lines."""

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Open nothing."""
        super().__init__(values)
        self.channels = tuple(channels)
        self.fields = Fields(values, channels, values.text("key") or self.name)
        self.encoding = values.text("encoding")
        self._most_bytes = values.integer("max_line_bytes")
        self._file = self.line_file(values, self._most_bytes)
        self._log = logging.getLogger(f"edgernn.sources.{self.KIND}")

    def line_file(self, values: OptionValues, most_bytes: int) -> LineReader:
        """Where the lines come from."""
        return LineFile(values.text("path"), values.flag("follow"), most_bytes, values.where)

    @classmethod
    def problems(cls, values: OptionValues, channels: Sequence[str]) -> list[str]:
        """See `Connection.problems`."""
        encoding = values.text("encoding")
        try:
            plain = "\n".encode(encoding) == b"\n"
        except (LookupError, UnicodeError):
            plain = False
        wrong = (
            f'encoding: expected one such as utf-8, latin-1 or cp1252, got "{encoding:.40}". '
            f"Convert the file with: iconv -f {encoding:.40} -t utf-8"
        )
        return [*([] if plain else [wrong]), *field_problems(values, channels)]

    def open(self, position: Any) -> None:
        """See `ReadingSource.open`."""
        self._file.open(position)

    def read(self, most: int, timeout_s: float) -> ArrivalBatch:
        """See `ReadingSource.read`."""
        lines = self._file.read(most, timeout_s)
        arrivals: list[Arrival] = []
        for line in lines:
            arrivals += self._arrivals(line)
        if self._file.damage:
            arrivals.append(Arrival("", [], problem=self._file.damage))
            self._file.damage = ""
        position = self._file.position(lines[-1]) if lines else None
        return ArrivalBatch(arrivals, position)

    def _arrivals(self, line: FileLine) -> list[Arrival]:
        if line.data is None:
            wanted = f"a line of at most {self._most_bytes} bytes"
            return [Arrival("", [], problem=f"expected {wanted}, got {line.size} bytes")]
        if not line.data.strip():
            return []
        return self.of_line(line.data, line.first)

    def of_line(self, data: bytes, first: bool) -> list[Arrival]:
        """The readings of a line that is not blank.

        Args:
            data: without its end.
            first: it is the first line of a file.
        """
        raise NotImplementedError

    def acknowledge(self, batch: ArrivalBatch) -> None:
        """See `ReadingSource.acknowledge`: files keep what they hold."""

    def close(self) -> None:
        """See `ReadingSource.close`."""
        self._file.close()


class JsonLinesSource(_LineSource):
    """One JSON value per line, each with one or many readings."""

    KIND: ClassVar[str] = "jsonl"
    HELP: ClassVar[str] = "JSON lines from a file or a pipe: one or many readings in each line."
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        _path_option("readings.jsonl"),
        _FOLLOW,
        *LINE_OPTIONS,
        KEY_OPTION,
        *FIELD_OPTIONS,
    )

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Open nothing."""
        super().__init__(values, channels)
        self._payloads = PayloadReader(self.fields, "json", self._most_bytes)

    def of_line(self, data: bytes, first: bool) -> list[Arrival]:  # noqa: ARG002
        """See `_LineSource.of_line`."""
        if self.encoding.lower() not in ("utf-8", "utf8"):
            data = data.decode(self.encoding, "replace").encode()
        return self._payloads.arrivals(data)


class CsvSource(_LineSource):
    """Rows of a table, with or without a header."""

    KIND: ClassVar[str] = "csv"
    HELP: ClassVar[str] = "A table of readings (CSV) from a file or a pipe, one row per reading."
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        _path_option("readings.csv"),
        _FOLLOW,
        *LINE_OPTIONS,
        *DIALECT_OPTIONS,
        KEY_OPTION,
        *FIELD_OPTIONS,
    )

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Open nothing."""
        super().__init__(values, channels)
        delimiter = values.text("delimiter")
        self._delimiter = DELIMITERS.get(delimiter, delimiter) or None
        self._decimal = values.text("decimal") or None
        self._rows: CsvReader | None = None
        self._refused = ""
        self._resumed = False

    @classmethod
    def problems(cls, values: OptionValues, channels: Sequence[str]) -> list[str]:
        """See `Connection.problems`."""
        found = super().problems(values, channels)
        delimiter = values.text("delimiter")
        if len(DELIMITERS.get(delimiter, delimiter)) > 1:
            names = ", ".join(DELIMITERS)
            found.append(
                f"delimiter: expected one character, or one of {names}, got {delimiter!r:.40}."
            )
        return found

    def open(self, position: Any) -> None:
        """See `ReadingSource.open`."""
        super().open(position)
        self._resumed = isinstance(position, dict) and bool(position.get("offset"))

    def _read_header(self) -> None:
        """Read the header again where reading goes on behind it."""
        for number, line in enumerate(self._file.head()):
            if line.strip():
                self.of_line(line, number == 0)
                if self._rows is not None and self._rows.header is not None:
                    break

    def _reader(self, line: str) -> CsvReader:
        picker = Picker(InputNames(self.channels), self.fields.columns if self._renamed else None)

        def tell(text: str) -> Dialect:
            return told([text], picker.names, self._delimiter, self._decimal)

        return CsvReader(picker, tell(line), tell=tell, passed=(ALL,), note=self._note)

    def _note(self, text: str) -> None:
        self._log.warning("%s: %s", self.name, self._advice(text))

    @property
    def _renamed(self) -> bool:
        return self.fields.columns != self.channels

    def of_line(self, data: bytes, first: bool) -> list[Arrival]:
        """See `_LineSource.of_line`."""
        resumed, self._resumed = self._resumed, False
        if resumed and not first:
            self._read_header()
        text = data.decode(self.encoding, "replace")
        begun = None if first else self._rows
        try:
            record = begun.read(text) if begun else self._begin(text, first)
        except EdgeRnnError as error:  # noise before the first row that looks like a header
            return [Arrival("", [], problem=self._advice(str(error)))]
        if self._refused:
            return [Arrival("", [], problem=self._refused)]
        return [] if record is None or self._rows is None else [self._arrival(self._rows, record)]

    def _begin(self, text: str, first: bool) -> Record | None:
        """Take the first line of a file, which may be its header."""
        if first:
            self._refused = ""
        if self._refused:
            return None
        if mark := said_by_spreadsheet(text):
            self._delimiter = self._delimiter or mark
            return None
        fresh = self._reader(text)
        try:
            record = fresh.read(text)
        except EdgeRnnError as error:
            self._refused, self._rows = self._advice(str(error)), None
            return None
        if record is None or self._rows is None:
            self._rows = fresh
            return record
        return self._rows.read(text)  # a file that goes on without repeating the header

    def _advice(self, text: str) -> str:
        """A message of `edgernn run` without its options, and with that of config files."""
        kept = [part for part in text.rstrip(".").split(". ") if "--" not in part]
        example = toml_value({self.channels[0]: "name in the header"})
        return f"{'. '.join(kept)}. Name the columns, as in columns = {example}"

    def _arrival(self, rows: CsvReader, record: Record) -> Arrival:
        if record.malformed:
            return Arrival("", [], problem=str(record.problem))
        fed = set(rows.column_names or self.fields.columns)
        if rows.header is None and not self._renamed:
            passed: dict[str, object] = {}
        else:
            passed = {str(k): v for k, v in record.passed.items() if str(k) not in fed and v != ""}
        key, time_s, sequence, wrong = self.fields.take(passed)
        if wrong:
            return Arrival(key, [], time_s, sequence, wrong, passed)
        problem = str(record.problem) if record.problem else ""
        return Arrival(key, [float(x) for x in record.x], time_s, sequence, problem, passed)
