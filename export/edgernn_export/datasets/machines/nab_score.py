"""The score of the Numenta Anomaly Benchmark (Lavin & Ahmad 2015, section 3; NAB v1.1).

Only rows behind the probationary period count. The first alarm in a labeled window earns more the
earlier it comes: with y, the row's place in the window from -1 (its first row) to 0 (behind its
last), it earns (2 / (1 + exp(5 y)) - 1), divided by the value at y = -1. A window without an alarm
costs the profile's price of a miss. Every alarm outside costs a false alarm, less if it follows a
window closely: with y, the rows since the end of the last window as a multiple of that window's
length less one, it costs -(2 / (1 + exp(5 y)) - 1) of the price, the whole price from y = 3 on and
where no window came before.

The sum over all files is scaled so that a detector without alarms has 0, and one with an alarm at
the first row of each window and no others has 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray
from edgernn_export.datasets.machines.nab_streams import NabRecording

_STEEPNESS: Final = 5.0
_FAR: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NabProfile:
    """What mistakes cost, where the earliest alarm in a window earns 1.

    Attributes:
        name: of the profile.
        false_alarm: price of an alarm far from all windows.
        miss: price of a window without an alarm.
    """

    name: str
    false_alarm: float
    miss: float


#: The three profiles of the scoreboard.
PROFILES: Final = (
    NabProfile(name="standard", false_alarm=0.11, miss=1.0),
    NabProfile(name="low_fp", false_alarm=0.22, miss=1.0),
    NabProfile(name="low_fn", false_alarm=0.11, miss=2.0),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ThresholdScores:
    """The score for every threshold that gives other alarms.

    Attributes:
        thresholds: float64 [K], falling; the first is infinite.
        scores: float64 [K], 0 without alarms, 100 of a perfect detector.
    """

    thresholds: FloatArray
    scores: FloatArray

    @property
    def best(self) -> tuple[float, float]:
        """The highest score, and its threshold (the highest among equals)."""
        at = int(np.argmax(self.scores))
        return float(self.scores[at]), float(self.thresholds[at])

    def at(self, threshold: float) -> float:
        """The score with a given threshold."""
        return float(self.scores[np.searchsorted(-self.thresholds, -threshold, "right") - 1])


def nab_scores(
    recordings: Sequence[NabRecording],
    scores: Sequence[FloatArray],
    profile: NabProfile = PROFILES[0],
    rest: int = 0,
) -> ThresholdScores:
    """Score a detector on recordings together, for all thresholds.

    Args:
        recordings: R files.
        scores: of each row how unusual it is, [N_i] each.
        profile: prices.
        rest: an alarm needs as many rows before it below the threshold: an alarm that stays on is
            one alarm. 0 counts every row at or above the threshold, as the benchmark does.
    """
    rows = [_rows(r, s, profile, rest) for r, s in zip(recordings, scores, strict=True)]
    level = np.concatenate([one.level for one in rows])
    before = np.concatenate([one.before for one in rows])
    thresholds = np.unique(np.concatenate((level, before[np.isfinite(before)])))[::-1]
    change = np.zeros(len(thresholds))
    missed = windows = 0
    for one in rows:
        outside = one.window < 0
        _add(change, thresholds, one.level[outside], one.value[outside])
        _add(change, thresholds, one.before[outside], -one.value[outside])
        for window in one.windows:
            inside = one.window == window
            steps, values = _window_steps(
                one.level[inside], one.before[inside], one.value[inside], -profile.miss
            )
            _add(change, thresholds, steps, np.diff(values, prepend=-profile.miss))
        missed += len(one.windows)
        windows += len(one.recording.windows)
    whole = windows + missed * profile.miss
    gained = np.concatenate(([0.0], np.cumsum(change)))
    return ThresholdScores(
        thresholds=np.concatenate(([np.inf], thresholds)),
        scores=100.0 * gained / whole if whole else gained,
    )


def raw_score(
    recording: NabRecording, scores: FloatArray, threshold: float, profile: NabProfile = PROFILES[0]
) -> float:
    """Unscaled score of one file, as NAB's tables of files have it.

    Args:
        recording: the file.
        scores: of each row, [N].
        threshold: from which on a row is an alarm.
        profile: prices.
    """
    one = _rows(recording, scores, profile, 0)
    alarm = one.level >= threshold
    gained = [max(one.value[alarm & (one.window == w)], default=-profile.miss) for w in one.windows]
    return float(sum(gained) + np.sum(one.value[alarm & (one.window < 0)]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """The scored rows of one file that may be alarms.

    A row is one for thresholds above ``before`` and up to ``level``; it is then worth ``value``.
    """

    recording: NabRecording
    level: FloatArray
    before: FloatArray
    value: FloatArray
    window: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]


def _rows(recording: NabRecording, scores: FloatArray, profile: NabProfile, rest: int) -> _Rows:
    value, window = row_values(recording)
    value = np.where(window < 0, value * profile.false_alarm, value)
    before = _highest_before(scores, rest)
    scored = np.arange(len(scores)) >= recording.probation
    able = scored & (scores > before)
    return _Rows(
        recording=recording,
        level=scores[able],
        before=before[able],
        value=value[able],
        window=window[able],
        windows=np.unique(window[scored & (window >= 0)]),
    )


def row_values(recording: NabRecording) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """What an alarm at each row is worth with prices of 1, and the window it lies in, or -1."""
    row = np.arange(len(recording.values))
    value = np.full(len(row), -1.0)
    window = np.full(len(row), -1, dtype=np.int64)
    for first, last in recording.windows:  # the last window before a row counts
        behind = row > last
        value[behind] = _curve((row[behind] - last) / max(last - first, 1))
    earliest = float(_curve(np.array([-1.0]))[0])
    for number, (first, last) in enumerate(recording.windows):
        inside = slice(first, last + 1)
        place = -(last - row[inside] + 1) / (last - first + 1)
        value[inside] = _curve(place) / earliest
        window[inside] = number
    return value, window


def _curve(place: FloatArray) -> FloatArray:
    curve: FloatArray = 2.0 / (1.0 + np.exp(_STEEPNESS * np.minimum(place, _FAR))) - 1.0
    return np.where(place > _FAR, -1.0, curve)


def _highest_before(scores: FloatArray, rest: int) -> FloatArray:
    """The highest of the ``rest`` scores before each, -inf where there are none."""
    if rest == 0:
        return np.full(len(scores), -np.inf)
    padded = np.concatenate((np.full(rest, -np.inf), scores[:-1]))
    windows = np.lib.stride_tricks.sliding_window_view(padded, rest)
    highest: FloatArray = windows.max(axis=1)
    return highest


def _window_steps(
    level: FloatArray, before: FloatArray, value: FloatArray, miss: float
) -> tuple[FloatArray, FloatArray]:
    """What a window is worth: thresholds, falling, at and below which it is worth so much."""
    steps = np.unique(np.concatenate((level, before[np.isfinite(before)])))[::-1]
    on = (level >= steps[:, None]) & (before < steps[:, None])
    return steps, np.where(on, value, miss).max(axis=1, initial=miss)


def _add(change: FloatArray, thresholds: FloatArray, at: FloatArray, amount: FloatArray) -> None:
    """Add amounts to the change of the score at thresholds; infinite ones are never reached."""
    finite = np.isfinite(at)
    np.add.at(change, np.searchsorted(-thresholds, -at[finite]), amount[finite])
