"""Lines of a file that may grow, be cut or be replaced, or of a pipe; no line takes much memory."""

from __future__ import annotations

import lzma
import os
import select
import stat
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from edgernn.connections.arrival import EndOfSource
from edgernn.errors import EdgeRnnError, SourceError
from edgernn.records.text_files import COMPRESSED, damage_named, decompressed

_CHUNK: Final = 1 << 16
#: How often a file is looked at for more.
_LOOK_S: Final = 0.2
#: Bytes at the beginning of a file, and before the place where reading stopped, that are compared.
_KNOWN_BYTES: Final = 64


@dataclass(slots=True)
class FileLine:
    """One line.

    Attributes:
        data: without its end; None where it was too long, and is dropped.
        end: bytes of the file up to its end.
        first: it is the first line of a file.
        size: bytes of the line, dropped or not.
        head: what the file begins with, up to the line's end.
    """

    data: bytes | None
    end: int
    first: bool
    size: int
    head: bytes


class LineReader(Protocol):
    """Where lines come from.

    Attributes:
        damage: why there are no more; "" if nothing is wrong.
    """

    damage: str

    def open(self, position: Any) -> None:
        """Begin, or go on at a position."""
        ...

    def read(self, most: int, timeout_s: float) -> list[FileLine]:
        """The lines that there are, after at most ``timeout_s``."""
        ...

    def position(self, line: FileLine) -> dict[str, Any] | None:
        """Where to go on after a line; None where that is not possible."""
        ...

    def head(self) -> list[bytes]:
        """The first lines, read apart."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class LineCutter:
    """Cuts bytes into lines, and drops those that are too long.

    Args:
        most_bytes: of a line.
    """

    def __init__(self, most_bytes: int) -> None:
        """At the beginning of a file."""
        self._most_bytes = most_bytes
        self.begin(0)

    def begin(self, offset: int, head: bytes = b"") -> None:
        """Begin a file, or go on in it.

        Args:
            offset: bytes of the file that were cut already.
            head: what these begin with.
        """
        self._part = bytearray()
        self._size, self._end, self._first = 0, offset, offset == 0
        self._head = head

    def cut(self, chunk: bytes) -> Iterator[FileLine]:
        """The lines that a chunk completes."""
        if len(self._head) < _KNOWN_BYTES:
            self._head = (self._head + chunk)[:_KNOWN_BYTES]
        begin = 0
        while (end := chunk.find(b"\n", begin)) >= 0:
            self._keep(chunk[begin:end])
            yield self._line(1)
            begin = end + 1
        self._keep(chunk[begin:])

    def rest(self) -> Iterator[FileLine]:
        """The last line, if it has no end."""
        if self._size:
            yield self._line(0)

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._most_bytes:
            self._part += part
        else:
            self._part.clear()

    def _line(self, ends: int) -> FileLine:
        size, self._size = self._size, 0
        self._end += size + ends
        data = bytes(self._part).rstrip(b"\r") if size <= self._most_bytes else None
        self._part.clear()
        first, self._first = self._first, False
        if first and data is not None:
            data = data.removeprefix(b"\xef\xbb\xbf")
        return FileLine(data, self._end, first, size, self._head[: self._end])


class LineFile:
    """Reads the lines of a file, of "-" for the standard input, or of a pipe.

    Args:
        path: of the file.
        follow: wait for more at the end; a file that is cut or replaced is read from its beginning.
        most_bytes: of a line.
        where: what messages call it.

    Attributes:
        damage: why the file cannot be read to its end; "" if nothing is wrong.
    """

    def __init__(self, path: str, follow: bool, most_bytes: int, where: str) -> None:
        """Open nothing."""
        self._path, self._follow, self._where = path, follow, where
        self._cutter = LineCutter(most_bytes)
        self._raw: BinaryIO | None = None
        self._file: Any = None
        self._offset, self._begun_at = 0, 0
        self._pipe = False
        self._waiting: list[FileLine] = []
        self._ended = False
        #: Where to go on in the first file that is opened.
        self._position: Any = None
        self.damage = ""

    def open(self, position: Any) -> None:
        """Open the file, and continue at a position.

        Raises:
            SourceError: there is no such file, or it cannot be read.
        """
        self._position = position
        try:
            self._open_file()
        except FileNotFoundError as error:
            if not self._follow:
                raise SourceError(
                    f"{self._where}, path: expected a file, got none at {self._path}. Name a file "
                    "that exists, or wait for it with follow = true."
                ) from error
        except OSError as error:
            raise SourceError(
                f"{self._where}, path: expected a file that this user can read, got {error}."
            ) from error

    def _open_file(self) -> None:
        if self._path == "-":
            raw: BinaryIO = os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
        else:
            # A named pipe must not wait here for a writer.
            raw = open(  # noqa: SIM115 - open for years
                self._path,
                "rb",
                buffering=0,
                opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK),
            )
        self._raw = self._file = raw
        self._pipe = not stat.S_ISREG(os.fstat(raw.fileno()).st_mode)
        if Path(self._path).suffix.lower() in COMPRESSED and not self._pipe:
            self._file = decompressed(raw)
        self._offset = 0
        self._cutter.begin(0)
        position, self._position = self._position, None
        if isinstance(position, dict) and not self._pipe and not self._skip(position):
            self.close()
            self._open_file()

    def _skip(self, position: dict[str, Any]) -> bool:
        """Skip what was read; False if that was in another file."""
        offset, head, last = int(position.get("offset", 0)), b"", b""
        while self._offset < offset:
            try:
                chunk = self._file.read(min(_CHUNK, offset - self._offset))
            except (OSError, EOFError, zlib.error, lzma.LZMAError):
                return False
            if not chunk:  # shorter than it was
                return False
            self._offset += len(chunk)
            head += chunk[: _KNOWN_BYTES - len(head)]
            last = (last + chunk)[-_KNOWN_BYTES:]
        self._cutter.begin(offset, head)
        line = bytes.fromhex(position.get("line", ""))
        return head.hex() == position.get("begin") and last.rstrip(b"\r\n").endswith(line)

    def position(self, line: FileLine) -> dict[str, Any] | None:
        """Where to go on after a line; None for a pipe.

        Other files differ in how they begin, or, behind the same header, in that line.
        """
        if self._pipe or self._path == "-":
            return None
        end = (line.data or b"")[-_KNOWN_BYTES // 2 :]
        return {"offset": line.end, "begin": line.head.hex(), "line": end.hex()}

    def head(self) -> list[bytes]:
        """The first lines of the file, read apart."""
        if self._pipe or self._path == "-" or not Path(self._path).exists():
            return []
        with Path(self._path).open("rb") as raw:
            compressed = Path(self._path).suffix.lower() in COMPRESSED
            file = decompressed(raw) if compressed else raw
            chunk = file.read(_CHUNK)
        return chunk.removeprefix(b"\xef\xbb\xbf").splitlines()[:20]

    def read(self, most: int, timeout_s: float) -> list[FileLine]:
        """The lines that there are, after at most ``timeout_s``.

        Raises:
            EndOfSource: the file has ended, and is not followed.
        """
        deadline = time.monotonic() + timeout_s
        while len(self._waiting) < most:
            if self._ended:
                if self._waiting or self.damage:
                    break
                raise EndOfSource
            if self._fill(0 if self._waiting else deadline - time.monotonic()):
                continue
            if self._waiting or time.monotonic() >= deadline:
                break
        lines, self._waiting = self._waiting[:most], self._waiting[most:]
        return lines

    def _fill(self, wait_s: float) -> bool:
        """Read a chunk; False where there is none."""
        if self._file is None and not self._try_open(wait_s):
            return False
        if self._pipe and not select.select([self._file], [], [], max(0.0, wait_s))[0]:
            return False
        try:
            with damage_named(self._path):
                chunk = self._file.read(_CHUNK)
        except EdgeRnnError as error:
            self.damage, self._ended = str(error), True
            return True
        if chunk:
            self._offset += len(chunk)
            self._waiting += self._cutter.cut(chunk)
            return True
        if chunk is None:  # a pipe that has nothing now
            return False
        return self._at_end(wait_s)

    def _try_open(self, wait_s: float) -> bool:
        try:
            self._open_file()
        except OSError:
            time.sleep(max(0.0, min(_LOOK_S, wait_s)))
            return False
        return True

    def _at_end(self, wait_s: float) -> bool:
        if not self._follow:
            self._waiting += self._cutter.rest()
            self._ended = True
            return True
        if self._changed():
            self._waiting += self._cutter.rest()
            self.close()
            return True
        time.sleep(max(0.0, min(_LOOK_S, wait_s)))
        return False

    def _changed(self) -> bool:
        """Whether the file was cut, or another one has its name."""
        assert self._raw is not None
        if self._pipe:
            return self._path != "-"  # the writer has closed it; the next one may come
        own = os.fstat(self._raw.fileno())
        if own.st_size < self._offset:
            return True
        try:
            named = Path(self._path).stat()
        except OSError:
            return False  # moved away; the next one is not there yet
        return (named.st_dev, named.st_ino) != (own.st_dev, own.st_ino)

    def close(self) -> None:
        """Close the file."""
        for file in (self._file, self._raw):
            if file is not None:
                file.close()
        self._file = self._raw = None
