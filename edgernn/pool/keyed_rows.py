"""Rows with keys: which key has which row, which keys leave, and which come back."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgernn.backends.rows import Int64Array, StreamRows
from edgernn.backends.streams.stream_bytes import decode_stream
from edgernn.errors import StateError, StreamKeyError
from edgernn.model.formats import BoolArray, FloatArray, Int32Array
from edgernn.model.interface import Interface
from edgernn.pool.arguments import bad_key
from edgernn.pool.key_index import new_index

#: Takes keys and their streams as bytes, before they leave the pool.
Evicted = Callable[[list[Any], list[bytes]], None]
#: Gives the streams of those of these keys that were saved.
Recall = Callable[[list[Any]], Mapping[Any, bytes]]
#: Rows are made for so many more keys than there are, so that few batches have to make some.
_GROWTH: Final = 1.0625


class KeyedRows:
    """Rows, and the keys that have them. For one thread at a time.

    Args:
        interface: of the model.
        rows: none yet.
        capacity: most keys.
        idle_s: keys without a reading for longer leave, in seconds.
        evicted: called with what leaves.
        recall: called with new keys.
        migrate: it may return streams of another model.
        clock: seconds.

    Attributes:
        rows: as given.
        index: which key has which of them.
    """

    def __init__(
        self,
        interface: Interface,
        rows: StreamRows,
        *,
        capacity: int | None,
        idle_s: float | None,
        evicted: Evicted | None,
        recall: Recall | None,
        migrate: bool,
        clock: Callable[[], float],
    ) -> None:
        """No keys yet."""
        self.rows = rows
        self._interface, self._capacity, self._idle_s = interface, capacity, idle_s
        self._ordered = capacity is not None or idle_s is not None
        self._evicted, self._recall, self._clock = evicted, recall, clock
        self._migrate = migrate
        self.index = new_index(self._ordered)

    def step(
        self,
        keys: Sequence[Hashable],
        x: FloatArray,
        ys: FloatArray,
        bad: BoolArray,
        numbers: Int64Array | None,
        softmax: bool,
    ) -> None:
        """Advance streams; as `StreamRows.step`, for readings of no more keys than the capacity."""
        rows = np.empty(len(keys), np.int32)
        now = self._clock() if self._ordered else 0.0
        try:
            unknown = self.index.use(keys, rows, now)
        except TypeError:
            raise bad_key(keys) from None
        if unknown:
            new = list(dict.fromkeys(keys[b] for b in np.flatnonzero(rows < 0)))
            self._begin(new, now)
            self.index.use(keys, rows, now)
        self.rows.step(rows, x, ys, bad, numbers, softmax)

    def _begin(self, new: list[Hashable], now: float) -> None:
        """Streams for keys that have none: those that `recall` knows, others at the beginning."""
        for key in new:
            if key != key:
                raise bad_key(new)
        recalled = self._recall(new) if self._recall is not None else {}
        self._make_room(len(new))
        rows = self._add(new, now)
        saved = [b for b, key in enumerate(new) if key in recalled]
        if saved:
            known = [new[b] for b in saved]
            blobs = [recalled[key] for key in known]
            self._load(known, rows[saved], blobs, new, migrate=self._migrate)

    def _load(
        self,
        keys: Sequence[Hashable],
        rows: Int32Array,
        blobs: Sequence[bytes],
        new: list[Hashable],
        *,
        migrate: bool,
    ) -> None:
        """Continue streams; if one is refused, those of new keys end."""
        try:
            self.rows.load(rows, blobs, migrate)
        except StateError:
            self.index.remove(new)
            for key, blob in zip(keys, blobs, strict=True):
                try:
                    decode_stream(blob, self._interface, migrate=migrate)
                except StateError as error:
                    raise StateError(f"key {key!r:.60}: {error}") from None
            raise
        except BaseException:
            self.index.remove(new)
            raise

    def _add(self, new: Sequence[Hashable], now: float) -> Int32Array:
        """Rows at the beginning of a stream for keys that have none."""
        before = self.index.high
        rows = np.empty(len(new), np.int32)
        try:
            self.index.add(new, rows, now)
            if self.index.high > self.rows.count:
                most = math.ceil(_GROWTH * self.index.high)
                if self._capacity is not None:
                    most = max(self.index.high, min(most, self._capacity))
                self.rows.resize(most)
            used_before = rows[rows < before]
            if len(used_before):
                self.rows.reset(used_before)
        except BaseException:
            self.index.remove([key for key in new if key in self.index])
            raise
        return rows

    def _make_room(self, new: int) -> None:
        if self._capacity is not None:
            excess = len(self.index) + new - self._capacity
            if excess > 0:
                self._evict(self.index.oldest(excess))

    def evict_idle(self) -> int:
        """Let keys leave that are idle; how many did."""
        if self._idle_s is None:
            return 0
        idle = self.index.idle(self._clock() - self._idle_s)
        if idle:
            self._evict(self.index.oldest(idle))
        return idle

    def _evict(self, keys: list[Hashable]) -> None:
        if self._evicted is not None:
            rows = np.empty(len(keys), np.int32)
            self.index.find(keys, rows)
            self._evicted(keys, self.rows.export(rows))
        self.index.remove(keys)

    def load(self, keys: Sequence[Any], blobs: Sequence[bytes], migrate: bool) -> None:
        """Continue streams under these keys, as `StreamPool.load`."""
        rows = np.empty(len(keys), np.int32)
        new = self._new_of(keys, rows)
        self._add_all(keys, new, self._clock())
        self.index.find(keys, rows)
        self._load(keys, rows, blobs, new, migrate=migrate)

    def _new_of(self, keys: Sequence[Hashable], rows: Int32Array) -> list[Hashable]:
        """Those of distinct keys that have no row."""
        try:
            repeated = len(keys) - len(set(keys))
            self.index.find(keys, rows)
        except TypeError:
            raise bad_key(keys) from None
        if repeated or any(key != key for key in keys):
            raise bad_key(keys)
        return [keys[b] for b in np.flatnonzero(rows < 0)]

    def _add_all(self, keys: Sequence[Hashable], new: list[Hashable], now: float) -> None:
        if self._capacity is not None and len(keys) > self._capacity:
            raise StreamKeyError(
                f"pool: expected at most {self._capacity} keys (capacity), got {len(keys)}. Load "
                "fewer at a time, or open the pool with a larger capacity."
            )
        self.index.touch(keys, now)
        self._make_room(len(new))
        self._add(new, now)

    def rows_of(self, keys: Sequence[Hashable]) -> Int32Array:
        """The rows of keys.

        Raises:
            StreamKeyError: a key has none.
        """
        rows = np.empty(len(keys), np.int32)
        try:
            unknown = self.index.find(keys, rows)
        except TypeError:
            raise bad_key(keys) from None
        if unknown:
            first = keys[int(np.flatnonzero(rows < 0)[0])]
            raise StreamKeyError(
                f"pool: expected keys that have a stream, got {unknown} without, such as "
                f"{first!r:.60}. Test with: key in pool"
            )
        return rows
