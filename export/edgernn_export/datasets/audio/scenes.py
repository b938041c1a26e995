"""Recordings in silence and noise, at a level, as the 16-bit samples of a microphone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edgernn.model.formats import FloatArray, Int16Array

#: Every kind of generated noise; "babble" is made of recordings that overlap.
NOISES: Final = ("white", "pink", "hum", "clicks", "babble")
_VOICES: Final = 5
_CLICKS_PER_S: Final = 4.0
_CLICK_S: Final = 0.005
#: What is quieter than the loudest frame by more than this many dB is no speech.
_QUIET_DB: Final = 25.0


def noise(
    kind: str,
    samples: int,
    rng: np.random.Generator,
    *,
    rate_hz: int,
    voices: Sequence[FloatArray] = (),
) -> FloatArray:
    """Noise of root mean square 1.

    Args:
        kind: one of `NOISES`: "white"; "pink", whose power falls with the frequency; "hum" of 50 or
            60 Hz with its harmonics; "clicks" at random times; "babble".
        samples: length N.
        rng: makes it.
        rate_hz: samples per second.
        voices: recordings for "babble", float64 [N_i] each.

    Returns:
        float64 [N].
    """
    time_s = np.arange(samples) / rate_hz
    if kind == "babble":
        found = sum(_talk(voices, samples, rng) for _ in range(_VOICES))
    elif kind == "pink":
        waves = np.fft.rfft(rng.normal(size=samples))
        hertz = np.maximum(np.fft.rfftfreq(samples, 1.0 / rate_hz), 20.0)
        found = np.fft.irfft(waves / np.sqrt(hertz), samples)
    elif kind == "hum":
        mains = rng.choice([50.0, 60.0])
        found = 0.03 * rng.normal(size=samples)
        for harmonic in range(1, 11):
            turn = rng.uniform(0, 2 * np.pi)
            found += np.sin(2 * np.pi * harmonic * mains * time_s + turn) / harmonic
    elif kind == "clicks":
        starts = rng.random(samples) < _CLICKS_PER_S / rate_hz
        starts[rng.integers(samples)] = True  # never silent
        decay = np.exp(-np.arange(int(8 * _CLICK_S * rate_hz)) / (_CLICK_S * rate_hz))
        clicks = np.convolve(starts * rng.normal(size=samples), decay)[:samples]
        found = clicks * rng.normal(size=samples) + 1e-3 * clicks.std()
    else:
        found = rng.normal(size=samples)
    mixed: FloatArray = found / np.sqrt(np.mean(np.square(found)))
    return mixed


def _talk(voices: Sequence[FloatArray], samples: int, rng: np.random.Generator) -> FloatArray:
    """One recording after the other, each as loud as the others."""
    said: list[FloatArray] = []
    length = -int(rng.integers(4000))
    while length < samples:
        voice = voices[rng.integers(len(voices))]
        said.append(voice / speech_level(voice))
        length += voice.size
    talk: FloatArray = np.concatenate(said)[-samples:]
    return talk


def loud(sound: FloatArray, frame: int, hop: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which frames of a clean recording hold speech: at most 25 dB below the loudest one.

    Args:
        sound: float64 [N].
        frame: samples of a frame.
        hop: samples between the starts of two.

    Returns:
        bool [T], T = 1 + (N - frame) // hop.
    """
    frames = np.lib.stride_tricks.sliding_window_view(sound, frame)[::hop]
    power = np.mean(np.square(frames), axis=1)
    heard: np.ndarray[tuple[int], np.dtype[np.bool_]] = power > power.max() * 10.0 ** (
        -_QUIET_DB / 10.0
    )
    return heard


def speech_level(sound: FloatArray) -> float:
    """Root mean square of a clean recording in its loud frames, so that pauses do not count."""
    blocks = sound[: sound.size // 200 * 200].reshape(-1, 200) if sound.size >= 200 else sound[None]
    power = np.mean(np.square(blocks), axis=1)
    return float(np.sqrt(np.mean(power[power >= power.max() * 10.0 ** (-_QUIET_DB / 10.0)])))


def faster(sound: FloatArray, factor: float) -> FloatArray:
    """A recording played faster or slower, which also raises or lowers its pitch.

    Args:
        sound: float64 [N].
        factor: above 1 is faster.
    """
    at = np.arange(int(sound.size / factor)) * factor
    played: FloatArray = np.interp(at, np.arange(sound.size), sound)
    return played


def recorded(sound: FloatArray, level_db: float = 0.0) -> Int16Array:
    """What a microphone with another gain would give: scaled, rounded to 16 bits, and clipped.

    Args:
        sound: float64 [N] in [-1, 1).
        level_db: gain in dB.
    """
    gain = 32768.0 * 10.0 ** (level_db / 20.0)
    samples: Int16Array = np.clip(np.rint(sound * gain), -32768, 32767).astype(np.int16)
    return samples
