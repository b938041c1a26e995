"""What edgernn reads from a .tflite file before any runtime sees it.

A runtime trusts the file it is given: a damaged one can crash the process. The few fields needed
here are read with every offset checked, and the file's own SHA-256 shows damage anywhere else.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from edgernn.container import programs_json
from edgernn.container.defects import FormatDefect
from edgernn.errors import FormatError
from edgernn.model.interface import Interface
from edgernn.model.program_sets.program_set import ProgramInterfaces

#: Larger files are not ours: eight layers of a thousand units stay far below.
MAX_FILE_BYTES: Final = 1 << 28
_MAX_ENTRIES: Final = 64
_MAX_BUFFERS: Final = 1 << 16
# Positions of fields in the tables Model, SignatureDef, Metadata and Buffer of the TFLite schema.
_MODEL_SUBGRAPHS, _MODEL_BUFFERS, _MODEL_METADATA, _MODEL_SIGNATURES = 2, 4, 6, 7
_SIGNATURE_KEY, _SIGNATURE_SUBGRAPH = 2, 4
_METADATA_NAME, _METADATA_BUFFER = 0, 1
_BUFFER_DATA = 0


def read_tflite(path: Path, program: str = "") -> tuple[bytes, Interface]:
    """Read one model of a file written by edgernn.

    Args:
        path: the .tflite file.
        program: which one of several; "" for the only one.

    Returns:
        Bytes of a file that has this model alone, and its interface. Those of the only model are
        the file's.

    Raises:
        FormatError: not a .tflite file, not written by edgernn, or damaged; or it holds several
            models and none is named, or one and a program is.
        ModelError: no program of this name.
    """
    content, found = read_either(path)
    try:
        interface = programs_json.one_interface(found, program)
    except FormatError as error:
        raise FormatError(f"file '{path.name}': {error}", defect=error.defect) from error
    return (narrowed(content, program) if program else content), interface


def read_programs(path: Path) -> ProgramInterfaces:
    """Read what links the programs of a file.

    Args:
        path: the .tflite file.

    Raises:
        FormatError: not a .tflite file, not written by edgernn, or damaged; or it holds one model.
    """
    _, found = read_either(path)
    if isinstance(found, ProgramInterfaces):
        return found
    raise FormatError(
        f"file '{path.name}': expected several programs, got one model ({found.name}). Load it "
        "with edgernn.load.",
        defect=FormatDefect.WRONG_KIND,
    )


def is_of_another_tool(path: Path) -> bool:
    """Whether a .tflite file is whole, as far as its metadata tell, and edgernn did not write it.

    Args:
        path: a file that begins as .tflite files do.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        return True
    try:
        return b"edgernn" not in dict(_metadata(Flatbuffer(path.read_bytes())))
    except struct.error:
        return False


def read_either(path: Path) -> tuple[bytes, Interface | ProgramInterfaces]:
    """Read a file written by edgernn, of one model or of programs that share states.

    Args:
        path: the .tflite file.

    Returns:
        Its bytes, and what its metadata say.

    Raises:
        FormatError: not a .tflite file, not written by edgernn, or damaged.
    """
    size = path.stat().st_size
    owner = f"file '{path.name}'"
    if size > MAX_FILE_BYTES:
        raise FormatError(f"{owner}: expected at most {MAX_FILE_BYTES} bytes, got {size}.")
    content = path.read_bytes()
    return content, parse_metadata(content, owner)


def narrowed(content: bytes, program: str) -> bytes:
    """The file with the graph and the signature of one program alone, in its first place.

    A signature's runner takes several times as long as a step; the interpreters' other calls
    support only the first graph. Constants stay where they are.

    Args:
        content: a file of several programs, whose hash was checked.
        program: name of a signature.

    Raises:
        FormatError: the file has no such signature.
    """
    file, changed = Flatbuffer(content), bytearray(content)
    model = file.follow(0)
    try:
        graphs, graph_count = file.vector(model, _MODEL_SUBGRAPHS, _MAX_ENTRIES)
        entries, count = file.vector(model, _MODEL_SIGNATURES, _MAX_ENTRIES)
        for index in range(count):
            signature = file.follow(entries + 4 * index)
            if file.text(signature, _SIGNATURE_KEY) != program.encode():
                continue
            at = file.field(signature, _SIGNATURE_SUBGRAPH)
            graph = 0 if at is None else file.read("I", at)
            if graph >= graph_count:
                raise struct.error("no such graph")
            if at is not None:
                struct.pack_into("<I", changed, at, 0)
            # A vector of tables: its length, then how far each one is from its entry.
            for first, table in ((graphs, file.follow(graphs + 4 * graph)), (entries, signature)):
                struct.pack_into("<II", changed, first - 4, 1, table - first)
            return bytes(changed)
    except struct.error as error:
        raise FormatError(
            f"tflite file: expected a graph for '{program}', got offsets that point elsewhere. "
            "Metadata and graph disagree; export the file again."
        ) from error
    raise FormatError(
        f"tflite file: expected a signature '{program}', got none. Metadata and graph "
        "disagree; export the file again."
    )


