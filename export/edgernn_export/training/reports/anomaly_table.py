"""Report of the recipe anomaly: NAB's score of models and of rules without one, and a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.cli.style import table
from edgernn.model.formats import FloatArray
from edgernn_export.datasets.machines.nab_forecast import REST, THRESHOLD, unusual
from edgernn_export.datasets.machines.nab_score import PROFILES, nab_scores
from edgernn_export.datasets.machines.nab_streams import NabRecording, read_recordings
from edgernn_export.training.evaluation import outputs
from edgernn_export.training.pipeline import Produced, Report

#: Settings of NAB's windowed Gaussian detector.
_GAUSSIAN_ROWS: Final = 6400
_GAUSSIAN_STEP: Final = 100
_LEAST_DEVIATION: Final = 1e-6
#: Recordings in the picture.
_DRAWN: Final = 4
_VALUE, _SCORE, _WINDOW = "#222222", "#e4572e", "#1f77b4"


def anomaly_report(produced: Produced) -> Report:
    """Compare the models with no change, and with NAB's windowed Gaussian detector.

    Args:
        produced: of `edgernn_export.datasets.anomaly`.
    """
    recordings, test = read_recordings(), produced.data.test
    found = {
        name: unusual(test.x, outputs(model, test.x, test.lengths), test.steps)
        for name, model in produced.models.items()
    }
    last = list(found)[-1]
    picture = _draw(recordings, found[last], produced.order.out / "anomaly.png")
    found["no change"] = unusual(test.x, np.zeros_like(test.target), test.steps)
    gaussian = [windowed_gaussian(one.values) for one in recordings]
    rows = {name: _figures(recordings, one, REST, THRESHOLD) for name, one in found.items()}
    rows["windowed Gaussian"] = _figures(recordings, gaussian, REST)
    rows["windowed Gaussian, every row"] = _figures(recordings, gaussian, 0)
    return Report(text="\n".join(_table(rows)), record={"nab": rows}, files={"picture": picture})


def windowed_gaussian(values: FloatArray) -> FloatArray:
    """How unlikely each value is by a normal distribution of the values before it (NAB v1.1).

    One less its upper tail, of a value below the mean its lower tail. The distribution is that of
    up to 6,400 values; later ones are added in steps of 100.

    Args:
        values: float64 [N].
    """
    scores = np.zeros(len(values))
    mean = square = 0.0
    for row, value in enumerate(values):
        if row > _GAUSSIAN_ROWS and (row - _GAUSSIAN_ROWS) % _GAUSSIAN_STEP == 0:
            window = values[row - _GAUSSIAN_ROWS : row]
            mean, square = float(np.mean(window)), float(np.var(window)) * _GAUSSIAN_ROWS
        if row:
            deviation = math.sqrt(square / min(row, _GAUSSIAN_ROWS)) or _LEAST_DEVIATION
            scores[row] = 1.0 - 0.5 * math.erfc(abs(value - mean) / deviation / math.sqrt(2.0))
        if row < _GAUSSIAN_ROWS:
            before, mean = mean, mean + (value - mean) / (row + 1)
            square += (value - before) * (value - mean)
    return scores


def _figures(
    recordings: Sequence[NabRecording],
    scores: Sequence[FloatArray],
    rest: int,
    fixed: float | None = None,
) -> dict[str, float]:
    """The score by profile with the best threshold, and the standard one with a fixed one."""
    found = {p.name: nab_scores(recordings, scores, p, rest).best[0] for p in PROFILES}
    if fixed is not None:
        found["fixed"] = nab_scores(recordings, scores, rest=rest).at(fixed)
    return found


def _table(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    headings = ["NAB score", "standard", "low FP", "low FN", f"threshold {THRESHOLD:g}"]
    columns = [*(profile.name for profile in PROFILES), "fixed"]
    cells: list[list[str] | None] = [
        [name, *(f"{one[c]:.1f}" if c in one else "–" for c in columns)]
        for name, one in rows.items()
    ]
    return [
        *table(headings, cells, align="l" + "r" * len(columns)),
        "The first three columns have the threshold that is best over all recordings.",
    ]


def _draw(recordings: Sequence[NabRecording], scores: Sequence[FloatArray], path: Path) -> Path:
    """Values, labeled windows, and the scores of a few recordings."""
    from matplotlib.figure import Figure

    labeled = [number for number, one in enumerate(recordings) if one.windows]
    chosen = labeled[:: max(len(labeled) // _DRAWN, 1)][:_DRAWN]
    figure = Figure(figsize=(12, 2.4 * len(chosen)), layout="constrained")
    rows = np.ravel(figure.subplots(len(chosen), 1))
    for axes, number in zip(rows, chosen, strict=True):
        _draw_one(axes, recordings[number], scores[number])
    rows[-1].set_xlabel("reading; the dotted line ends the rows that the network learns from")
    figure.savefig(path, dpi=100, metadata={"Software": None})
    return path


def _draw_one(axes: Any, recording: NabRecording, scores: FloatArray) -> None:
    axes.plot(recording.values, color=_VALUE, lw=0.6)
    axes.set_title(recording.name, fontsize=10, loc="left")
    axes.axvline(recording.probation, color=_VALUE, lw=0.8, ls=":")
    for first, last in recording.windows:
        axes.axvspan(first, last, color=_WINDOW, alpha=0.15, lw=0)
    right = axes.twinx()
    right.plot(scores, color=_SCORE, lw=0.6, alpha=0.8)
    right.axhline(THRESHOLD, color=_SCORE, lw=0.8, ls=":")
    right.set_ylim(0, 4 * THRESHOLD)
    right.set_ylabel("score", color=_SCORE)
    for one in (axes, right):
        one.spines["top"].set_visible(False)
        one.margins(x=0.01)
