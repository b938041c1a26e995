"""Which row a key has, which keys were used last, which changed."""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from edgernn.backends.native import is_available
from edgernn.model.formats import Int32Array


def new_index(ordered: bool) -> KeyIndex:
    """An index without keys, in C where the extension module is installed.

    Args:
        ordered: as in `KeyIndex`.
    """
    if not is_available():
        return KeyIndex(ordered)
    made: KeyIndex = importlib.import_module("edgernn._native").KeyIndex(ordered)
    return made


class KeyIndex:
    """Keys and their rows; rows of removed keys are given to new ones.

    The class of the same name in the extension module takes less memory and time.

    Args:
        ordered: remember in which order keys were used, and when.
    """

    def __init__(self, ordered: bool) -> None:
        """No keys yet."""
        self._rows: dict[Any, int] = OrderedDict() if ordered else {}
        self._used: dict[Any, float] | None = {} if ordered else None
        self._free: list[int] = []
        self._changed: dict[Any, None] = {}
        #: Rows that were ever given to a key.
        self.high = 0

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._rows)

    def __contains__(self, key: object) -> bool:
        """Whether the key has a row."""
        return key in self._rows

    def find(self, keys: Sequence[Hashable], rows: Int32Array) -> int:
        """Write the row of every key, -1 where it has none.

        Returns:
            How many have none.

        Raises:
            TypeError: a key is not hashable.
        """
        rows[:] = [self._rows.get(key, -1) for key in keys]
        return int(np.count_nonzero(rows < 0))

    def use(self, keys: Sequence[Hashable], rows: Int32Array, now: float) -> int:
        """As `find`; keys that have a row are then the last used and changed.

        Args:
            keys: hashable.
            rows: int32, one for each key; written.
            now: seconds on any clock that does not go back.
        """
        unknown = self.find(keys, rows)
        self.touch(keys, now)
        self._changed.update(dict.fromkeys(key for key in keys if key in self._rows))
        return unknown

    def touch(self, keys: Sequence[Hashable], now: float) -> None:
        """Keys that have a row are then the last used."""
        if self._used is not None:
            for key in keys:
                if key in self._rows:
                    self._rows.move_to_end(key)  # type: ignore[attr-defined]
                    self._used[key] = now

    def add(self, keys: Sequence[Hashable], rows: Int32Array, now: float) -> None:
        """Give rows to distinct keys that have none; they are then the last used.

        Args:
            keys: hashable.
            rows: int32, one for each key; written.
            now: as in `use`.
        """
        for b, key in enumerate(keys):
            if self._free:
                row = self._free.pop()
            else:
                row, self.high = self.high, self.high + 1
            self._rows[key] = row
            if self._used is not None:
                self._used[key] = now
            rows[b] = row

    def remove(self, keys: Sequence[Hashable]) -> None:
        """Take the rows of keys that have one."""
        for key in keys:
            self._free.append(self._rows.pop(key))
            self._changed.pop(key, None)
            if self._used is not None:
                del self._used[key]

    def oldest(self, count: int) -> list[Hashable]:
        """The keys whose last use is longest ago, the longest first."""
        return [key for key, _ in zip(self._rows, range(count), strict=False)]

    def idle(self, before: float) -> int:
        """How many keys were last used before this time, to an eighth of a second."""
        assert self._used is not None
        idle = 0
        for key in self._rows:
            if self._used[key] >= before:
                break
            idle += 1
        return idle

    def keys(self) -> list[Hashable]:
        """All keys."""
        return list(self._rows)

    def mark(self, keys: Sequence[Hashable]) -> None:
        """Count these keys as changed."""
        self._changed.update(dict.fromkeys(keys))

    def take_changed(self) -> list[Hashable]:
        """The keys that changed since the last call."""
        changed, self._changed = self._changed, {}
        return list(changed)
