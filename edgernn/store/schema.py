"""The tables of a store, and the checks of a file that should have them."""

from __future__ import annotations

import json
import sqlite3
import zlib
from pathlib import Path
from typing import Any, Final

from edgernn.errors import StoreError

#: Says in the file's header whose it is: "ERNS".
APPLICATION: Final = 0x45524E53
SCHEMA: Final = 1
#: Every row has the CRC-32 of its key and content. `facts` holds the model and, under "totals", how
#: many rows the other tables have and the sum of their CRCs, so that lost rows are noticed.
TABLES: Final = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE states (key TEXT PRIMARY KEY, state BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE positions
    (source TEXT PRIMARY KEY, position TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
"""
#: When a stream was last saved, in days since 1970; only in stores that forget streams.
DAYS: Final = (
    "CREATE TABLE IF NOT EXISTS days (key TEXT PRIMARY KEY, day INTEGER NOT NULL) WITHOUT ROWID"
)
#: Stands for the values of a JSON list.
LISTED: Final = "(SELECT value FROM json_each(?))"
#: The column of names in each table that totals are kept of.
_NAMES: Final = {"states": "key", "positions": "source"}
_SUMS: Final = "SELECT count(*), coalesce(sum(crc), 0) FROM"


def crc_of(name: str, content: bytes) -> int:
    """The CRC-32 of a row.

    Raises:
        StoreError: a name that is no Unicode text without NUL.
    """
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        encoded = b"\0"
    if b"\0" in encoded:
        raise StoreError(f"store: expected keys of Unicode text without NUL, got {name!r:.60}.")
    return zlib.crc32(content, zlib.crc32(encoded + b"\0"))


def create(db: sqlite3.Connection) -> None:
    """Make the tables in an empty file."""
    db.execute("PRAGMA journal_mode = WAL")  # the file remembers it
    db.execute("BEGIN IMMEDIATE")
    for statement in TABLES.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {SCHEMA}")
    write_fact(db, "totals", [0, 0])
    db.execute("COMMIT")


def is_empty(db: sqlite3.Connection) -> bool:
    """Whether nothing was ever written to the file."""
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return not tables and not _pragma(db, "application_id") and not _pragma(db, "user_version")


def check(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is no store, of another version, or damaged.

    Raises:
        StoreError: which of these.
    """
    if _pragma(db, "application_id") != APPLICATION:
        raise StoreError(
            f"store '{path}': expected a store of states, got another SQLite database. Give the "
            "path of a store, or of a new file."
        )
    version = _pragma(db, "user_version")
    if version != SCHEMA:
        raise StoreError(
            f"store '{path}': expected schema {SCHEMA}, got {version}. Use the version of edgernn "
            "that wrote it, or begin a new file."
        )
    said = _pragma(db, "quick_check(1)")
    if said != "ok":
        raise damaged(path, str(said))
    (states, sums), (places, more) = (sums_of(db, table) for table in _NAMES)
    if read_fact(db, "totals", path) != [states + places, sums + more]:
        raise damaged(path, "rows are missing or changed")


def damaged(path: Path, what: str) -> StoreError:
    """A store whose content is not what was written."""
    return StoreError(
        f"store '{path}': expected an undamaged store, got damage ({what:.120}). Restore a "
        "copy; or move the file away, and every stream begins again."
    )


def add_to_totals(db: sqlite3.Connection, path: Path, rows: int, crcs: int) -> None:
    """Count rows that were written or removed, and the sum of their CRCs."""
    count, total = read_fact(db, "totals", path)
    write_fact(db, "totals", [count + rows, total + crcs])


def read_fact(db: sqlite3.Connection, name: str, path: Path) -> Any:
    """The fact with this name; None where there is none.

    Raises:
        StoreError: damaged.
    """
    row = db.execute("SELECT value, crc FROM facts WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    if crc_of(name, _encoded(row[0])) != row[1]:
        raise damaged(path, f"the fact '{name}'")
    return json.loads(row[0])


def write_fact(db: sqlite3.Connection, name: str, value: Any) -> None:
    """Replace the fact with this name."""
    text = json.dumps(value)
    row = name, text, crc_of(name, text.encode())
    db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", row)


def _encoded(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else repr(value).encode()


def sums_of(db: sqlite3.Connection, table: str, names: list[str] | None = None) -> tuple[int, int]:
    """How many rows with these names a table has, and the sum of their CRCs; None: all rows."""
    if names is None:
        found = db.execute(f"{_SUMS} {table}")
    else:
        query = f"{_SUMS} {table} WHERE {_NAMES[table]} IN {LISTED}"
        found = db.execute(query, (json.dumps(names),))
    count, crcs = found.fetchone()
    return count, crcs


def _pragma(db: sqlite3.Connection, name: str) -> Any:
    return db.execute(f"PRAGMA {name}").fetchone()[0]
