"""A picture of an evaluation: the answers, their difference over time, errors or confusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.model.formats import FloatArray
from edgernn_export.evaluation.metrics import CLASSIFICATION, IntArray, classes

if TYPE_CHECKING:
    from edgernn_export.evaluation.result import Evaluation, OutputFound

_TARGET, _FLOAT, _INTEGER, _GREY = "#222222", "#1f77b4", "#e4572e", "#9a9a9a"
#: Points of a line; of more, each stretch is drawn from its smallest to its largest value.
_POINTS: Final = 1500
#: Answers around the largest difference that get a close view.
_CLOSE: Final = 120
#: Outputs that get a row of their own; of more, those that depart most.
_OUTPUTS: Final = 4


def draw(found: Evaluation, path: Path) -> Path:
    """Write the picture.

    Args:
        found: the evaluation; of several channels, the one that departs most is drawn, above the
            errors or the confusion of each output.
        path: of the .png file.
    """
    from matplotlib.figure import Figure

    outputs = _drawn(found)
    view = _View.of(found, _channel(found, range(len(found.output_names))))
    figure = Figure(figsize=(12, 6 + 3 * len(outputs)), layout="constrained")
    heights = [1.25, 0.8, *[1.15] * len(outputs)]
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    answers, difference = figure.add_subplot(grid[0, :]), None
    _draw_answers(answers, view)
    if view.float_y is not None:
        difference = figure.add_subplot(grid[1, :], sharex=answers)
        _draw_difference(difference, view)
    for row, output in enumerate(outputs, start=2):
        if output.confusion is not None:
            _draw_confusion(figure, grid, row, output)
            continue
        own = _View.of(found, _channel(found, range(len(found.output_names))[output.channels]))
        _draw_errors(figure.add_subplot(grid[row, 0]), own, found)
        _draw_close(figure.add_subplot(grid[row, 1]), own, found)
    (difference or answers).set_xlabel(view.axis)
    _format_times(answers, view)
    figure.suptitle(_title(found), x=0.01, ha="left", fontweight="bold")
    for axes in figure.axes:
        if not axes.images:
            axes.grid(alpha=0.25, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
    # Without the library's version in the file, the same figures give the same picture.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path


def _title(found: Evaluation) -> str:
    metric = found.metric
    if metric in ("rmse", "mae", "mape"):
        metric = metric.upper()
    if found.decides is not None:
        metric = f"{metric} {found.decides.output}".rstrip()
    kept = (
        "" if found.kept is None else f": {100 * found.kept:.2f} % of the accuracy kept ({metric})"
    )
    return f"{found.model} {found.precision}{kept}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _View:
    """One output channel of the answers that are compared.

    Attributes:
        name: of the channel.
        x: the place of each output on the axis [N].
        axis: what the axis counts.
        float_y: float64 [N], None without a float network.
        integer_y: float64 [N].
        target: float64 [N] where it is a quantity, NaN where unknown; None without.
        other_class: indices of answers of another class than the float network's.
        clipped: indices of answers whose reading is outside the input range.
        breaks: indices where another stream begins.
    """

    name: str
    x: npt.NDArray[Any]
    axis: str
    float_y: FloatArray | None
    integer_y: FloatArray
    target: FloatArray | None
    other_class: IntArray
    clipped: IntArray
    breaks: IntArray

    @staticmethod
    def of(found: Evaluation, k: int) -> _View:
        answered, there = found.answered, found.answered.compared
        output = next(o for o in found.outputs if k < o.channels.stop)
        own = output.channels
        other_class = np.empty(0, dtype=np.int64)
        target = None
        if output.target is not None and output.task != CLASSIFICATION:
            target = output.target[there, k - own.start]
        if output.task == CLASSIFICATION and answered.float_y is not None:
            of_float = classes(answered.float_y[there, own])
            other_class = np.flatnonzero(of_float != classes(answered.integer_y[there, own]))
        x, axis = _axis(found, answered.row[there])
        breaks = np.flatnonzero(np.diff(answered.stream[there])) + 1
        return _View(
            name=found.output_names[k],
            x=x,
            axis=axis,
            float_y=None if answered.float_y is None else answered.float_y[there, k],
            integer_y=answered.integer_y[there, k],
            target=target,
            other_class=other_class,
            clipped=_clipped(found),
            # Streams of a few answers make one line; else there would be dots.
            breaks=breaks if 10 * len(breaks) <= len(x) else breaks[:0],
        )

    @property
    def worst(self) -> int:
        """Index of the largest difference, or of the largest error without a float network."""
        beside = self.target if self.float_y is None else self.float_y
        if beside is None:
            return 0
        return int(np.argmax(np.nan_to_num(np.abs(self.integer_y - beside))))

    def near(self, index: int, count: int) -> _View:
        """The answers around one of them."""
        begin = max(0, min(index - count // 2, len(self.x) - count))
        cut = slice(begin, begin + count)
        inside = (self.breaks > begin) & (self.breaks < begin + count)
        return replace(
            self,
            x=self.x[cut],
            float_y=None if self.float_y is None else self.float_y[cut],
            integer_y=self.integer_y[cut],
            target=None if self.target is None else self.target[cut],
            breaks=self.breaks[inside] - begin,
        )

    def line(self, values: FloatArray) -> tuple[npt.NDArray[Any], FloatArray]:
        """What to draw of one value per answer: a gap between streams, not too many points."""
        x = np.insert(self.x, self.breaks, self.x[self.breaks])
        return _thinned(x, np.insert(values, self.breaks, np.nan))


def _clipped(found: Evaluation) -> IntArray:
    """Indices of the compared answers whose own reading is outside the range of a channel."""
    answered, there = found.answered, found.answered.compared
    low = np.array([channel.low for channel in found.clipped])
    high = np.array([channel.high for channel in found.clipped])
    outside = [((x < low) | (x > high)).any(axis=1) for x in found.recording.streams]
    at = zip(answered.stream[there], answered.row[there], strict=True)
    return np.flatnonzero([outside[stream][row] for stream, row in at])


def _sizes(found: Evaluation) -> list[float]:
    """How far each channel departs from the float network."""
    if not found.departures:
        return [0.0] * len(found.output_names)
    return [d.relative if d.relative is not None else 0.0 for d in found.departures]


def _channel(found: Evaluation, channels: Sequence[int]) -> int:
    """The channel that departs most."""
    sizes = _sizes(found)
    return max(channels, key=lambda k: sizes[k])


def _drawn(found: Evaluation) -> list[OutputFound]:
    """Outputs that get a row, in their order."""
    sizes = _sizes(found)
    order = sorted(found.outputs, key=lambda output: -max(sizes[output.channels]))
    return [output for output in found.outputs if output in order[:_OUTPUTS]]


def _axis(found: Evaluation, row: IntArray) -> tuple[npt.NDArray[Any], str]:
    """Times or places of one stream; of several, the numbers of the answers."""
    recording = found.recording
    if found.streams > 1:
        return np.arange(len(row)), "output (streams in sequence)"
    if recording.times is not None:
        try:
            return np.array(recording.times[0], dtype="datetime64[s]")[row], "time"
        except ValueError:  # times of another kind
            pass
    return recording.places[0][row], recording.place


def _format_times(axes: Any, view: _View) -> None:
    """Dates as short as they can be, where the axis has them."""
    from matplotlib import dates

    if np.issubdtype(view.x.dtype, np.datetime64):
        locator = dates.AutoDateLocator()  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        formatter = dates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(formatter)


def _lines(axes: Any, view: _View) -> None:
    """Target, float and integer."""
    looks: list[tuple[FloatArray | None, dict[str, Any]]] = [
        (view.target, {"color": _TARGET, "lw": 1.0, "label": "target"}),
        (view.float_y, {"color": _FLOAT, "lw": 2.4, "alpha": 0.55, "label": "float"}),
        (view.integer_y, {"color": _INTEGER, "lw": 1.0, "label": "integer"}),
    ]
    for values, look in looks:
        if values is not None:
            axes.plot(*view.line(values), **look)


def _draw_answers(axes: Any, view: _View) -> None:
    _lines(axes, view)
    if len(view.other_class):
        at = view.other_class
        axes.plot(view.x[at], view.integer_y[at], "x", color=_TARGET, ms=5, label="different class")
    if len(view.clipped):
        bottom = np.full(len(view.clipped), axes.get_ylim()[0])
        axes.plot(view.x[view.clipped], bottom, "|", color=_GREY, ms=8, label="clipped reading")
    axes.set_ylabel(view.name)
    axes.margins(x=0.01)
    axes.legend(loc="upper left", frameon=False, ncols=5)
    axes.set_ylim(top=axes.get_ylim()[1] + 0.12 * np.ptp(axes.get_ylim()))  # room for the legend


def _draw_difference(axes: Any, view: _View) -> None:
    if view.float_y is None:
        return
    difference = view.integer_y - view.float_y
    axes.plot(*view.line(difference), color=_INTEGER, lw=0.8)
    axes.axhline(0.0, color=_TARGET, lw=0.7)
    parts = np.array_split(np.arange(len(difference)), min(10, len(difference)))
    for number, part in enumerate(parts):
        root = float(np.sqrt(np.mean(np.square(difference[part]))))
        ends = view.x[part[0]], view.x[part[-1]]
        label = "RMSE of one tenth" if number == 0 else None
        axes.plot(ends, (root, root), color=_TARGET, lw=1.6, label=label)
    axes.set_ylabel("integer − float")
    axes.legend(loc="upper left", frameon=False)
    axes.set_ylim(top=axes.get_ylim()[1] + 0.15 * np.ptp(axes.get_ylim()))


def _draw_errors(axes: Any, view: _View, found: Evaluation) -> None:
    """Histogram of errors against the target, or of the difference where there is none."""
    answers: list[tuple[str, FloatArray | None, str, dict[str, Any]]] = [
        ("float", view.float_y, _FLOAT, {"histtype": "step", "lw": 2.0}),
        ("integer", view.integer_y, _INTEGER, {"alpha": 0.45}),
    ]
    beside, what = (view.float_y, "float") if view.target is None else (view.target, "target")
    if beside is None:
        return
    errors = [
        (name, y - beside, colour, look)
        for name, y, colour, look in answers
        if y is not None and y is not beside
    ]
    axes.set_xlabel(f"{_of(found, view.name)}output − {what}")
    known = np.concatenate([e[np.isfinite(e)] for _, e, _, _ in errors])
    edges = np.histogram_bin_edges(known, bins=int(np.clip(2 * np.sqrt(len(known)), 10, 60)))
    for name, error, colour, look in errors:
        axes.hist(error[np.isfinite(error)], bins=edges, color=colour, label=name, **look)
    axes.axvline(0.0, color=_TARGET, lw=0.7)
    axes.set_ylabel("outputs")
    axes.legend(frameon=False)


def _of(found: Evaluation, name: str) -> str:
    """Whose picture it is, where there are several outputs."""
    return f"{name}: " if len(found.outputs) > 1 else ""


def _draw_close(axes: Any, view: _View, found: Evaluation) -> None:
    """The answers around the largest difference."""
    _lines(axes, view.near(view.worst, _CLOSE))
    axes.axvline(view.x[view.worst], color=_GREY, lw=0.8, ls="--")
    title = f"{_of(found, view.name)}around the largest difference"
    axes.set_title(title, fontsize="medium", loc="left")
    axes.set_xlabel(view.axis)
    _format_times(axes, view)


def _draw_confusion(figure: Any, grid: Any, row: int, output: OutputFound) -> None:
    confusion = output.confusion
    if confusion is None:
        return
    whose = f"{output.name}: " if output.name else ""
    tables = [("float", confusion.of_float), ("integer", confusion.of_integer)]
    for column, (name, counts) in enumerate(tables):
        if counts is None:
            continue
        axes = figure.add_subplot(grid[row, column])
        rows = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(counts / rows, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        count = len(confusion.names)
        if count <= 12:
            for i, j in np.ndindex(count, count):
                colour = "white" if counts[i, j] > 0.55 * rows[i, 0] else _TARGET
                axes.text(j, i, f"{counts[i, j]}", ha="center", va="center", color=colour,
                          fontsize="small")  # fmt: skip
        axes.set_xticks(range(count), [n[:14] for n in confusion.names],
                        rotation=30 if count > 4 else 0)  # fmt: skip
        axes.set_yticks(range(count), [n[:14] for n in confusion.names])
        axes.set_ylabel("target")
        axes.set_title(f"{whose}predictions of the {name} model", fontsize="medium", loc="left")


def _thinned(x: npt.NDArray[Any], y: FloatArray) -> tuple[npt.NDArray[Any], FloatArray]:
    """At most about 2 · _POINTS points: the smallest and the largest value of each stretch."""
    if len(y) <= 2 * _POINTS:
        return x, y
    picked: list[int] = []
    for part in np.array_split(np.arange(len(y)), _POINTS):
        values = y[part]
        if np.isnan(values).all():
            picked.append(int(part[0]))
            continue
        picked += sorted({int(part[np.nanargmin(values)]), int(part[np.nanargmax(values)])})
    return x[picked], y[picked]
