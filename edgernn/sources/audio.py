"""Sound: WAV files, and microphones through ALSA."""

from __future__ import annotations

import logging
import os
import select
import shutil
import subprocess
import time
import wave
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from edgernn.connections.arrival import Arrival, ArrivalBatch, EndOfSource
from edgernn.connections.fields import KEY_OPTION
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.connections.registry import Connection
from edgernn.connections.troubles import Backoff, Troubles
from edgernn.errors import SourceError

_LOG: Final = logging.getLogger("edgernn.sources.microphone")
_FULL_SCALE: Final = 32_768.0
#: Bytes of a pipe that are read at once.
_CHUNK: Final = 1 << 16
#: Bytes that are kept of what arecord says.
_SAID: Final = 4096
#: Seconds by which the clock of the samples may differ from that of the machine.
_APART_S: Final = 1.0
#: Where the samples are ahead by no more, their times slow down; further ahead, they go back.
_SLOWED_S: Final = 60.0
#: Share by which they slow down.
_SLOWER: Final = 0.01

_AUDIO_OPTIONS: Final = (
    ConnectionOption(
        name="rate_hz",
        help="Samples per second that the model was trained for.",
        kind="integer",
        default=16_000,
        low=100,
        high=384_000,
    ),
    ConnectionOption(
        name="block",
        help="Samples in one reading, one after another; 0: as many as the model has channels.",
        kind="integer",
        default=0,
        low=0,
        high=1 << 20,
    ),
    ConnectionOption(
        name="unit",
        help="Unit of samples: numbers of 16 bits, or shares of full scale from -1 to 1.",
        default="int16",
        choices=("int16", "full_scale"),
    ),
    KEY_OPTION,
)


