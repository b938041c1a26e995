"""Is somebody speaking? FSDD recordings in generated noise, a decision every 10 ms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.decide.decisions import Decisions
from edgernn.decide.threshold import Threshold
from edgernn.errors import DataUnavailable, TrainingError
from edgernn.model.formats import FloatArray, Int16Array
from edgernn.prepare.audio.front_end import FrontEnd
from edgernn.prepare.audio.log_mel import LogMel
from edgernn.prepare.preparation import Preparation
from edgernn_export.datasets.audio import scenes
from edgernn_export.datasets.audio.fsdd_digits import (
    FSDD,
    RATE_HZ,
    TEST_INDICES,
    VALIDATION_INDICES,
    Clip,
    load_fsdd,
)
from edgernn_export.datasets.dataset import Dataset
from edgernn_export.datasets.splits import Part, change_scale

Bools = npt.NDArray[np.bool_]
FEATURES: Final = LogMel(rate_hz=RATE_HZ, frame=200, hop=80, bands=10, floor_db=-105.0)
#: 4 s.
STEPS: Final = 400
#: Speech is said to last so much longer than its energy.
HANGOVER_STEPS: Final = 10
#: The output is 1 for speech and -1 for none; the decision holds between the two limits.
DECISIONS: Final = Decisions(
    decisions=(Threshold(name="speech", of="activity", on=0.1, off=-0.1, off_readings=3),)
)
#: Speech over noise; the last is silence instead of noise.
SNRS_DB: Final = (-5.0, 0.0, 5.0, 10.0, 20.0, np.inf)
CONDITIONS: Final = tuple((kind, snr_db) for kind in scenes.NOISES for snr_db in SNRS_DB)
_TRAIN_SCENES: Final = 360
#: How often a scored part has every noise at every ratio.
_ROUNDS: Final = 4
_LEVELS_DB: Final = (-30.0, 0.0)
#: Loudness of speech before the gain of the microphone.
_SPEECH: Final = 0.08
_GAPS_S: Final = (0.3, 1.5)
_SAMPLES: Final = FEATURES.frame + (STEPS - 1) * FEATURES.hop
_SEED: Final = 5
#: The energy rule compares a frame with the quietest of the last 1.5 s.
_MEMORY_STEPS: Final = 150


def vad(speaker: str = "") -> Dataset:
    """The activity, 1 or -1, at every step of scenes with speech and noise.

    Args:
        speaker: who is heard in the test part alone; "" for the first by name.

    Raises:
        DataUnavailable: the recordings are missing or damaged, or of one speaker.
        TrainingError: no such speaker.
    """
    clips = load_fsdd()
    speakers = sorted({clip.speaker for clip in clips})
    if len(speakers) < 2:
        raise DataUnavailable(f"FSDD: expected at least 2 speakers, got {', '.join(speakers)}.")
    speaker = speaker or speakers[0]
    if speaker not in speakers:
        raise TrainingError(
            f"option speaker: expected one of {', '.join(speakers)}, got {speaker!r:.40}."
        )
    rng = np.random.default_rng(_SEED)
    held = (*TEST_INDICES, *VALIDATION_INDICES)
    others = [clip for clip in clips if clip.speaker != speaker]
    known = [clip for clip in others if clip.index not in held]
    conditions = list(CONDITIONS)
    drawn = [conditions[i] for i in rng.integers(len(conditions), size=_TRAIN_SCENES)]
    train = _part(known, drawn, rng, training=True)
    validation = _part([c for c in others if c.index in held], conditions, rng)
    test = _part([c for c in clips if c.speaker == speaker], conditions * _ROUNDS, rng)
    return Dataset(
        name="FSDD in noise",
        source=FSDD,
        protocol=(
            f"{FEATURES.bands} log-mel energies every {FEATURES.step_ms:g} ms; scenes of "
            f"{STEPS} steps with one speaker in {', '.join(scenes.NOISES)} at {SNRS_DB[0]:g} to "
            f"{SNRS_DB[-2]:g} dB or in silence, from the zero state; speech is what is at most 25 "
            f"dB below the loudest frame of its clean recording, and {HANGOVER_STEPS} steps after "
            f"it; {speaker} is the test part, other recordings of the other speakers validation."
        ),
        train=train,
        validation=validation,
        test=test,
        classes=(),
        metric="auc",
        metric_unit="",
        target_scale=float(change_scale(train)[0]),
        metric_scale=np.ones(1),
        input_names=FEATURES.outputs,
        input_units=("dB",) * FEATURES.width,
        output_names=("activity",),
        output_units=("",),
        step_ms=FEATURES.step_ms,
        calibration_stride=4,
        scorer=scores,
        naive={"energy over the quietest of 1.5 s": energy_rule(test) - energy_limit(validation)},
        preparation=Preparation(inputs=("sample",), audio=FEATURES),
        decisions=DECISIONS,
    )


def _part(
    clips: Sequence[Clip],
    conditions: Sequence[tuple[str, float]],
    rng: np.random.Generator,
    *,
    training: bool = False,
) -> Part:
    """A scene for each kind of noise and ratio of speech to noise, in their order.

    The train part has the features of `LogMel.float_features`, which differ by hundredths of a dB
    and take a tenth of the time.
    """
    front_end = FrontEnd(FEATURES)
    streams, answers = [], []
    for kind, snr_db in conditions:
        samples, spoken = scene(clips, kind, snr_db, rng)
        streams.append(
            FEATURES.float_features(samples / 32768.0) if training else front_end.apply(samples)
        )
        answers.append(np.where(spoken, 1.0, -1.0))
    target = np.stack(answers)[:, :, None]
    return Part(x=np.stack(streams), target=target, base=np.zeros_like(target), scored_from=0)


def scene(
    clips: Sequence[Clip], kind: str, snr_db: float, rng: np.random.Generator
) -> tuple[Int16Array, Bools]:
    """Some words of one speaker in noise.

    Args:
        clips: recordings, of which one speaker's are used; all are for babble.
        kind: one of `scenes.NOISES`.
        snr_db: loudness of the speech over that of the noise; infinite for silence.
        rng: makes the scene.

    Returns:
        int16 [N], and bool [STEPS]: whether there is speech.
    """
    name = clips[rng.integers(len(clips))].speaker
    own = [clip.sound for clip in clips if clip.speaker == name]
    sound, spoken = np.zeros(_SAMPLES), np.zeros(STEPS, bool)
    at = int(rng.uniform(*_GAPS_S) * RATE_HZ)
    while True:
        word = own[rng.integers(len(own))]
        if at + word.size > _SAMPLES:
            break
        sound[at : at + word.size] = word * (_SPEECH / scenes.speech_level(word))
        for step in np.flatnonzero(scenes.loud(word, FEATURES.hop, FEATURES.hop)):
            # A block of the word is heard first by the frame that ends in it.
            first = max(0, (at + step * FEATURES.hop - FEATURES.frame) // FEATURES.hop + 1)
            spoken[first : first + 1 + HANGOVER_STEPS] = True
        at += word.size + int(rng.uniform(*_GAPS_S) * RATE_HZ)
    if np.isfinite(snr_db):
        voices = [clip.sound for clip in clips]
        heard = scenes.noise(kind, _SAMPLES, rng, rate_hz=RATE_HZ, voices=voices)
        sound += _SPEECH * 10.0 ** (-snr_db / 20.0) * heard
    return scenes.recorded(sound, rng.uniform(*_LEVELS_DB)), spoken


def energy_rule(part: Part) -> FloatArray:
    """The rule without a model: the energy of a frame over the quietest of the last 1.5 s.

    Returns:
        float64 [B, T, 1], dB.
    """
    level = 10.0 * np.log10(np.sum(10.0 ** (part.x / 10.0), axis=2))
    padded = np.pad(level, ((0, 0), (_MEMORY_STEPS - 1, 0)), constant_values=np.inf)
    seen = np.lib.stride_tricks.sliding_window_view(padded, _MEMORY_STEPS, axis=1)
    risen: FloatArray = (level - seen.min(axis=2))[:, :, None]
    return risen


def energy_limit(part: Part) -> float:
    """The whole number of dB with which the energy rule decides best, by F1."""
    risen, speech = energy_rule(part)[:, :, 0], part.target[:, :, 0] > 0
    return max(range(2, 31), key=lambda limit: _counted(decided(risen - limit), speech)["f1"])


def scores(output: FloatArray, part: Part) -> dict[str, float]:
    """Metrics of steps.

    Returns:
        ``auc``: the area under the curve of the output; of the decisions ``f1``, ``missed``: the
        share of speech that is missed, ``false_alarms``: the share of the rest that is taken for
        speech.
    """
    values, speech = output[:, :, 0], part.target[:, :, 0] > 0
    return {"auc": auc(values, speech), **_counted(decided(values), speech)}


def _counted(said: Bools, speech: Bools) -> dict[str, float]:
    hits, alarms = float(np.sum(said & speech)), float(np.sum(said & ~speech))
    missed = float(np.sum(~said & speech))
    return {
        "f1": 2 * hits / max(1.0, 2 * hits + alarms + missed),
        "missed": missed / max(1.0, hits + missed),
        "false_alarms": alarms / max(1.0, float(np.sum(~speech))),
    }


def auc(values: FloatArray, positive: Bools) -> float:
    """Area under the ROC curve: how often a positive one is above a negative one (equal: half)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse.reshape(values.shape)]
    ones = int(positive.sum())
    pairs = max(1, ones * (positive.size - ones))
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / pairs)


def decided(values: FloatArray) -> Bools:
    """The decisions of `DECISIONS` on outputs [B, T], each stream from its begin."""
    (rule,) = DECISIONS.decisions
    assert isinstance(rule, Threshold)
    on, quiet = np.zeros(len(values), bool), np.zeros(len(values), np.int64)
    said = np.zeros(values.shape, bool)
    for step, now in enumerate(values.T):
        quiet = np.where(on & (now < rule.off_value), quiet + 1, 0)
        on = np.where(on, quiet < rule.off_readings, now >= rule.on)
        quiet = np.where(on, quiet, 0)
        said[:, step] = on
    return said
