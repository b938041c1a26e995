"""What a service keeps of each stream beside the model's state, and all of it as bytes."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

from edgernn.errors import StateError

_MAGIC: Final = b"ERSV"
_VERSION: Final = 1
#: Magic, version, steps, number and time of the last reading, lengths of the three parts.
_HEAD: Final = struct.Struct("<4sIqqdIII")
_CRC: Final = struct.Struct("<I")
#: A number that no source gives.
UNNUMBERED: Final = -(1 << 63)
#: A clock may be ahead of that of the service by so much; times further ahead mean nothing.
_AHEAD_S: Final = 86_400.0
#: 2024-01-01: a service whose own clock is before it cannot judge others.
_CLOCK_IS_SET_S: Final = 1_704_067_200.0


@dataclass(slots=True)
class StreamRecord:
    """One stream of a service.

    Attributes:
        steps: prepared readings so far.
        number: that the source gave the last reading; UNNUMBERED if it gave none.
        time_s: that the source gave the last reading whose time may be right; NaN without one.
        repeated: readings in a row that came before; not saved.
        preparation: the stream of the preparation; None without one.
        decisions: the stream of the decisions; None without any.
    """

    steps: int = 0
    number: int = UNNUMBERED
    time_s: float = float("nan")
    repeated: int = 0
    preparation: Any = None
    decisions: Any = None

    def repeats(
        self, number: int | None, time_s: float | None, now_s: float = float("nan")
    ) -> bool:
        """Whether a reading came before.

        A source repeats readings after a restart, with the numbers and times of then. A device that
        restarts counts from the beginning, and its times go on; so a low number with a later time
        is a new reading. A time more than a day ahead of the service's clock counts as none: after
        a clock that was wrong, as in 2099, the first right time is a later one.

        Args:
            number: of the reading; None where the source has none.
            time_s: that the source gave; None where it gave none.
            now_s: the time of the service; NaN where it is not known.
        """
        if number is None or number > self.number:
            return False
        if time_s is None or not _may_be_right(time_s, now_s):
            return True
        return time_s <= self.time_s

    def take(self, number: int | None, time_s: float | None, now_s: float) -> None:
        """Remember a reading; arguments as in `repeats`."""
        self.repeated = 0
        if number is not None:
            self.number = number
        if time_s is not None and _may_be_right(time_s, now_s):
            self.time_s = time_s

    def to_bytes(self, state: bytes) -> bytes:
        """The whole stream.

        Args:
            state: of the model, as a pool exports it.
        """
        streams = (self.preparation, self.decisions)
        parts = [state, *(b"" if stream is None else stream.to_bytes() for stream in streams)]
        lengths = map(len, parts)
        head = _HEAD.pack(_MAGIC, _VERSION, self.steps, self.number, self.time_s, *lengths)
        body = b"".join([head, *parts])
        return body + _CRC.pack(zlib.crc32(body))


def _may_be_right(time_s: float, now_s: float) -> bool:
    is_ahead = now_s >= _CLOCK_IS_SET_S and time_s > now_s + _AHEAD_S
    return math.isfinite(time_s) and not is_ahead


def split_bytes(blob: bytes, key: str) -> tuple[StreamRecord, bytes, bytes, bytes]:
    """The parts of what `StreamRecord.to_bytes` returned.

    Args:
        blob: the bytes.
        key: the stream, for messages.

    Returns:
        A record without streams, the model's state, and the states of preparation and decisions.

    Raises:
        StateError: the bytes are damaged, or of another version.
    """
    body = blob[: -_CRC.size]
    if len(blob) < _HEAD.size + _CRC.size or blob[:4] != _MAGIC:
        raise StateError(
            f"state of '{key:.60}': expected a stream of a service, got {len(blob)} other bytes. "
            "Drop the stream, and it begins again."
        )
    if zlib.crc32(body) != _CRC.unpack_from(blob, len(body))[0]:
        raise StateError(
            f"state of '{key:.60}': expected undamaged bytes, got a wrong checksum. "
            "Restore the store from a copy, or drop the stream, and it begins again."
        )
    _, version, steps, number, time_s, *lengths = _HEAD.unpack_from(blob)
    if version != _VERSION or len(body) != _HEAD.size + sum(lengths):
        raise StateError(
            f"state of '{key:.60}': expected version {_VERSION}, got {version}. "
            "Use the version of edgernn that wrote it."
        )
    parts, start = [], _HEAD.size
    for length in lengths:
        parts.append(body[start : start + length])
        start += length
    state, preparation, decisions = parts
    return StreamRecord(steps=steps, number=number, time_s=time_s), state, preparation, decisions
