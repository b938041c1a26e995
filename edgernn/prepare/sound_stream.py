"""The preparation of one stream of sound: blocks of samples in, rows of log-mel features out."""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from edgernn.errors import ReadingError, StateError
from edgernn.prepare.audio.front_end import FrontEnd
from edgernn.prepare.audio.log_mel import LogMel
from edgernn.prepare.part import Prepared
from edgernn.prepare.stream import PreparationStream

if TYPE_CHECKING:
    from edgernn.prepare.preparation import Preparation

_HEAD: Final = struct.Struct("<qqI")
_CRC: Final = struct.Struct("<I")


@functools.lru_cache(maxsize=16)
def _front_end(settings: LogMel) -> FrontEnd:
    return FrontEnd(settings)


class SoundPreparationStream(PreparationStream):
    """Prepares the samples of one stream of sound, in blocks of any length."""

    __slots__ = ("_rows", "_samples", "_settings", "_sound")

    def __init__(self, preparation: Preparation, settings: LogMel) -> None:
        """A stream before its first sample.

        Args:
            preparation: with one raw channel and no steps.
            settings: of its log-mel front end.
        """
        super().__init__(preparation)
        self._settings = settings
        self._begin()

    def _begin(self) -> None:
        self._sound = _front_end(self._settings).stream()
        #: Samples and rows so far.
        self._samples = self._rows = 0

    def push(
        self, time_s: float | None, values: Sequence[float], sequence: int | None = None
    ) -> list[Prepared]:
        """Take a block of samples of the one raw channel.

        Args:
            time_s: at which the block ended, seconds since 1970-01-01 UTC; None in a stream without
                times, whose rows then have the seconds since the sound began.
            values: int16 samples [N] as numbers, N >= 0. Those beyond the range are clipped and
                counted; missing ones are silence, and counted as filled.
            sequence: number of the block, where the source numbers them.

        Returns:
            The rows whose frames end in this block, each with the time at which its frame ended.

        Raises:
            ReadingError: no vector of numbers, or a time that `PreparationStream.push` refuses.
        """
        try:
            x = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ReadingError(f"preparation: expected samples, got {error!s:.100}.") from error
        if x.ndim != 1:
            raise ReadingError(f"preparation: expected samples [N], got {list(x.shape)}.")
        accepted = self._accepted(time_s, sequence)
        if accepted is None:
            return []
        end_s, reset = accepted
        if reset:
            self._begin()
        missing = np.isnan(x)
        self.counts["filled"] += int(np.count_nonzero(missing))
        x = np.rint(np.where(missing, 0.0, x))
        self.counts["clipped"] += int(np.count_nonzero((x < -32768) | (x > 32767)))
        features = self._sound.push(np.clip(x, -32768, 32767).astype(np.int16))
        self._samples += len(x)
        rate = self._settings.rate_hz
        if time_s is None:
            end_s = self._samples / rate
        found = []
        for row in features.tolist():
            last = self._rows * self._settings.hop + self._settings.frame
            found.append(Prepared(end_s - (self._samples - last) / rate, row, reset))
            reset = False
            self._rows += 1
        return found

    def to_bytes(self) -> bytes:
        """See `PreparationStream.to_bytes`."""
        own, sound = PreparationStream.to_bytes(self), self._sound.to_bytes()
        body = _HEAD.pack(self._samples, self._rows, len(own)) + own + sound
        return body + _CRC.pack(zlib.crc32(body))

    def from_bytes(self, blob: bytes) -> None:
        """See `PreparationStream.from_bytes`."""
        intact = len(blob) > _HEAD.size + _CRC.size
        if not intact or _CRC.unpack(blob[-_CRC.size :])[0] != zlib.crc32(blob[: -_CRC.size]):
            raise StateError(
                "preparation: expected the bytes of a stream of sound with the right checksum, got "
                f"{len(blob)} others. Load an older snapshot, or reset the stream."
            )
        samples, rows, length = _HEAD.unpack_from(blob)
        middle = _HEAD.size + length
        sound = _front_end(self._settings).stream()
        sound.from_bytes(blob[middle : -_CRC.size])
        PreparationStream.from_bytes(self, blob[_HEAD.size : middle])
        self._sound, self._samples, self._rows = sound, samples, rows
