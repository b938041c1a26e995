"""NAB as a task: forecast the next change of each stream, and raise an alarm where it fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.decide.anomaly import AnomalyScore
from edgernn.decide.decisions import Decisions
from edgernn.decide.threshold import Threshold
from edgernn.errors import DataUnavailable
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.dataset import Dataset
from edgernn_export.datasets.machines.nab_score import PROFILES, nab_scores
from edgernn_export.datasets.machines.nab_streams import NAB, NabRecording, read_recordings
from edgernn_export.datasets.splits import Part

INPUTS: Final = ("level", "change")
OUTPUT: Final = "next_change"
#: An alarm ends after as many readings below the threshold.
REST: Final = 100
#: Score from which on there is an alarm; the best one for every second recording.
THRESHOLD: Final = 1.1
DECISIONS: Final = Decisions(
    decisions=(
        AnomalyScore(name="score", output=OUTPUT, input="change", quantile=0.998),
        Threshold(name="alarm", of="score", on=THRESHOLD, off_readings=REST),
    )
).bound(INPUTS, (OUTPUT,))
#: Of the probationary rows these learn, the others validate.
_TRAIN: Final = 0.7
#: Steps that only warm the state up.
_WARM_UP: Final = 16
#: Most recordings are of 5 minutes.
_STEP_MS: Final = 300_000.0


def anomaly() -> Dataset:
    """All real recordings as streams of one network, trained on their probationary rows alone.

    Raises:
        DataUnavailable: the recordings are missing or damaged.
    """
    recordings = read_recordings()
    for one in recordings:
        if one.probation < 2 * _WARM_UP:
            raise DataUnavailable(
                f"{one.name}: expected at least {2 * _WARM_UP} probationary rows, got "
                f"{one.probation}."
            )
    streams = [readings(one) for one in recordings]
    learnt = [int(_TRAIN * one.probation) for one in recordings]
    train = _part([s[:n] for s, n in zip(streams, learnt, strict=True)])
    validation = _part(
        [s[n : r.probation] for s, n, r in zip(streams, learnt, recordings, strict=True)], _WARM_UP
    )
    test = _part(streams, whole=True)

    def scorer(output: FloatArray, part: Part) -> dict[str, float]:
        if part is not test:
            return {}
        found = unusual(part.x, output, part.steps)
        error = np.abs(output - part.target)[..., 0]
        later = [
            e[r.probation : n - 1] for e, r, n in zip(error, recordings, part.steps, strict=True)
        ]
        standard = nab_scores(recordings, found, rest=REST)
        best = {
            f"nab_{profile.name}": nab_scores(recordings, found, profile, REST).best[0]
            for profile in PROFILES
        }
        mae = float(np.mean(np.concatenate(later)))
        return {"mae": mae, "nab_fixed": standard.at(THRESHOLD)} | best

    return Dataset(
        name="NAB",
        source=NAB,
        protocol=(
            f"{len(recordings)} real recordings, each a stream, in standard deviations of its "
            "probationary rows (15 %, at most 750). In: the present value and its change; out: the "
            f"next change. The first {_TRAIN:.0%} of the probationary rows learn, the others "
            "validate. Test: all rows; errors of those behind the probationary ones. NAB's score "
            "of alarms (v1.1), with the threshold that is best over all recordings, as the "
            f"published scores have it, and with the fixed threshold {THRESHOLD:g} (nab_fixed)."
        ),
        train=train,
        validation=validation,
        test=test,
        classes=(),
        metric="mae",
        metric_unit="standard deviations",
        target_scale=float(np.std(train.target[train.present])),
        metric_scale=np.ones(1),
        input_names=INPUTS,
        input_units=("", ""),
        output_names=(OUTPUT,),
        output_units=("",),
        step_ms=_STEP_MS,
        calibration_stride=1,
        scorer=scorer,
        naive={"no change": np.zeros_like(test.target)},
        decisions=DECISIONS,
    )


def readings(recording: NabRecording) -> FloatArray:
    """What the network reads of a recording, [N, 2]: value and change.

    Both are in standard deviations of the probationary rows; the value is relative to their mean.
    """
    first = recording.values[: recording.probation]
    level = (recording.values - first.mean()) / (first.std() or 1.0)
    return np.stack((level, np.diff(level, prepend=level[:1])), axis=1)


def unusual(x: FloatArray, output: FloatArray, steps: npt.NDArray[np.int64]) -> list[FloatArray]:
    """The anomaly score of every row, as a device with `DECISIONS` gives it.

    Args:
        x: readings, float64 [B, T, 2].
        output: of a model, float64 [B, T, 1].
        steps: int64 [B], readings of each stream.
    """
    found = []
    for readings_, answers, end in zip(x, output, steps, strict=True):
        stream = DECISIONS.stream()
        rows = zip(readings_[:end].tolist(), answers[:end].tolist(), strict=True)
        found.append(np.array([stream.push(None, row, answer)["score"] for row, answer in rows]))
    return found


def _part(streams: Sequence[FloatArray], scored_from: int = 0, *, whole: bool = False) -> Part:
    """Streams and the change that follows each row.

    Args:
        streams: readings [N_i, 2] of each.
        scored_from: first step that counts.
        whole: keep the last row of each stream, too, whose target is not known and stands as 0.
    """
    lengths = np.array([len(stream) - (not whole) for stream in streams])
    x = np.zeros((len(streams), lengths.max(), len(INPUTS)))
    target = np.zeros((*x.shape[:2], 1))
    for row, wanted, stream, end in zip(x, target, streams, lengths, strict=True):
        row[:end] = stream[:end]
        wanted[: len(stream) - 1] = stream[1:, 1:]
    return Part(
        x=x,
        target=target,
        base=np.zeros_like(target),
        scored_from=scored_from,
        lengths=lengths,
    )
