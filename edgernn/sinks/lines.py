"""Results as lines of text: the standard output, CSV files, JSON lines."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
from pathlib import Path
from typing import Any, ClassVar, Final, TextIO

from edgernn.connections.arrival import EndOfSink, Result
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.connections.registry import Connection
from edgernn.errors import SinkError
from edgernn.model.interface import Interface
from edgernn.records.port_names import column_names
from edgernn.sinks.members import cell, pairs, result_members, row

_DIGITS: Final = ConnectionOption(
    name="digits",
    help="Significant digits of numbers; 0: full precision.",
    kind="integer",
    default=0,
    low=0,
    high=17,
)
_INPUTS: Final = ConnectionOption(
    name="inputs",
    help="Write the prepared readings too.",
    kind="flag",
    default=False,
)
_SYNC: Final = ConnectionOption(
    name="sync",
    help="Wait until the disk has the lines, which then survive a loss of power.",
    kind="flag",
    default=False,
)


def _path_option(example: str) -> ConnectionOption:
    return ConnectionOption(
        name="path",
        help="File that lines are added to; it is made where there is none.",
        example=example,
    )


class _LineSink(Connection):
    """A sink whose results are lines."""

    def __init__(self, values: OptionValues) -> None:
        """Open nothing."""
        super().__init__(values)
        self._digits = values.integer("digits")
        self._inputs = values.flag("inputs")
        self._names: tuple[str, ...] = ()
        self._outputs: tuple[str, ...] = ()
        self._stream: TextIO | None = None

    def open(self, interface: Interface) -> None:
        """See `ResultSink.open`."""
        self._names = interface.input.names if self._inputs else ()
        self._outputs = column_names(interface.output.names, interface.output.ports)
        self.begin(interface)

    def begin(self, interface: Interface) -> None:
        """Open the stream."""
        raise NotImplementedError

    def line(self, members: dict[str, Any]) -> str:
        """The line of a result, without its end."""
        raise NotImplementedError

    def write(self, results: list[Result]) -> None:
        """See `ResultSink.write`."""
        lines = [self.line(self._rounded(result_members(r, self._names))) for r in results]
        if self._stream is None:
            raise SinkError(f"{self.name}: expected an open sink, got one that is closed.")
        try:
            self._stream.write("".join(f"{line}\n" for line in lines))
        except (OSError, ValueError) as error:
            raise self._full(error) from error

    def _rounded(self, members: dict[str, Any]) -> dict[str, Any]:
        if not self._digits:
            return members
        return {
            name: float(f"{value:.{self._digits}g}") if isinstance(value, float) else value
            for name, value in members.items()
        }

    def flush(self) -> None:
        """See `ResultSink.flush`."""
        if self._stream is None:
            return
        try:
            self._stream.flush()
            self.sync(self._stream)
        except (OSError, ValueError) as error:
            raise self._full(error) from error

    def sync(self, stream: TextIO) -> None:
        """Wait for the disk, where there is one."""

    def _full(self, error: Exception) -> Exception:
        return SinkError(f"{self.name}: expected to write lines, got {error}.")

    def close(self) -> None:
        """See `ResultSink.close`."""
        self._stream = None


class StdoutSink(_LineSink):
    """One JSON object per line on the standard output."""

    KIND: ClassVar[str] = "stdout"
    HELP: ClassVar[str] = "The standard output: one line per result, as JSON or as short text."
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(
            name="form",
            help="Form of a line.",
            default="text",
            choices=("text", "json"),
        ),
        ConnectionOption(
            name="digits",
            help=_DIGITS.help,
            kind="integer",
            default=6,
            low=0,
            high=17,
        ),
        _INPUTS,
    )

    def begin(self, interface: Interface) -> None:  # noqa: ARG002
        """Take the standard output."""
        self._stream = sys.stdout

    def _full(self, error: Exception) -> Exception:
        if not isinstance(error, BrokenPipeError):
            return super()._full(error)
        return EndOfSink(f"{self.name}: the reader of the standard output has closed it.")

    def line(self, members: dict[str, Any]) -> str:
        """See `_LineSink.line`."""
        if self.values.text("form") == "json":
            return json.dumps(members, ensure_ascii=False)
        time, key = members.pop("time"), members.pop("key")
        if not members.pop("bad"):
            return f"{time} {key} {pairs(members)}"
        return f"{time} {key} {pairs(members)} bad"


class _FileSink(_LineSink):
    """A sink that adds lines to a file."""

    def begin(self, interface: Interface) -> None:  # noqa: ARG002
        """Open the file; a last line that a loss of power has cut is ended."""
        path = Path(self.values.text("path"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b")
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.close()
            self.look(path)
            self._stream = path.open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise SinkError(
                f"{self.values.where}, path: expected a file that this user can write, got {error}."
            ) from error

    def look(self, path: Path) -> None:
        """Look at what the file holds."""

    def sync(self, stream: TextIO) -> None:
        """Wait for the disk."""
        if self.values.flag("sync"):
            os.fsync(stream.fileno())

    def close(self) -> None:
        """See `ResultSink.close`."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(OSError):  # the service knows from `flush`
                stream.close()


class JsonLinesSink(_FileSink):
    """One JSON object per line of a file."""

    KIND: ClassVar[str] = "jsonl"
    HELP: ClassVar[str] = "JSON lines in a file: one object per result."
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        _path_option("predictions.jsonl"),
        _INPUTS,
        _DIGITS,
        _SYNC,
    )

    def line(self, members: dict[str, Any]) -> str:
        """See `_LineSink.line`."""
        return json.dumps(members, ensure_ascii=False)


class CsvSink(_FileSink):
    """Rows of a table; the first result, or the header of an existing file, settles the columns."""

    KIND: ClassVar[str] = "csv"
    HELP: ClassVar[str] = "A table (CSV) in a file: one row per result."
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        _path_option("predictions.csv"),
        _INPUTS,
        _DIGITS,
        _SYNC,
    )

    def look(self, path: Path) -> None:
        """Take the columns of the header that the file has."""
        with path.open(encoding="utf-8", newline="") as file:
            self._columns = next(csv.reader(file), [])
        lacking = [name for name in self._outputs if name not in self._columns]
        if self._columns and lacking:
            raise SinkError(
                f"{self.values.where}, path: expected a table with {', '.join(lacking):.200}, got "
                f"the columns {', '.join(self._columns):.200}. Write to another file."
            )

    def line(self, members: dict[str, Any]) -> str:
        """See `_LineSink.line`."""
        if self._columns:
            return row([cell(members.get(name)) for name in self._columns])
        self._columns = list(members)
        return f"{row(self._columns)}\n{row([cell(v) for v in members.values()])}"
