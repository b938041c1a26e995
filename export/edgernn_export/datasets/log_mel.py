"""Log-mel energies of sound, one row per hop: what a device can compute as samples arrive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from edgernn.model.formats import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMel:
    """How sound becomes features.

    Attributes:
        rate_hz: samples per second.
        frame: samples of a frame, under a periodic Hann window.
        hop: samples between two frames.
        bands: triangular mel bands.
        low_hz, high_hz: where the first band begins and the last one ends.
        floor_db: power added to every band, in dB of full scale; it hides what is too quiet.
    """

    rate_hz: int = 8000
    frame: int = 256
    hop: int = 128
    bands: int = 20
    low_hz: float = 100.0
    high_hz: float = 4000.0
    floor_db: float = -60.0

    @property
    def step_ms(self) -> float:
        """Time between two rows."""
        return 1000.0 * self.hop / self.rate_hz


def log_mel(sound: FloatArray, settings: LogMel) -> FloatArray:
    """Energies of mel bands in dB of full scale.

    Row t is made of samples hop * t to hop * t + frame - 1, so it is known when the last of them
    arrives. Mel scale: 2595 log10(1 + f / 700 Hz) (O'Shaughnessy 1987).

    Args:
        sound: float64 [N] in [-1, 1], N >= frame.
        settings: see `LogMel`.

    Returns:
        float64 [T, bands], T = 1 + (N - frame) // hop.
    """
    frames = np.lib.stride_tricks.sliding_window_view(sound, settings.frame)[:: settings.hop]
    window = np.hanning(settings.frame + 1)[:-1]
    power = np.abs(np.fft.rfft(frames * window)) ** 2 / np.sum(window) ** 2
    bands = power @ mel_bands(settings).T
    decibels: FloatArray = 10.0 * np.log10(bands + 10.0 ** (settings.floor_db / 10.0))
    return decibels


@cache
def mel_bands(settings: LogMel) -> FloatArray:
    """Triangles of height 1 over the bins of the spectrum, float64 [bands, frame // 2 + 1]."""
    low_mel, high_mel = (
        2595.0 * math.log10(1.0 + hertz / 700.0) for hertz in (settings.low_hz, settings.high_hz)
    )
    mel = np.linspace(low_mel, high_mel, settings.bands + 2)
    edges = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    bins = np.fft.rfftfreq(settings.frame, 1.0 / settings.rate_hz)
    low, middle, high = (edges[i : i + settings.bands, None] for i in range(3))
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    triangles: FloatArray = np.maximum(0.0, np.minimum(rising, falling))
    return triangles
