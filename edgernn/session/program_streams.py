"""The streams of the programs of a set: what others write into them, and all of them as bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Final

from edgernn.backends.streams.stream_bytes import (
    SET_MAGIC,
    VERSION,
    StreamContent,
    checked_bytes,
    decode_stream,
    recorded_name,
)
from edgernn.errors import StateError
from edgernn.model.formats import Int16Array
from edgernn.model.program_sets.program_set import ProgramInterfaces
from edgernn.session.checks import checked_state, named_state
from edgernn.session.session import Session

#: Magic, version, bytes of the name; SHA-256 of the set; programs, shared states.
_HEAD: Final = struct.Struct("<4sBB16sBH")
_LENGTH: Final = struct.Struct("<I")


class ProgramStream(Session):
    """The part of a stream that one program runs: a session whose states others write, too."""

    __slots__ = ()

    @property
    def last_codes(self) -> Int16Array | None:
        """Output codes [O] of the last step since the program began; None without one."""
        return self._stream.last

    def begin(self, vectors: Mapping[str, Int16Array]) -> None:
        """Continue from these states, and forget the last reading and the last output.

        Args:
            vectors: by name of every state.
        """
        specs = self._require_open().interface.states
        self._stream.state = tuple(vectors[spec.name] for spec in specs)
        self._early = None

    def take_over(self, vectors: Mapping[str, Int16Array]) -> None:
        """Put vectors in the place of some states; the last reading and output stay what they are.

        Args:
            vectors: by name of the states.
        """
        specs = self._require_open().interface.states
        state, *rest = self._stream.snapshot()
        replaced = tuple(vectors.get(s.name, old) for s, old in zip(specs, state, strict=True))
        self._stream.restore((replaced, *rest))

    def continue_from(self, content: StreamContent) -> None:
        """Continue from what bytes held."""
        self.bad_readings = self._read(content)


def encode_set(
    interfaces: ProgramInterfaces,
    sessions: Mapping[str, ProgramStream],
    begun: set[str],
    holders: Mapping[str, str],
) -> bytes:
    """The bytes of a stream through several programs (FORMAT.md section 10).

    Args:
        interfaces: of the programs.
        sessions: of each program.
        begun: the programs that have begun.
        holders: the program that has the current vector of each shared state.
    """
    name, names = recorded_name(interfaces.name), interfaces.names
    sha = bytes.fromhex(interfaces.sha256)[:16]
    parts = [
        _HEAD.pack(SET_MAGIC, VERSION, len(name), sha, len(names), len(holders)),
        name,
        bytes(program in begun for program in names),
        bytes(names.index(holders[state]) for state in interfaces.shared),
    ]
    for program in names:
        blob = sessions[program].to_bytes()
        parts += [_LENGTH.pack(len(blob)), blob]
    whole = b"".join(parts)
    return whole + zlib.crc32(whole).to_bytes(4, "little")


def decode_set(
    interfaces: ProgramInterfaces, blob: object, migrate: bool
) -> tuple[dict[str, StreamContent], set[str], dict[str, str]]:
    """The content of a stream through several programs, from its bytes.

    Returns:
        The content of each program; the programs that have begun; the holder of each shared state.

    Raises:
        StateError: not such bytes, damaged, or of another set.
    """
    whole = checked_bytes(blob, SET_MAGIC)
    names, shared = interfaces.names, tuple(interfaces.shared)
    try:
        _, _, name_bytes, sha, programs, states = _HEAD.unpack_from(whole)
        at = _HEAD.size + name_bytes
        if sha != bytes.fromhex(interfaces.sha256)[:16] and not migrate:
            name = whole[_HEAD.size : at].decode(errors="replace")
            raise StateError(
                f"state: expected one of the set '{interfaces.name}' (sha256 "
                f"{interfaces.sha256[:8]}), got one of '{name}' (sha256 {sha.hex()[:8]}). Load "
                "that set, or pass migrate=True if the new set continues its streams."
            )
        if (programs, states) != (len(names), len(shared)):
            raise StateError(
                f"state: expected {len(names)} programs that share {len(shared)} states, got "
                f"{programs} that share {states}. Load the set that wrote this state, or begin a "
                "new stream."
            )
        begun = {name for name, has in zip(names, whole[at:], strict=False) if has}
        at += programs
        holders = {state: names[i] for state, i in zip(shared, whole[at:], strict=False)}
        at += states
        contents = {}
        for program in names:
            (count,) = _LENGTH.unpack_from(whole, at)
            at += _LENGTH.size
            part = whole[at : at + count]
            contents[program] = content = decode_stream(part, interfaces[program], migrate=migrate)
            checked_state(interfaces[program], named_state(interfaces[program], content))
            at += count
    except (struct.error, IndexError):
        at = -1
    if at != len(whole) - 4:
        raise StateError(
            "state: expected the parts of FORMAT.md section 10, got others. Pass what `to_bytes` "
            "returned."
        )
    return contents, begun, holders
