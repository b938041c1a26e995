"""FSDD: spoken digits, 8 kHz, 50 recordings of every speaker and digit (Jackson et al. 2018).

The task: which digit was said.
"""

from __future__ import annotations

import re
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import DataUnavailable
from edgernn.model.formats import FloatArray, Int16Array
from edgernn.prepare.audio.log_mel import LogMel
from edgernn_export.datasets.dataset import Dataset, class_part
from edgernn_export.datasets.sources import DataSource, missing, read_arrays, root
from edgernn_export.datasets.splits import Part

FSDD: Final = DataSource(
    home="github.com/Jakobovski/free-spoken-digit-dataset, recordings/*.wav",
    licence="CC BY-SA 4.0",
    citation="Jackson et al. 2018, Free Spoken Digit Dataset, v1.0.8",
)
FOLDER: Final = "fsdd"
RATE_HZ: Final = 8000
_FULL_SCALE = 32768.0
_RECORDING = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")
FEATURES: Final = LogMel(rate_hz=RATE_HZ, floor_db=-80.0)
#: 1.04 s of sound: the longest recording has 1.00 s of those read here.
STEPS: Final = 64
#: The official split: recordings 0..4 of every speaker and digit are the test part.
TEST_INDICES: Final = range(5)
VALIDATION_INDICES: Final = range(5, 10)
DIGITS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
)  # fmt: skip
_SAMPLES: Final = FEATURES.frame + (STEPS - 1) * FEATURES.hop
_CALIBRATION_STRIDE = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clip:
    """One recording of one digit.

    Attributes:
        speaker: first name.
        digit: 0..9.
        index: 0..49, which of the speaker's recordings of this digit.
        sound: float64 [N] in [-1, 1).
    """

    speaker: str
    digit: int
    index: int
    sound: FloatArray


def load_fsdd() -> list[Clip]:
    """All recordings under ``fsdd/``, by speaker, digit and index.

    Read are ``recordings/DIGIT_SPEAKER_INDEX.wav``, as published, or else one packed file
    ``fsdd_SPEAKER.npz`` per speaker, with the arrays ``pcm`` int16 [N] and ``info`` (digit, index,
    start, length).

    Raises:
        DataUnavailable: there are no recordings, or one is damaged.
    """
    folder = root() / FOLDER
    clips = list(_recordings(folder / "recordings")) or list(_packed(folder))
    if not clips:
        raise missing(f"{FOLDER}/recordings/*.wav or {FOLDER}/fsdd_*.npz, got none", FSDD)
    return sorted(clips, key=lambda clip: (clip.speaker, clip.digit, clip.index))


def _recordings(folder: Path) -> Iterator[Clip]:
    for path in folder.glob("*.wav"):
        named = _RECORDING.fullmatch(path.name)
        if named is None:
            raise DataUnavailable(
                f"{path.name}: expected a name DIGIT_SPEAKER_INDEX.wav, got another ({FOLDER})."
            )
        digit, speaker, index = named.groups()
        yield Clip(
            speaker=speaker, digit=int(digit), index=int(index), sound=_real(_wave(path), path)
        )


def _wave(path: Path) -> Int16Array:
    try:
        with wave.open(str(path), "rb") as file:
            form = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise DataUnavailable(f"{path.name}: expected a WAV file, got {error}.") from error
    if form != (1, 2, RATE_HZ):
        raise DataUnavailable(
            f"{path.name}: expected 1 channel of 2 bytes at {RATE_HZ} Hz, got {form}."
        )
    return np.frombuffer(frames, dtype="<i2").astype(np.int16)


def _packed(folder: Path) -> Iterator[Clip]:
    for path in folder.glob("fsdd_*.npz"):
        arrays = read_arrays(path, {"pcm": (None,), "info": (None, 4)})
        pcm = arrays["pcm"]
        for digit, index, start, length in arrays["info"].tolist():
            if not 0 <= digit <= 9 or not 0 <= start <= start + length <= pcm.size:
                raise DataUnavailable(
                    f"{path.name}: expected digits 0..9 inside {pcm.size} samples, got digit "
                    f"{digit} at {start}..{start + length}."
                )
            yield Clip(
                speaker=path.stem.removeprefix("fsdd_"),
                digit=digit,
                index=index,
                sound=_real(pcm[start : start + length], path),
            )


def _real(pcm: Int16Array, path: Path) -> FloatArray:
    if pcm.size == 0:
        raise DataUnavailable(f"{path.name}: expected samples in every recording, got none.")
    return pcm.astype(np.float64) / _FULL_SCALE


def fsdd() -> Dataset:
    """Ten digits from log-mel energies, one answer at the end of 64 steps.

    Raises:
        DataUnavailable: the recordings are missing or damaged.
    """
    clips = load_fsdd()
    x = np.stack([features(clip.sound) for clip in clips])
    digit = np.array([clip.digit for clip in clips])
    index = np.array([clip.index for clip in clips])
    test, validation = np.isin(index, TEST_INDICES), np.isin(index, VALIDATION_INDICES)

    def part(chosen: npt.NDArray[np.bool_], name: str) -> Part:
        if not chosen.any():
            raise DataUnavailable(f"FSDD: expected recordings of the {name} part, got none.")
        return class_part(x[chosen], digit[chosen], len(DIGITS))

    return Dataset(
        name="FSDD",
        source=FSDD,
        protocol=_protocol(sorted({clip.speaker for clip in clips})),
        train=part(~test & ~validation, "train"),
        validation=part(validation, "validation"),
        test=part(test, "test"),
        classes=DIGITS,
        metric="accuracy",
        metric_unit="",
        target_scale=1.0,
        metric_scale=np.ones(1),
        input_names=tuple(f"mel_{band}" for band in range(FEATURES.bands)),
        input_units=("dB",) * FEATURES.bands,
        output_names=DIGITS,
        output_units=("",) * len(DIGITS),
        step_ms=FEATURES.step_ms,
        calibration_stride=_CALIBRATION_STRIDE,
    )


def features(sound: FloatArray) -> FloatArray:
    """Log-mel energies [64, 20] of a recording with silence after it; what is longer is cut off.

    Args:
        sound: float64 [N] in [-1, 1).
    """
    heard = sound[:_SAMPLES]
    return FEATURES.float_features(np.pad(heard, (_SAMPLES - heard.size, 0)))


def _protocol(speakers: Sequence[str]) -> str:
    return (
        f"{FEATURES.bands} log-mel energies every {FEATURES.step_ms:g} ms of frames of "
        f"{1000 * FEATURES.frame // RATE_HZ} ms, {STEPS} steps from the zero state with silence "
        "after the recording, read out at the last; the official split: recordings 0..4 of every "
        "speaker and digit are the test part, 5..9 validation; speakers: "
        f"{', '.join(speakers)}."
    )
