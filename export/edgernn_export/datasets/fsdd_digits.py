"""FSDD as a task: which digit was said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import DataUnavailable
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.dataset import Dataset, class_part
from edgernn_export.datasets.fsdd_clips import FSDD, RATE_HZ, load_fsdd
from edgernn_export.datasets.log_mel import LogMel, log_mel
from edgernn_export.datasets.splits import Part

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
    return log_mel(np.pad(heard, (_SAMPLES - heard.size, 0)), FEATURES)


def _protocol(speakers: Sequence[str]) -> str:
    return (
        f"{FEATURES.bands} log-mel energies every {FEATURES.step_ms:g} ms of frames of "
        f"{1000 * FEATURES.frame // RATE_HZ} ms, {STEPS} steps from the zero state with silence "
        "after the recording, read out at the last; the official split: recordings 0..4 of every "
        "speaker and digit are the test part, 5..9 validation; speakers: "
        f"{', '.join(speakers)}."
    )
