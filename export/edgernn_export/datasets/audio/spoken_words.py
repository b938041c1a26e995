"""Spoken digits in a stream of sound: which one was said, and that nothing else was said.

The recordings are those of FSDD (`fsdd_digits`). A step is one frame of log-mel energies, which the
integer front end computes from 16-bit samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.decide.class_smoothing import ClassSmoothing
from edgernn.decide.decisions import Decisions
from edgernn.errors import DataUnavailable, TrainingError
from edgernn.model.formats import FloatArray, Int16Array
from edgernn.prepare.audio.front_end import FrontEnd
from edgernn.prepare.audio.log_mel import LogMel
from edgernn.prepare.preparation import Preparation
from edgernn_export.datasets.audio import scenes
from edgernn_export.datasets.audio.fsdd_digits import (
    DIGITS,
    FSDD,
    RATE_HZ,
    TEST_INDICES,
    VALIDATION_INDICES,
    Clip,
    load_fsdd,
)
from edgernn_export.datasets.dataset import Dataset
from edgernn_export.datasets.splits import Part

#: The floor is below what rounding to 16 bits adds, so that quiet recordings keep their shape.
FEATURES: Final = LogMel(rate_hz=RATE_HZ, floor_db=-105.0)
NONE: Final = "none"
CLASSES: Final = (*DIGITS, NONE)
#: 1.4 s.
STEPS: Final = 88
_SAMPLES: Final = FEATURES.frame + (STEPS - 1) * FEATURES.hop
#: What is longer is cut off.
_MOST_SAMPLES: Final = 62 * FEATURES.hop
#: Silence before the word in validation and test.
LEAD_STEPS: Final = 8
#: Steps after the word that still name it, and the part of the word after which it is named.
_AFTER_STEPS, _NAMED_FROM = 12, 0.6
#: Answers that vote on the word.
VOTES: Final = 11
DECISIONS: Final = Decisions(
    decisions=(ClassSmoothing(name="word", readings=VOTES, method="majority"),)
)
#: Streams for each train recording, every one at another level, speed and place.
COPIES: Final = 5
#: Share of these that say no digit, and of the others the share with noise.
_NO_DIGIT, _NOISY = 0.2, 0.6
_LEVELS_DB: Final = (-46.0, 6.0)
_SNR_DB: Final = (12.0, 45.0)
_SPEEDS: Final = (0.88, 1.14)
_LEVELS_OF_VALIDATION_DB: Final = (0.0, -10.0, -20.0, -30.0, -40.0)
_CALIBRATION_STRIDE: Final = 16
_SEED: Final = 11


def spoken_digit(level: str = "0", speaker: str = "", unheard: str = "") -> Dataset:
    """Ten digits and "none" at every step of a stream.

    Args:
        level: gain in dB of the test recordings, which are rounded to 16 bits again.
        speaker: who is heard in the test part alone; "" for the official split.
        unheard: digits that no training recording says, as "89".

    Raises:
        DataUnavailable: the recordings are missing or damaged.
        TrainingError: an option has another form.
    """
    level_db = _number(level)
    clips = load_fsdd()
    speakers = sorted({clip.speaker for clip in clips})
    if speaker and (speaker not in speakers or len(speakers) < 2):
        raise TrainingError(
            f"option speaker: expected one of {', '.join(speakers)}, and two of them, got "
            f"{speaker!r:.40}."
        )
    if not set(unheard) < set("0123456789"):
        raise TrainingError(f"option unheard: expected digits, as 89, got {unheard!r:.40}.")
    rng = np.random.default_rng(_SEED)
    known = [c for c in clips if c.speaker != speaker and str(c.digit) not in unheard]
    held = (*TEST_INDICES, *VALIDATION_INDICES)
    test = [
        c for c in clips
        if (c.speaker == speaker if speaker else c.index in TEST_INDICES)
        and str(c.digit) not in unheard
    ]  # fmt: skip
    validation = [c for c in known if c.index in VALIDATION_INDICES]
    levels = np.resize(_LEVELS_OF_VALIDATION_DB, len(validation)).tolist()
    return Dataset(
        name="FSDD streams",
        source=FSDD,
        protocol=_protocol(speakers, speaker, unheard, level_db),
        train=_varied([c for c in known if c.index not in held], rng),
        validation=plain(validation, levels),
        test=plain(test, [level_db] * len(test)),
        classes=CLASSES,
        metric="accuracy",
        metric_unit="",
        target_scale=1.0,
        metric_scale=np.ones(1),
        input_names=FEATURES.outputs,
        input_units=("dB",) * FEATURES.width,
        output_names=CLASSES,
        output_units=("",) * len(CLASSES),
        step_ms=FEATURES.step_ms,
        calibration_stride=_CALIBRATION_STRIDE,
        scorer=scores,
        preparation=Preparation(inputs=("sample",), audio=FEATURES),
        decisions=DECISIONS,
    )


def _number(text: str) -> float:
    try:
        level_db = float(text)
    except ValueError:
        level_db = np.nan
    if not -100.0 <= level_db <= 40.0:
        raise TrainingError(f"option level: expected -100 to 40 dB, got {text!r:.40}.")
    return level_db


def plain(clips: Sequence[Clip], levels_db: Sequence[float]) -> Part:
    """Recordings in digital silence, through the integer front end.

    Args:
        clips: B recordings.
        levels_db: the gain of each.
    """
    front_end = FrontEnd(FEATURES)
    streams, answers = [], []
    for clip, level_db in zip(clips, levels_db, strict=True):
        sound, answer = placed(clip.sound, clip.digit, LEAD_STEPS)
        streams.append(front_end.apply(scenes.recorded(sound, level_db)))
        answers.append(answer)
    return _part(streams, answers)


def _varied(clips: Sequence[Clip], rng: np.random.Generator) -> Part:
    """The train part: other levels, speeds, places and noise, and sounds that are no digit.

    Its features are those of `LogMel.float_features`, which differ by hundredths of a dB and take
    a tenth of the time.
    """
    streams, answers = [], []
    for clip in [clip for _ in range(COPIES) for clip in clips]:
        sound, digit = clip.sound, clip.digit
        if rng.random() < _NO_DIGIT:
            sound, digit = _no_digit(clips, sound, rng), len(DIGITS)
        sound = scenes.faster(sound, rng.uniform(*_SPEEDS))
        latest = STEPS - _steps_of(sound) - _AFTER_STEPS - 4
        stream, answer = placed(sound, digit, int(rng.integers(2, max(3, latest))))
        if rng.random() < _NOISY:
            kind = scenes.NOISES[rng.integers(4)]
            loudness = scenes.speech_level(sound) * 10.0 ** (-rng.uniform(*_SNR_DB) / 20.0)
            stream += loudness * scenes.noise(kind, stream.size, rng, rate_hz=RATE_HZ)
        samples = scenes.recorded(stream, rng.uniform(*_LEVELS_DB))
        streams.append(FEATURES.float_features(samples / 32768.0))
        answers.append(answer)
    return _part(streams, answers)


def _no_digit(clips: Sequence[Clip], sound: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Noise, a digit backward, or parts of digits: sounds of speech that say no digit."""
    chance = rng.random()
    if chance < 0.2:
        kind = scenes.NOISES[rng.integers(4)]
        return 0.05 * scenes.noise(kind, 4000, rng, rate_hz=RATE_HZ)
    if chance < 0.6:
        return sound[::-1]
    # The end of one digit, and the beginning of another one backward.
    other = clips[rng.integers(len(clips))].sound
    return np.concatenate([sound[sound.size // 2 :], other[: other.size // 2][::-1]])


def _steps_of(sound: FloatArray) -> int:
    """Steps that a recording takes."""
    return -(-min(sound.size, _MOST_SAMPLES) // FEATURES.hop)


def placed(sound: FloatArray, digit: int, lead: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """A recording in a stream of silence, and what a model should say.

    Args:
        sound: float64 [N] in [-1, 1).
        digit: what it says; 10 for none.
        lead: steps of silence before it.

    Returns:
        float64 [M], and the answers int64 [STEPS].
    """
    stream, answer = np.zeros(_SAMPLES), np.full(STEPS, len(DIGITS), np.int64)
    # Step `lead` is the first whose frame holds samples of the recording.
    begin, heard = lead * FEATURES.hop + FEATURES.frame - FEATURES.hop, sound[:_MOST_SAMPLES]
    stream[begin : begin + heard.size] = heard
    steps = _steps_of(sound)
    answer[lead + int(_NAMED_FROM * steps) : lead + steps + _AFTER_STEPS] = digit
    return stream, answer


def _part(streams: Sequence[FloatArray], answers: Sequence[npt.NDArray[np.int64]]) -> Part:
    if not streams:
        raise DataUnavailable("FSDD: expected recordings of every part, got none.")
    x, target = np.stack(streams), np.stack(answers)[:, :, None].astype(np.float64)
    base = np.broadcast_to(np.zeros(1), (*x.shape[:2], len(CLASSES)))
    return Part(x=x, target=target, base=base, scored_from=0)


def votes(answers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The class that the last `VOTES` answers name, as `ClassSmoothing` decides by majority.

    Args:
        answers: int64 [T, ...], the largest output at every step of one or more streams.

    Returns:
        int64, of the same shape.
    """
    counts = np.cumsum(np.eye(len(CLASSES), dtype=np.int64)[answers], axis=0)
    counts[VOTES:] -= counts[:-VOTES].copy()
    found: npt.NDArray[np.int64] = counts.argmax(axis=-1)
    return found


def words(voted: npt.NDArray[np.int64]) -> list[int]:
    """Digits that a stream says: while the vote is not "none", the one that it named last.

    A word is over, and known, when the vote returns to "none" or the stream ends.

    Args:
        voted: int64 [T], see `votes`.
    """
    named = voted != len(DIGITS)
    over = named & ~np.append(named[1:], False)
    said: list[int] = voted[over].tolist()
    return said


def scores(output: FloatArray, part: Part) -> dict[str, float]:
    """Metrics of streams with one digit each.

    Returns:
        ``accuracy``: share of streams whose only word is their digit, once; ``missed``: that
        said none; ``digit_accuracy``: share whose digit has the largest mean probability of the
        ten, for comparison with classifiers of whole recordings.
    """
    truth = part.target[:, :, 0].min(axis=1).astype(np.int64)
    said = [words(one) for one in votes(output.argmax(axis=2).T).T]
    shares = np.exp(output - output.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    likely = shares[:, :, :-1].mean(axis=1).argmax(axis=1)
    return {
        "accuracy": float(
            np.mean([one == [digit] for one, digit in zip(said, truth, strict=True)])
        ),
        "missed": float(np.mean([not one for one in said])),
        "digit_accuracy": float(np.mean(likely == truth)),
    }


def continuous(sounds: Sequence[FloatArray], pause_s: float, level_db: float = 0.0) -> Int16Array:
    """Recordings one after another in one stream, with silence before each: int16 [N]."""
    pause = np.zeros(int(pause_s * RATE_HZ))
    joined = np.concatenate([part for sound in sounds for part in (pause, sound)] + [pause])
    return scenes.recorded(joined, level_db)


def _protocol(speakers: Sequence[str], speaker: str, unheard: str, level_db: float) -> str:
    split = f"{speaker} is the test part" if speaker else "recordings 0..4 are the test part"
    missing = f"; no recording says {', '.join(DIGITS[int(d)] for d in unheard)}" if unheard else ""
    return (
        f"{FEATURES.bands} log-mel energies every {FEATURES.step_ms:g} ms; streams of {STEPS} "
        f"steps with one digit in silence, from the zero state; a stream counts if the vote of "
        f"{VOTES} answers names its digit alone, and once; {split}, 5..9 validation; test "
        f"recordings at {level_db:g} dB; speakers: {', '.join(speakers)}{missing}."
    )