def parse_metadata(content: bytes, owner: str = "tflite file") -> Interface | ProgramInterfaces:
    """What is stored in the bytes of a .tflite file, after checking the file's hash.

    Args:
        content: the whole file.
        owner: names the file in messages.

    Raises:
        FormatError: see `read_either`.
    """
    if content[4:8] != b"TFL3":
        raise FormatError(
            f"{owner}: expected a TFLite flatbuffer (TFL3 at byte 4), got {content[4:8]!r}. "
            "The file is not a .tflite file or is truncated."
        )
    try:
        found = dict(_metadata(Flatbuffer(content)))
    except struct.error as error:
        raise FormatError(
            f"{owner}: expected offsets inside the file, got one past the end of its "
            f"{len(content)} bytes. The file is truncated or damaged; copy it again."
        ) from error
    if b"edgernn" not in found or b"edgernn.sha256" not in found:
        raise FormatError(
            f"{owner}: expected metadata written by edgernn, got a .tflite file without it. "
            "Write one with: edgernn export MODEL.edgernn --to tflite"
        )
    _check_digest(content, found[b"edgernn.sha256"], owner)
    start, end = found[b"edgernn"]
    return programs_json.loads(content[start:end])


class Flatbuffer:
    """Bounds-checked access; every read outside the file raises struct.error."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, form: str, at: int) -> Any:
        """One little-endian number, by its letter in struct."""
        if at < 0:
            raise struct.error("offset before the start of the file")
        return struct.unpack_from(f"<{form}", self._content, at)[0]

    def follow(self, at: int) -> int:
        """The position a forward offset points to."""
        return at + int(self.read("I", at))

    def field(self, table: int, slot: int) -> int | None:
        """Position of a table's field, None where it is absent."""
        vtable = table - self.read("i", table)
        place = 4 + 2 * slot
        if place + 2 > self.read("H", vtable):
            return None
        offset = self.read("H", vtable + place)
        return table + offset if offset else None

    def vector(self, table: int, slot: int, limit: int) -> tuple[int, int]:
        """First element and length of a table's vector field."""
        at = self.field(table, slot)
        if at is None:
            return 0, 0
        start = self.follow(at)
        length = self.read("I", start)
        if length > limit:
            raise struct.error("vector too long")
        return start + 4, length

    def span(self, table: int, slot: int) -> tuple[int, int]:
        """Start and end of a vector of bytes."""
        start, length = self.vector(table, slot, len(self._content))
        if start + length > len(self._content):
            raise struct.error("vector past the end of the file")
        return start, start + length

    def text(self, table: int, slot: int) -> bytes:
        """A string or a vector of bytes."""
        start, end = self.span(table, slot)
        return self._content[start:end]


def _metadata(file: Flatbuffer) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Name and place of every metadata entry."""
    model = file.follow(0)
    buffers, buffer_count = file.vector(model, _MODEL_BUFFERS, _MAX_BUFFERS)
    entries, count = file.vector(model, _MODEL_METADATA, _MAX_ENTRIES)
    for index in range(count):
        entry = file.follow(entries + 4 * index)
        at = file.field(entry, _METADATA_BUFFER)
        buffer = 0 if at is None else file.read("I", at)
        if buffer >= buffer_count:
            raise struct.error("no such buffer")
        table = file.follow(buffers + 4 * buffer)
        yield file.text(entry, _METADATA_NAME), file.span(table, _BUFFER_DATA)


def _check_digest(content: bytes, place: tuple[int, int], owner: str) -> None:
    """Compare the file with the SHA-256 stored in it (of the file with zeros in that place)."""
    start, end = place
    blank = hashlib.sha256(content[:start])
    blank.update(bytes(end - start))
    blank.update(content[end:])
    if blank.digest() != content[start:end]:
        raise FormatError(
            f"{owner}: expected content that matches the SHA-256 stored in the file, got other "
            "content. The file is damaged or was modified; export it again."
        )
