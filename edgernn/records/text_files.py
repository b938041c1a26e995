"""Text in and out: standard streams, compression, encodings."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO, cast

from edgernn.errors import EdgeRnnError

#: Lines of a file that are looked at before the first is used. A pipe shows its first line alone:
#: the next may come tomorrow.
SAMPLE_LINES: Final = 20
COMPRESSED: Final = (".gz", ".xz")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_XZ_MAGIC: Final = b"\xfd7zXZ\x00"
#: Byte order marks; the longer one first where one begins with another.
_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def inner_suffix(name: str) -> str:
    """The suffix of a name without that of a compression, in lower case; "" for "-"."""
    path = Path(name)
    if path.suffix.lower() in COMPRESSED:
        path = path.with_suffix("")
    return path.suffix.lower()


class TextSource:
    """Lines of a file or of the standard input.

    Nothing is read before `look` or `lines`, so the caller decides how to wait for the first line.

    Attributes:
        name: what messages call it.
        suffix: of the file, see `inner_suffix`.
        sample: the first lines, once `look` was called; `lines` has them too.
        live: lines come as they are made; `look` reads the first one alone.
    """

    def __init__(self, raw: BinaryIO, name: str, encoding: str | None) -> None:
        """Read from there later."""
        self.name = "stdin" if name == "-" else name
        self.suffix = "" if name == "-" else inner_suffix(name)
        self.sample: tuple[str, ...] = ()
        self.live = not raw.seekable()
        self._raw, self._encoding = raw, encoding
        self._text: io.TextIOWrapper | None = None
        self._rest: Generator[str, None, None] = _readable((), self.name)

    def look(self) -> tuple[str, ...]:
        """Open the text and read its first lines.

        Raises:
            EdgeRnnError: a damaged compressed file.
        """
        with damage_named(self.name):
            binary = decompressed(self._raw)
            codec = _codec(self._encoding, binary.peek(64))
        self._text = io.TextIOWrapper(binary, encoding=codec, errors="replace")
        self._rest = _readable(self._text, self.name)
        self.sample = _sample(self._rest, 1 if self.live else SAMPLE_LINES)
        return self.sample

    def lines(self) -> Iterator[str]:
        """All lines, read as they come."""
        if self._text is None:
            self.look()
        yield from self.sample
        yield from self._rest

    def close(self) -> None:
        """Let go of the stream below, which stays open."""
        self._rest.close()
        if self._text is not None:
            self._text.detach()


@contextlib.contextmanager
def open_text(name: str, encoding: str | None = None) -> Iterator[TextSource]:
    """Lines of a file, of "-" for the standard input; .gz and .xz are told by their content.

    Args:
        name: the file.
        encoding: of the text; by default that of its byte order mark, UTF-16 where every second
            byte is zero, else UTF-8. Bytes that are no text become U+FFFD.

    Raises:
        EdgeRnnError: no standard input.
        OSError: the file cannot be read.
    """
    with _opened(name) as raw, contextlib.closing(TextSource(raw, name, encoding)) as source:
        yield source


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name != "-":
        with Path(name).open("rb") as file:
            yield file
        return
    if sys.stdin is None:
        raise EdgeRnnError(
            "stdin: expected readings on standard input, got a closed stream. Pass a file with "
            "--input, or redirect one: < readings.csv"
        )
    binary = getattr(sys.stdin, "buffer", None)
    if binary is None:  # a caller's own text stream
        binary = io.BytesIO(sys.stdin.read().encode("utf-8", "replace"))
    yield binary


def decompressed(raw: BinaryIO) -> Any:
    """The content of a file as a buffered reader, decompressed where it is gzip or xz."""
    buffered: Any = raw if hasattr(raw, "peek") else io.BufferedReader(cast(Any, raw))
    head = buffered.peek(len(_XZ_MAGIC))
    if head.startswith(_GZIP_MAGIC):
        import gzip

        return gzip.GzipFile(fileobj=buffered, mode="rb")
    if head.startswith(_XZ_MAGIC):
        import lzma

        return lzma.LZMAFile(buffered)
    return buffered


def _codec(encoding: str | None, head: bytes) -> str:
    if encoding is not None:
        return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return codec
    even, odd = head[: len(head) // 2 * 2 : 2], head[1::2]
    if len(odd) >= 2 and not any(odd) and all(even):
        return "utf-16-le"
    if len(odd) >= 2 and not any(even) and all(odd):
        return "utf-16-be"
    return "utf-8"


def _sample(lines: Iterator[str], count: int) -> tuple[str, ...]:
    """The first lines, as far as ``count`` of them that are not blank."""
    sample: list[str] = []
    while count and (line := next(lines, None)) is not None:
        sample.append(line)
        count -= bool(line.strip())
    return tuple(sample)


def _readable(text: Iterable[str], name: str) -> Generator[str, None, None]:
    with damage_named(name):
        for line in text:  # noqa: UP028 - "yield from" would close the text with the generator
            yield line


@contextlib.contextmanager
def damage_named(name: str) -> Iterator[None]:
    """What goes wrong while a file is read, in one sentence."""
    try:
        yield
    except Exception as error:
        known = isinstance(error, (EOFError, OSError, UnicodeError))
        # By name: the modules of compression are not imported without need.
        if not known and type(error).__module__ not in ("zlib", "_lzma"):
            raise
        raise EdgeRnnError(
            f"{name}: expected a file that is readable to its end, got {error!s:.120}. Copy or "
            "record it again."
        ) from error


class LineSink:
    """Lines to a file or to the standard output.

    Args:
        begin: gives the stream that takes the text; called once, for the first line.
        live: every line is passed on immediately.
    """

    def __init__(self, begin: Callable[[], TextIO], live: bool) -> None:
        """Nothing is written yet."""
        self._begin, self._live = begin, live
        self._stream: TextIO | None = None

    def stream(self) -> TextIO:
        """Where lines go; what the file held before is gone."""
        if self._stream is None:
            self._stream = self._begin()
        return self._stream

    def write(self, line: str) -> None:
        """One line, without its end."""
        print(line, file=self.stream(), flush=self._live)


def open_kept(name: str) -> BinaryIO:
    """A file to write that keeps what it holds until `begin_anew`: a refused run erases nothing.

    Raises:
        OSError: the file cannot be written.
    """
    return open(name, "wb", opener=lambda path, flags: os.open(path, flags & ~os.O_TRUNC, 0o666))


def begin_anew(file: BinaryIO) -> None:
    """Drop what a regular file holds."""
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.truncate(0)


@contextlib.contextmanager
def open_sink(name: str) -> Iterator[LineSink]:
    """Lines into a file, UTF-8, compressed where it is called .gz or .xz; "-" is stdout.

    Raises:
        OSError: the file cannot be written.
    """
    if name == "-":
        yield LineSink(lambda: sys.stdout, live=True)
        return
    suffix = Path(name).suffix.lower()
    with open_kept(name) as file, contextlib.ExitStack() as layers:

        def begin() -> TextIO:
            begin_anew(file)
            packed = file
            if suffix in COMPRESSED:
                packed = layers.enter_context(_compressor(suffix, file))
            return layers.enter_context(io.TextIOWrapper(packed, encoding="utf-8"))

        # A block per line would be larger than the line: compressed files are complete at the end.
        sink = LineSink(begin, live=suffix not in COMPRESSED)
        yield sink
        sink.stream()  # a stream without a line leaves an empty file


def _compressor(suffix: str, file: BinaryIO) -> Any:
    if suffix == ".gz":
        import gzip

        return gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0)
    import lzma

    return lzma.LZMAFile(file, "wb")
