"""The integer front end in NumPy: samples to levels (NUMERICS.md section 11)."""

from __future__ import annotations

import struct
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import ShapeError, StateError
from edgernn.prepare.audio.log_mel import LogMel, Reals
from edgernn.prepare.audio.tables import OCTAVE, SUM_SHIFT, Whole, make_tables

SoundSamples = npt.NDArray[np.int16]

#: Largest windowed sample (clause 11.3).
_MOST: Final = 23000
#: Frames that are transformed at a time, to bound memory.
_CHUNK: Final = 512
_HEAD: Final = struct.Struct("<4sIqqh")
_MAGIC: Final = b"eLM1"


class FrontEnd:
    """Levels of frames; the same integers as the C code.

    Attributes:
        settings: the declaration.
        tables: its integers.
    """

    def __init__(self, settings: LogMel) -> None:
        """Make the tables.

        Args:
            settings: the declaration.
        """
        self.settings = settings
        self.tables = make_tables(settings)
        half = settings.transform // 2
        bits = half.bit_length() - 1
        self._reversed = np.array([int(f"{i:0{bits}b}"[::-1], 2) for i in range(half)])
        #: Clause 11.6 as a matrix [bins, bands].
        bins = np.arange(len(self.tables.rising))
        segment = np.searchsorted(self.tables.segments, bins, side="right") - 1
        self._weights = np.zeros((len(bins), settings.bands + 2), np.int64)
        self._weights[bins, segment + 1] = self.tables.rising
        self._weights[bins, segment] += 256 - self.tables.rising
        self._weights = self._weights[:, 1:-1]

    def levels(self, frames: SoundSamples) -> npt.NDArray[np.int32]:
        """Clauses 11.3 to 11.8, and 11.11 for MFCC.

        Args:
            frames: int16 [T, frame], after pre-emphasis.

        Returns:
            int32 [T, width], levels, or sums of clause 11.11.
        """
        rows = [self._levels(frames[at : at + _CHUNK]) for at in range(0, len(frames), _CHUNK)]
        return np.concatenate([np.empty((0, self.settings.width), np.int32), *rows])

    def _levels(self, frames: SoundSamples) -> npt.NDArray[np.int32]:
        re, im, p = self._spectrum(*self._windowed(frames.astype(np.int64)))
        levels = self._logarithm(re * re + im * im, p)
        if self.settings.coefficients:
            levels = _half_up(levels @ self.tables.cosines.T, SUM_SHIFT)
        return levels.astype(np.int32)

    def _windowed(self, x: Whole) -> tuple[Whole, Whole]:
        """Clause 11.3: y int64 [T, F] and p int64 [T, 1]."""
        largest = np.abs(x).max(axis=1, keepdims=True)
        p = np.sum(largest <= _MOST >> np.arange(13), axis=1, keepdims=True)
        y = np.zeros((len(x), self.settings.transform), np.int64)
        y[:, : x.shape[1]] = _half_up(x * self.tables.window, 16 - p)
        return y, p

    def _spectrum(self, y: Whole, p: Whole) -> tuple[Whole, Whole, Whole]:
        """Clause 11.4, and X of clause 11.5: int64 [T, K] each, and p."""
        half = self.settings.transform // 2
        re, im = y[:, 0::2][:, self._reversed], y[:, 1::2][:, self._reversed]
        h = 1
        while h < half:
            c, s = self.tables.twiddles[:: half // 2 // h].T
            re, im = (v.reshape(len(y), -1, 2, h) for v in (re, im))
            b_re, b_im = re[:, :, 1], im[:, :, 1]
            t_re, t_im = _half_up(b_re * c - b_im * s, 15), _half_up(b_re * s + b_im * c, 15)
            # Plain copies of j = 0: its factor is 1.
            t_re[..., 0], t_im[..., 0] = b_re[..., 0], b_im[..., 0]
            re, im = (
                np.stack([_half_up(a + t, 1), _half_up(a - t, 1)], axis=2).reshape(len(y), half)
                for a, t in ((re[:, :, 0], t_re), (im[:, :, 0], t_im))
            )
            h *= 2
        first = self.tables.first_bin
        k = np.arange(first, first + len(self.tables.split))
        e_re, e_im = re[:, k] + re[:, half - k], im[:, k] - im[:, half - k]
        d_re, d_im = im[:, k] + im[:, half - k], re[:, half - k] - re[:, k]
        c, s = self.tables.split.T
        return (
            e_re + _half_up(d_re * c - d_im * s, 14),
            e_im + _half_up(d_re * s + d_im * c, 14),
            p,
        )

    def _logarithm(self, power: Whole, p: Whole) -> Whole:
        """Clauses 11.6 to 11.8: levels int64 [T, bands]."""
        floors = self.tables.floors[p[:, 0]]
        high = (power >> 15) @ self._weights + floors[:, :1]
        low = (power & 32767) @ self._weights + floors[:, 1:]
        large = high >= 32768
        v = np.where(large, high + (low >> 15), np.maximum(1, (high << 15) + low))
        q = np.sum(v[..., None] >= np.left_shift(1, np.arange(1, 31)), axis=-1)
        mantissa = v << (30 - q)
        u, part = (mantissa >> 25) - 32, (mantissa >> 10) & 32767
        logarithm = self.tables.logarithm
        between = (logarithm[u] << 15) + part * (logarithm[u + 1] - logarithm[u])
        level = OCTAVE * (q + 15 * large) + _half_up(between, 20) + self.tables.exponents[p]
        levels: Whole = np.clip(level, -32768, 32767)
        return levels

    def apply(self, samples: SoundSamples) -> Reals:
        """Features of a whole recording, as the device computes them.

        Args:
            samples: int16 [N].

        Returns:
            float64 [T, width] in physical units, T = `LogMel.rows` (N).

        Raises:
            ShapeError: no int16 vector.
        """
        return self.stream().push(samples)

    def physical(self, levels: npt.NDArray[Any]) -> Reals:
        """What levels [..., width] mean: float64 [..., width]."""
        features: Reals = levels * self.tables.gain + self.tables.bias
        return features

    def stream(self) -> SampleStream:
        """A new stream of samples."""
        return SampleStream(self)


class SampleStream:
    """Frames of a stream of samples that arrive in blocks of any length.

    Attributes:
        front_end: computes the levels.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        """Begin a stream.

        Args:
            front_end: computes the levels.
        """
        self.front_end = front_end
        self._kept = np.empty(0, np.int16)
        self._skip = 0
        self._last = 0

    def push(self, samples: npt.ArrayLike) -> Reals:
        """Features of the frames that end in these samples.

        Args:
            samples: int16 [N], N >= 0.

        Returns:
            float64 [T, width] in physical units, T >= 0.

        Raises:
            ShapeError: no int16 vector.
        """
        return self.front_end.physical(self.push_levels(samples))

    def push_levels(self, samples: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """The same as integers: int32 [T, width], see `FrontEnd.levels`."""
        x = np.asarray(samples)
        if x.ndim != 1 or x.dtype != np.int16:
            raise ShapeError(
                f"log-mel: expected samples int16 [N], got {x.dtype} {list(x.shape)}. Multiply "
                "sound in [-1, 1) by 32768, round, and convert it to int16."
            )
        settings = self.front_end.settings
        alpha = self.front_end.tables.emphasis
        if alpha and x.size:
            before = np.concatenate([[self._last], x[:-1]]).astype(np.int64)
            self._last = int(x[-1])
            x = np.clip(x - _half_up(alpha * before, 15), -32768, 32767).astype(np.int16)
        skipped = min(self._skip, x.size)
        self._skip -= skipped
        held = np.concatenate([self._kept, x[skipped:]])
        count = settings.rows(held.size)
        if count:
            windows = np.lib.stride_tricks.sliding_window_view(held, settings.frame)
            levels = self.front_end.levels(windows[:: settings.hop])
            used = count * settings.hop
            self._skip = max(0, used - held.size)
            held = held[used:]
        else:
            levels = np.empty((0, settings.width), np.int32)
        self._kept = held.copy()
        return levels

    def to_bytes(self) -> bytes:
        """What the stream holds, with a checksum; see `from_bytes`."""
        head = _HEAD.pack(_MAGIC, self._identity(), self._skip, self._kept.size, self._last)
        body = head + self._kept.astype("<i2").tobytes()
        return body + zlib.crc32(body).to_bytes(4, "little")

    def from_bytes(self, blob: bytes) -> None:
        """Continue from the state of another stream of the same front end.

        Args:
            blob: of `to_bytes`.

        Raises:
            StateError: damaged, or of another front end.
        """
        body, check = blob[:-4], blob[-4:]
        if len(body) < _HEAD.size or zlib.crc32(body).to_bytes(4, "little") != check:
            raise StateError("log-mel: expected the state of a stream of samples, got other bytes.")
        magic, identity, skip, kept, last = _HEAD.unpack(body[: _HEAD.size])
        if magic != _MAGIC or identity != self._identity():
            raise StateError(
                "log-mel: expected the state of a stream with the same settings, got one of "
                "others. Load the state with the model that it was saved with."
            )
        self._skip, self._last = skip, last
        self._kept = np.frombuffer(body, "<i2", kept, _HEAD.size).astype(np.int16)

    def _identity(self) -> int:
        return zlib.crc32(repr(self.front_end.settings).encode())


def _half_up(p: Whole, k: int | Whole) -> Whole:
    """Clause 1.2, k >= 1."""
    shifted: Whole = (p + np.left_shift(np.int64(1), np.subtract(k, 1))) >> k
    return shifted
