"""Captions of recordings: a vector that describes a spoken digit, and the sentence NAME says DIGIT.

The recordings are those of FSDD (`fsdd_digits`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import DataUnavailable
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.audio.fsdd_digits import (
    DIGITS,
    FEATURES,
    FSDD,
    TEST_INDICES,
    VALIDATION_INDICES,
    Clip,
    load_fsdd,
)
from edgernn_export.datasets.dataset import Dataset
from edgernn_export.datasets.splits import Part, sequence_part

#: Parts of a recording, equally long, each of which has its own mean spectrum in the vector.
SECTIONS: Final = 8
_VERB: Final = "says"
_CALIBRATION_STRIDE: Final = 4


def captions() -> Dataset:
    """Sentences about recordings: who says which digit.

    A recording is one vector; words are tokens from 1, and 0 begins and ends a sentence.

    Raises:
        DataUnavailable: the recordings are missing or damaged.
    """
    clips = load_fsdd()
    speakers = sorted({clip.speaker for clip in clips})
    words = ("end", *speakers, _VERB, *DIGITS)
    index = np.array([clip.index for clip in clips])
    test, validation = np.isin(index, TEST_INDICES), np.isin(index, VALIDATION_INDICES)
    inputs = tuple(
        f"mel_{band}_{part}" for part in range(SECTIONS) for band in range(FEATURES.bands)
    )

    def part(chosen: npt.NDArray[np.bool_], name: str) -> Part:
        rows = [clip for clip, one in zip(clips, chosen, strict=True) if one]
        if not rows:
            raise DataUnavailable(f"FSDD: expected recordings of the {name} part, got none.")
        return _part(rows, words)

    return Dataset(
        name="captions of FSDD",
        source=FSDD,
        protocol=(
            f"a recording is one vector, the mean of {FEATURES.bands} log-mel energies in each of "
            f"{SECTIONS} equal parts of it; its caption is who says which digit, in three words; "
            "the official split: recordings 0..4 of every speaker and digit are the test part, "
            f"5..9 validation; speakers: {', '.join(speakers)}."
        ),
        train=part(~test & ~validation, "train"),
        validation=part(validation, "validation"),
        test=part(test, "test"),
        classes=words,
        metric="exact_words",
        metric_unit="",
        target_scale=1.0,
        metric_scale=np.ones(1),
        input_names=inputs,
        input_units=("dB",) * len(inputs),
        output_names=words,
        output_units=("",) * len(words),
        step_ms=1000.0,
        calibration_stride=_CALIBRATION_STRIDE,
        files={"caption_words.json": json.dumps(["", *words[1:]]) + "\n"},
    )


def described(sound: FloatArray) -> FloatArray:
    """The vector of a recording, float64 [8 * 20], in dB: part by part, band by band.

    Args:
        sound: float64 [N] in [-1, 1); zeros after it fill the frame of a shorter one.
    """
    frames = FEATURES.float_features(np.pad(sound, (0, max(0, _fewest_samples() - sound.size))))
    return np.concatenate([part.mean(axis=0) for part in np.array_split(frames, SECTIONS)])


def _fewest_samples() -> int:
    """Samples of as many frames as there are sections."""
    return FEATURES.frame + (SECTIONS - 1) * FEATURES.hop


def _part(clips: Sequence[Clip], words: Sequence[str]) -> Part:
    sentences = [
        [words.index(word) for word in (clip.speaker, _VERB, DIGITS[clip.digit])] for clip in clips
    ]
    return sequence_part(
        [described(clip.sound)[None] for clip in clips], sentences, outputs=len(words)
    )
