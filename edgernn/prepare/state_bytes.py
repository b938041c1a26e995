"""States of preparations and decisions as bytes: whose they are, and a checksum."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final, Protocol

from edgernn.errors import StateError

_HEAD: Final = struct.Struct("<5s16sHI")
_CRC: Final = struct.Struct("<I")


class Remembering(Protocol):
    """A part of a stream that gives and takes its state."""

    def state(self) -> list[float]:
        """What the part remembers."""
        ...

    def restore(self, values: list[float], /) -> None:
        """Remember what `state` gave."""
        ...


def packed(
    magic: bytes, sha256: str, counts: Sequence[int], own: list[float], parts: Sequence[Remembering]
) -> bytes:
    """A state as bytes.

    Args:
        magic: 5 bytes: what it is, and the version.
        sha256: of the declaration (hex).
        counts: integers.
        own: what the stream itself remembers.
        parts: of the stream.
    """
    flat = list(own)
    for part in parts:
        state = part.state()
        flat += [float(len(state)), *state]
    head = _HEAD.pack(magic, bytes.fromhex(sha256)[:16], len(counts), len(flat))
    body = head + struct.pack(f"<{len(counts)}q{len(flat)}d", *counts, *flat)
    return body + _CRC.pack(zlib.crc32(body))


def unpacked(
    magic: bytes, sha256: str, counts: int, own: int, blob: bytes, what: str
) -> tuple[tuple[int, ...], list[float], list[float]]:
    """What `packed` was given: integers, what the stream itself remembers, the rest.

    Args:
        magic: as of `packed`.
        sha256: of the declaration (hex).
        counts: number of integers.
        own: number of values that the stream itself remembers.
        blob: the bytes.
        what: whose state it is, for messages.

    Raises:
        StateError: the bytes are damaged, or of another declaration.
    """
    if len(blob) < _HEAD.size + _CRC.size or blob[: len(magic)] != magic:
        raise StateError(
            f"{what}: expected the bytes of a {what} stream's to_bytes, got others. "
            "Reset the stream."
        )
    _, sha, integers, values = _HEAD.unpack_from(blob)
    size = _HEAD.size + 8 * (integers + values) + _CRC.size
    if len(blob) != size or zlib.crc32(blob[: -_CRC.size]) != _CRC.unpack(blob[-_CRC.size :])[0]:
        raise StateError(
            f"{what}: expected {size} bytes with the right checksum, got {len(blob)} damaged ones. "
            "Load an older snapshot, or reset the stream."
        )
    if sha != bytes.fromhex(sha256)[:16] or integers != counts:
        raise StateError(
            f"{what}: expected a state of the {what} {sha256[:12]}, got one of {sha.hex()[:12]}. "
            "Reset the stream."
        )
    numbers = struct.unpack_from(f"<{integers}q", blob, _HEAD.size)
    flat = list(struct.unpack_from(f"<{values}d", blob, _HEAD.size + 8 * integers))
    return numbers, flat[:own], flat[own:]


def restore_parts(parts: Sequence[Remembering], flat: list[float]) -> None:
    """Give every part its state back.

    Args:
        parts: of the stream.
        flat: what `unpacked` gave for them.
    """
    place = 0
    for part in parts:
        end = place + 1 + int(flat[place])
        part.restore(flat[place + 1 : end])
        place = end