class _AudioSource(Connection):
    """A source whose readings are blocks of samples, each with the time at which it ended."""

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Open nothing."""
        super().__init__(values)
        self._rate_hz = values.integer("rate_hz")
        self._block = values.integer("block") or max(1, len(channels))
        self._per_unit = 1.0 if values.text("unit") == "int16" else _FULL_SCALE
        self._key = values.text("key") or self.name
        self._begin_s, self._taken = 0.0, 0

    def blocks(self, samples: npt.NDArray[np.int16]) -> list[Arrival]:
        """Readings of whole blocks.

        Args:
            samples: int16 [N * block].
        """
        rows = (samples.reshape(-1, self._block) / self._per_unit).tolist()
        first, step_s = self._taken, self._block / self._rate_hz
        self._taken += len(rows)
        return [
            Arrival(self._key, row, self._begin_s + (first + n) * step_s)
            for n, row in enumerate(rows, 1)
        ]

    def acknowledge(self, batch: ArrivalBatch) -> None:
        """See `ReadingSource.acknowledge`: there is nothing to do."""


class WavSource(_AudioSource):
    """The first channel of a WAV file."""

    KIND: ClassVar[str] = "wav"
    HELP: ClassVar[str] = "Sound from a WAV file; of several channels the first is read."
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(name="path", help="The file.", example="recording.wav"),
        ConnectionOption(
            name="begin_s",
            help="Time at which the recording began, in seconds since 1970; a reading has the time "
            "at which its block ended.",
            kind="number",
            default=0.0,
            low=0.0,
        ),
        *_AUDIO_OPTIONS,
    )

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Open nothing."""
        super().__init__(values, channels)
        self._file: wave.Wave_read | None = None

    def open(self, position: Any) -> None:
        """See `ReadingSource.open`."""
        where, path = self.values.where, self.values.text("path")
        try:
            file = wave.open(path, "rb")  # noqa: SIM115 - closed by close()
        except (OSError, EOFError, wave.Error) as error:
            raise SourceError(
                f"{where}, path: expected a WAV file of whole numbers, got {error} ({path}). "
                f"Convert it with: ffmpeg -i IN -ac 1 -ar {self._rate_hz} OUT.wav"
            ) from error
        if file.getframerate() != self._rate_hz:
            got = file.getframerate()
            file.close()
            raise SourceError(
                f"{where}, path: expected {self._rate_hz} samples per second, got {got} ({path}). "
                f"Convert it with: ffmpeg -i IN -ac 1 -ar {self._rate_hz} OUT.wav"
            )
        self._file, self._begin_s, self._taken = file, self.values.number("begin_s"), 0
        if isinstance(position, dict):
            self._taken = int(position.get("block", 0))
            file.setpos(min(self._taken * self._block, file.getnframes()))

    def read(self, most: int, timeout_s: float) -> ArrivalBatch:  # noqa: ARG002
        """See `ReadingSource.read`."""
        if self._file is None:
            raise EndOfSource
        frames = self._file.readframes(max(1, most) * self._block)
        width, channels = self._file.getsampwidth(), self._file.getnchannels()
        samples = _int16(frames, width).reshape(-1, channels)[:, 0]
        whole = len(samples) // self._block * self._block
        if not whole:
            raise EndOfSource
        arrivals = self.blocks(samples[:whole])
        return ArrivalBatch(arrivals, {"block": self._taken})

    def close(self) -> None:
        """See `ReadingSource.close`."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _int16(frames: bytes, width: int) -> npt.NDArray[np.int16]:
    """Samples of 1 to 4 bytes as those of 16 bits; of wider ones the upper bits."""
    frames = frames[: len(frames) // width * width]
    if width == 1:
        return ((np.frombuffer(frames, np.uint8).astype(np.int16) - 128) * 256).astype(np.int16)
    data = np.frombuffer(frames, np.uint8).reshape(-1, width)[:, -2:]
    return np.ascontiguousarray(data).view("<i2")[:, 0]


class MicrophoneSource(_AudioSource):
    """A microphone through ALSA's arecord, which is started again whenever it ends.

    Times follow the samples. Where they differ from the machine's clock by more than a second, as
    after lost samples, or because both clocks drift apart, they follow the machine's clock.
    """

    KIND: ClassVar[str] = "microphone"
    HELP: ClassVar[str] = "A microphone through ALSA; it needs the program arecord of alsa-utils."
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(
            name="device",
            help="Device as arecord -L lists it.",
            default="default",
            example="plughw:1,0",
        ),
        *_AUDIO_OPTIONS,
    )

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Start nothing."""
        super().__init__(values, channels)
        self.troubles = Troubles(_LOG, self.name)
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = self._said = b""
        self._backoff = Backoff(0.5, 30.0)
        self._try_at_s = 0.0

    def open(self, position: Any) -> None:  # noqa: ARG002
        """See `ReadingSource.open`."""
        if shutil.which("arecord") is None:
            raise SourceError(
                f"{self.values.where}: expected the program arecord, which is not installed. "
                "Install it with: sudo apt install alsa-utils"
            )
        self._begin()

    def _begin(self) -> None:
        device, rate = self.values.text("device"), str(self._rate_hz)
        form = ["-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", rate]
        self._process = subprocess.Popen(
            ["arecord", "-D", device, *form],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        self._begin_s, self._taken, self._rest, self._said = time.time(), 0, b"", b""

    def read(self, most: int, timeout_s: float) -> ArrivalBatch:
        """See `ReadingSource.read`."""
        if self._process is None:
            wait_s = self._try_at_s - time.monotonic()
            time.sleep(max(0.0, min(wait_s, timeout_s)))
            if wait_s > timeout_s:
                return ArrivalBatch([])
            self._begin()
        assert self._process is not None and self._process.stdout is not None
        self._listen(self._process)
        size = 2 * self._block
        if len(self._rest) < size:
            pipe = self._process.stdout.fileno()
            if not select.select([pipe], [], [], timeout_s)[0]:
                return ArrivalBatch([])
            chunk = os.read(pipe, _CHUNK)
            if not chunk:
                self._ended(self._process)
                return ArrivalBatch([])
            self._rest += chunk
            if not select.select([pipe], [], [], 0.0)[0]:  # nothing waits: the last one is of now
                self._compare_clocks(len(chunk) // 2)
        whole = min(len(self._rest) // size, max(1, most)) * size
        samples = np.frombuffer(self._rest[:whole], "<i2")
        self._rest = self._rest[whole:]
        if whole:
            self._backoff.reset()
        return ArrivalBatch(self.blocks(samples))

    def _compare_clocks(self, samples: int) -> None:
        """Correct the times of samples that are not delivered yet.

        Args:
            samples: that have come since the last look.
        """
        received = self._taken * self._block + len(self._rest) // 2
        behind_s = time.time() - self._begin_s - received / self._rate_hz
        if received == samples:  # the first ones: the device took a while to begin
            self._begin_s += behind_s
        elif -_SLOWED_S <= behind_s < -_APART_S:  # readings that go back would be dropped as late
            self._begin_s -= min(_SLOWER * samples, self._block / 2) / self._rate_hz
        elif abs(behind_s) > _APART_S:
            self._begin_s += behind_s
            _LOG.info(
                "%s: times of the sound are moved by %.1f s, to the clock of this machine",
                self.name, behind_s,
            )  # fmt: skip

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Read what the program says: with a full pipe it would wait forever."""
        assert process.stderr is not None
        while said := process.stderr.read(_CHUNK):
            self._said = (self._said + said)[-_SAID:]

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        self._listen(process)
        _, rest = process.communicate()
        said = self._said + rest[-_SAID:]
        self._process = None
        self._try_at_s = time.monotonic() + self._backoff.wait_s()
        text = said.decode("utf-8", "replace").strip().splitlines()
        why = text[-1] if text else f"its end (status {process.returncode})"
        device = self.values.text("device")
        self.troubles.tell(f"expected sound from {device}, got {why:.200}. Trying again")

    def close(self) -> None:
        """See `ReadingSource.close`."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.communicate()
