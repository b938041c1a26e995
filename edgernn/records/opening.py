"""Opens a reader for lines and the options given for them."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgernn.errors import EdgeRnnError
from edgernn.model.interface import Port
from edgernn.records.columns import Picker
from edgernn.records.csv_records import CsvReader
from edgernn.records.dialect import DELIMITERS, Dialect, said_by_spreadsheet, told
from edgernn.records.json_records import JsonReader
from edgernn.records.keys import KeyWatch
from edgernn.records.port_names import InputNames
from edgernn.records.text_files import TextSource

FORMATS: Final = ("csv", "jsonl")
_SUFFIXES: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """Options for reading a table; omitted options are detected from its first lines.

    Attributes:
        format: "csv" or "jsonl".
        delimiter: one character between cells; a blank stands for any run of them.
        decimal: "." or ",".
        encoding: a codec of Python.
        columns: one column per channel in the order of the channels, by name or by position from
            1; or ``channel=column`` for those that have other names.
        one_stream: a column that identifies sensors may change: the rows are one stream anyway.

    Raises:
        EdgeRnnError: a value that is none, or a delimiter that is the decimal mark.
    """

    format: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    columns: tuple[str, ...] | None = None
    one_stream: bool = False

    def __post_init__(self) -> None:
        """Check."""
        mark = self.delimiter
        if mark is not None and (len(mark) != 1 or mark.isalnum() or mark in '"+-.\r\n'):
            raise EdgeRnnError(
                f"--delimiter: expected one character between cells, or one of "
                f"{', '.join(DELIMITERS)}, got {mark!r:.40}."
            )
        if self.decimal not in (None, ".", ","):
            raise EdgeRnnError(f"--decimal: expected '.' or ',', got {self.decimal!r:.40}.")
        if self.decimal == "," == mark:
            raise EdgeRnnError(
                "--decimal: expected a mark that differs from the delimiter, got ',' for both. "
                "Omit --delimiter, or pass the delimiter between the cells."
            )
        if self.encoding is not None:
            _check_encoding(self.encoding)


def _check_encoding(name: str) -> None:
    try:
        " 0".encode(name)
        codecs.lookup(name)
    except (LookupError, UnicodeError, ValueError):
        raise EdgeRnnError(
            f"--encoding: expected a name such as utf-8, utf-16, latin-1 or cp1252, "
            f"got {name!r:.40}."
        ) from None


def format_of_suffix(suffix: str) -> str | None:
    """The format that a file's suffix names, None where it names none."""
    return _SUFFIXES.get(suffix.lower())


def guess_format(suffix: str, first_line: str) -> str:
    """The format of a file with this suffix ("" for a pipe) and this first line."""
    looks_like_json = first_line.lstrip()[:1] in ("[", "{")
    return format_of_suffix(suffix) or ("jsonl" if looks_like_json else "csv")


def open_reader(
    source: TextSource,
    inputs: Sequence[str],
    options: TableOptions,
    *,
    ports: Sequence[Port] = (),
    codes: bool = False,
    passed: Sequence[str] = (),
) -> CsvReader | JsonReader:
    """A reader for the lines of a source.

    Args:
        source: the lines; its first ones are looked at.
        inputs: channel names I.
        options: the options given for the table.
        ports: the inputs of the model, where there are several.
        codes: numbers are integer codes.
        passed: columns that go through, by name, by position from 1, or "all".

    Raises:
        EdgeRnnError: columns that cannot be those of the channels.
    """
    picker = Picker(InputNames(inputs, ports), options.columns)
    keys = None if options.one_stream else KeyWatch()
    lines = [line for line in source.sample if line.strip()]
    name = options.format or guess_format(source.suffix, lines[0] if lines else "")
    if name == "jsonl":
        return JsonReader(picker, codes=codes, passed=passed, keys=keys)
    delimiter = options.delimiter or ("\t" if source.suffix in (".tsv", ".tab") else None)
    said = said_by_spreadsheet(lines[0]) if lines else None

    def tell(*some: str) -> Dialect:
        return told(some, picker.names, delimiter or said, options.decimal)

    return CsvReader(
        picker,
        tell(*lines),
        tell=tell if source.live else None,
        codes=codes,
        passed=passed,
        keys=keys,
    )
