"""The states of many streams in one SQLite file, saved in transactions."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, get_args

from edgernn.errors import EdgeRnnError, StoreError
from edgernn.store import schema

#: What a commit survives: the end of the process, or also of the power.
Durability = Literal["normal", "full"]
#: The write-ahead log is cut to this after it was taken over into the file.
_LOG_BYTES: Final = 16 << 20
_SYNCHRONOUS: Final = {"normal": "NORMAL", "full": "FULL"}


class StateStore:
    """States by key, and the position of every source, in one file.

    A commit is one transaction: after the end of the process at any instant, the file holds all of
    it or nothing. One process at a time has the file open; several threads may use one store.

    Args:
        path: of the file; made if there is none.
        model_sha256: of the model whose states it holds.
        durable: "normal": what was committed survives the end of the process, and after a power
            cut the file is that of an earlier commit; "full": it survives a power cut.
        model_name: for messages.
        migrate: keep the states of another model; `StreamPool.load` takes them with migrate=True.

    Raises:
        StoreError: in use, no store, of another version or another model, or damaged.
    """

    def __init__(
        self,
        path: str | Path,
        model_sha256: str,
        *,
        durable: Durability = "normal",
        model_name: str = "",
        migrate: bool = False,
    ) -> None:
        """Open the file and check all of it."""
        if durable not in get_args(Durability):
            raise EdgeRnnError(f"store: expected durable 'normal' or 'full', got {durable!r:.40}.")
        self.path = Path(path)
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        with self._named():
            self._db = db = sqlite3.connect(
                self.path, timeout=0, isolation_level=None, check_same_thread=False
            )
            try:
                # Exclusive: the log then needs no file of shared memory beside it.
                db.execute("PRAGMA locking_mode = EXCLUSIVE")
                db.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durable]}")
                db.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
                if schema.is_empty(db):
                    schema.create(db)
                schema.check(db, self.path)
                self.claim(model_sha256, model_name, migrate=migrate)
            except BaseException:
                self.close()
                raise

    def claim(self, model_sha256: str, model_name: str = "", *, migrate: bool = False) -> None:
        """Record whose states these are.

        Args:
            model_sha256: of the model.
            model_name: for messages.
            migrate: keep the states of another model.

        Raises:
            StoreError: another model's, or not written; the file is as before.
        """
        with self._transaction() as db:
            before = schema.read_fact(db, "model", self.path)
            if before is not None and before["sha256"] == model_sha256:
                return
            if before is not None and not migrate and schema.sums_of(db, "states")[0]:
                raise StoreError(
                    f"store '{self.path}': expected states of {_said(model_name, model_sha256)}, "
                    f"got those of {_said(before['name'], before['sha256'])}. Give each model its "
                    "own store, or pass migrate=True if the states shall go on in the new model."
                )
            schema.write_fact(db, "model", {"sha256": model_sha256, "name": model_name})

    def commit(
        self,
        streams: Mapping[str, bytes],
        *,
        positions: Mapping[str, Any] | None = None,
        dropped: Iterable[str] = (),
        day: int | None = None,
    ) -> None:
        """Save states and positions and forget streams, in one transaction.

        Args:
            streams: states by key; those of other keys stay.
            positions: where sources go on, as JSON values by name.
            dropped: keys to forget; unknown ones too.
            day: today, in days since 1970, for `forget`; None: not recorded.

        Raises:
            StoreError: not written, such as for want of space; the file is as before.
        """
        states = [(key, blob, schema.crc_of(key, blob)) for key, blob in streams.items()]
        places = [(name, json.dumps(position)) for name, position in (positions or {}).items()]
        rows = [(name, text, schema.crc_of(name, text.encode())) for name, text in places]
        gone = [key for key in dropped if key not in streams]
        with self._transaction() as db:
            before = schema.sums_of(db, "states", [*streams, *gone])
            placed = schema.sums_of(db, "positions", [name for name, _ in places])
            db.executemany("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", states)
            db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)
            if day is not None:
                db.execute(schema.DAYS)
                db.executemany(
                    "INSERT OR REPLACE INTO days VALUES (?, ?)", [(key, day) for key in streams]
                )
            if gone:
                db.execute(f"DELETE FROM states WHERE key IN {schema.LISTED}", [json.dumps(gone)])
            now = [crc for *_, crc in (*states, *rows)]
            more = len(now) - before[0] - placed[0], sum(now) - before[1] - placed[1]
            schema.add_to_totals(db, self.path, *more)

    def forget(self, day: int, keep_days: float, kept: Container[str] = ()) -> int:
        """Forget streams that were not saved for some days.

        The days of a stream count from its last `commit` with a day, or from the first call.

        Args:
            day: today, in days since 1970.
            keep_days: days that a stream is kept.
            kept: streams that stay in any case.

        Returns:
            How many streams were forgotten.

        Raises:
            StoreError: not written; the file is as before.
        """
        with self._transaction() as db:
            db.execute(schema.DAYS)
            db.execute("INSERT OR IGNORE INTO days SELECT key, ? FROM states", (day,))
            rows = db.execute("SELECT key FROM days WHERE day < ?", (day - keep_days,))
            old = [key for (key,) in rows if key not in kept]
            count, crcs = schema.sums_of(db, "states", old)
            for table in ("states", "days"):
                db.execute(f"DELETE FROM {table} WHERE key IN {schema.LISTED}", [json.dumps(old)])
            schema.add_to_totals(db, self.path, -count, -crcs)
        return count

    def load(self, keys: Iterable[str] | None = None) -> dict[str, bytes]:
        """States by key.

        Args:
            keys: those wanted; unknown ones are left out. None: all.

        Raises:
            StoreError: damaged; the message names the key.
        """
        if keys is None:
            where, given = "", list[str]()
        else:
            where, given = f"WHERE key IN {schema.LISTED}", [json.dumps(list(keys))]
        with self._lock, self._named():
            query = f"SELECT key, state, crc FROM states {where}"
            rows = self._require_open().execute(query, given).fetchall()
        for key, blob, crc in rows:
            if not isinstance(blob, bytes) or schema.crc_of(key, blob) != crc:
                raise schema.damaged(self.path, f"the state of '{key}'")
        return {key: blob for key, blob, _ in rows}

    def positions(self) -> dict[str, Any]:
        """Where sources go on, by name.

        Raises:
            StoreError: damaged.
        """
        with self._lock, self._named():
            query = "SELECT source, position, crc FROM positions"
            rows = self._require_open().execute(query).fetchall()
        for name, text, crc in rows:
            if not isinstance(text, str) or schema.crc_of(name, text.encode()) != crc:
                raise schema.damaged(self.path, f"the position of '{name}'")
        return {name: json.loads(text) for name, text, _ in rows}

    def __len__(self) -> int:
        """How many streams are saved."""
        with self._lock, self._named():
            return schema.sums_of(self._require_open(), "states")[0]

    def close(self) -> None:
        """Take the log over into the file and close it. Idempotent."""
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def __enter__(self) -> Self:
        """Return the store itself."""
        self._require_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def _require_open(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreError(f"store '{self.path}': expected an open store, got a closed one.")
        return self._db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._named():
            db = self._require_open()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say in one sentence what SQLite has to complain of."""
        try:
            yield
        except sqlite3.Error as error:
            raise _store_error(self.path, error) from error


def _said(name: str, sha256: str) -> str:
    return f"the model '{name}' ({sha256[:12]})" if name else f"the model {sha256[:12]}"


def _store_error(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"store '{path}': expected a store that nothing else has open, got one in use. End the "
            "other process, or give each its own store."
        )
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(
            f"store '{path}': expected a store of states, got a file that is no database. Give the "
            "path of a store, or of a new file."
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return schema.damaged(path, str(error))
    return StoreError(
        f"store '{path}': expected a file that can be read and written, got: {error!s:.120}. Check "
        "the folder, its permissions and the free space."
    )
