"""Results in a table of SQLite; a result that comes twice is stored once."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, ClassVar, Final

from edgernn.connections.arrival import Result
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.connections.registry import Connection
from edgernn.errors import SinkError
from edgernn.model.interface import Interface
from edgernn.sinks.members import time_text

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS results (
    key TEXT NOT NULL, sequence INTEGER NOT NULL, time_s REAL NOT NULL, time TEXT NOT NULL,
    outputs TEXT NOT NULL, decisions TEXT NOT NULL, inputs TEXT NOT NULL, passed TEXT NOT NULL,
    bad INTEGER NOT NULL, PRIMARY KEY (key, sequence, time_s)
) WITHOUT ROWID
"""
_INDEX: Final = "CREATE INDEX IF NOT EXISTS results_by_time ON results (time_s)"
_INSERT: Final = "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
#: What an untimed reading gave before a crash, when it arrived at another time.
_FORGET: Final = "DELETE FROM results WHERE key = ? AND sequence = ? AND inputs = ? AND outputs = ?"
_DAY_S: Final = 86_400.0
#: Flushes between one look for old results and the next.
_LOOK: Final = 100


class SqliteSink(Connection):
    """One row per result; one that comes again after a crash takes the place of the first.

    It has the same key, number and time, or, without a time, the same inputs and outputs. Other
    results with that number, such as those of a device that counts from 1 again, are kept too.
    """

    KIND: ClassVar[str] = "sqlite"
    HELP: ClassVar[str] = "A table in an SQLite file: one row per result."
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(
            name="path",
            help="File of the database; it is made where there is none.",
            example="predictions.sqlite",
        ),
        ConnectionOption(
            name="keep_days",
            help="Days that results are kept, counted back from the newest; 0: forever.",
            kind="number",
            default=0.0,
            low=0.0,
        ),
        ConnectionOption(
            name="sync",
            help="Wait until the disk has the results, which then survive a loss of power.",
            kind="flag",
            default=False,
        ),
    )

    def __init__(self, values: OptionValues) -> None:
        """Open nothing."""
        super().__init__(values)
        self._keep_s = values.number("keep_days") * _DAY_S
        self._database: sqlite3.Connection | None = None
        self._channels: tuple[str, ...] = ()
        self._newest_s = 0.0
        self._flushes = 0

    def open(self, interface: Interface) -> None:
        """See `ResultSink.open`."""
        self.close()  # of a sink that is opened again
        self._channels = interface.input.names
        path = Path(self.values.text("path"))
        database = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Written by one thread at a time, which need not be the one that opened it.
            database = sqlite3.connect(path, check_same_thread=False, timeout=10.0)
            database.execute("PRAGMA journal_mode = WAL")
            sync = "FULL" if self.values.flag("sync") else "NORMAL"
            database.execute(f"PRAGMA synchronous = {sync}")
            database.execute(_TABLE)
            database.execute(_INDEX)
            database.commit()
        except (OSError, sqlite3.Error) as error:
            if database is not None:
                database.close()
            raise SinkError(
                f"{self.values.where}, path: expected an SQLite file that this user can write, "
                f"got {error}."
            ) from error
        self._database = database

    def write(self, results: list[Result]) -> None:
        """See `ResultSink.write`."""
        rows = [self._row(result) for result in results]
        try:
            database = self._connected()
            if untimed := [
                row for row, result in zip(rows, results, strict=True) if result.untimed
            ]:
                again = [(row[0], row[1], row[6], row[4]) for row in untimed]
                database.executemany(_FORGET, again)
            database.executemany(_INSERT, rows)
        except sqlite3.Error as error:
            raise self._refused(error) from error
        self._newest_s = max([self._newest_s, *(result.time_s for result in results)])

    def _row(self, result: Result) -> tuple[Any, ...]:
        inputs = dict(zip(self._channels, result.x, strict=True))
        parts = (result.outputs, result.decisions, inputs, result.passed)
        texts = (_json(part) for part in parts)
        time = time_text(result.time_s)
        return (result.key, result.sequence, result.time_s, time, *texts, int(result.bad))

    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            raise SinkError(f"{self.name}: expected an open sink, got one that is closed.")
        return self._database

    def flush(self) -> None:
        """See `ResultSink.flush`."""
        database = self._connected()
        try:
            if self._keep_s and self._flushes % _LOOK == 0:
                oldest_s = self._newest_s - self._keep_s
                database.execute("DELETE FROM results WHERE time_s < ?", (oldest_s,))
            database.commit()
        except sqlite3.Error as error:
            raise self._refused(error) from error
        self._flushes += 1

    def _refused(self, error: Exception) -> SinkError:
        return SinkError(f"{self.name}: expected to write results, got {error}.")

    def close(self) -> None:
        """See `ResultSink.close`."""
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _json(members: dict[str, Any]) -> str:
    finite = {n: None if isinstance(v, float) and v - v != 0 else v for n, v in members.items()}
    return json.dumps(finite, ensure_ascii=False)
