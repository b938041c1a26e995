"""Tables of a flatbuffer from the bytes of a file, which may be a stranger's.

Every offset is checked, and all that is read takes at most as many bytes as the file has: tables
that refer to the same place again and again do not make a small file large.
"""

from __future__ import annotations

import struct
import types
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Final, TypeVar, get_args, get_type_hints

import numpy as np

from edgernn.backends.tflite_file import Flatbuffer
from edgernn_export.tflite_schema.options import OPTIONS
from edgernn_export.tflite_schema.tables import FlatModel, FlatTable

Table = TypeVar("Table", bound=FlatTable)

#: Scalars: their letter for struct.
_SCALARS: Final[Mapping[str, str]] = {
    "Bool": "?", "Int8": "b", "Int32": "i", "Int64": "q", "Uint8": "B", "Uint32": "I",
    "Uint64": "Q", "Float32": "f",
}  # fmt: skip
#: The smallest table, and how many of them one file may have.
_TABLE_BYTES: Final = 4
_MOST_TABLES: Final = 1 << 18
_UNIONS: Final[Mapping[int, type[FlatTable]]] = dict(OPTIONS.values())


def read_model(content: bytes) -> FlatModel:
    """The tables of a file.

    Args:
        content: the whole file.

    Raises:
        struct.error: an offset points outside the file, or tables overlap, or are too many.
    """
    reading = _Reading(content)
    return reading.table(FlatModel, reading.file.follow(0))


class _Reading:
    """One pass over a file, and how many bytes it may still read."""

    def __init__(self, content: bytes) -> None:
        self.file = Flatbuffer(content)
        self._content = content
        self._left = len(content)
        self._tables_left = _MOST_TABLES

    def table(self, kind: type[Table], at: int) -> Table:
        """A table at a place."""
        self._take(_TABLE_BYTES)
        self._tables_left -= 1
        if self._tables_left < 0:
            raise struct.error("too many tables")
        given: dict[str, Any] = {}
        own: Any = kind
        for slot, entry in enumerate(fields(kind)):
            place = self.file.field(at, slot)
            if place is None:
                continue
            of = entry.metadata["kind"]
            if of == "union":
                union = _UNIONS.get(given.get(f"{entry.name}Type", 0), FlatTable)
                given[entry.name] = self.table(union, self.file.follow(place))
            elif of == "table":
                given[entry.name] = self.table(_target(own, entry.name), self.file.follow(place))
            elif of == "tables":
                given[entry.name] = self._tables(_target(own, entry.name), at, slot)
            elif of in ("bytes", "text"):
                start, end = self.file.span(at, slot)
                self._take(end - start)
                view = memoryview(self._content)[start:end]
                given[entry.name] = bytes(view) if of == "text" else view
            elif entry.default is None:
                given[entry.name] = self._numbers(_SCALARS[of], at, slot)
            else:
                given[entry.name] = self.file.read(_SCALARS[of], place)
        return kind(**given)

    def _tables(self, kind: type[Table], at: int, slot: int) -> list[Table]:
        start, count = self._vector(at, slot, 4)
        return [self.table(kind, self.file.follow(start + 4 * n)) for n in range(count)]

    def _numbers(self, letter: str, at: int, slot: int) -> list[Any]:
        start, count = self._vector(at, slot, struct.calcsize(letter))
        dtype = np.dtype(letter).newbyteorder("<")
        found: list[Any] = np.frombuffer(self._content, dtype, count, start).tolist()
        return found

    def _vector(self, at: int, slot: int, size: int) -> tuple[int, int]:
        """First element and length of a vector of elements of a size in bytes."""
        start, count = self.file.vector(at, slot, len(self._content))
        self._take(count * size)
        if start + count * size > len(self._content):
            raise struct.error("vector past the end of the file")
        return start, count

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise struct.error("tables that overlap")


@cache
def _target(kind: Any, name: str) -> type[FlatTable]:
    """The kind of table that a field refers to."""
    found = get_type_hints(kind)[name]
    while isinstance(found, types.UnionType | types.GenericAlias):
        found = get_args(found)[0]
    target: type[FlatTable] = found
    return target
