"""What an evaluation found, for people and for programs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.cli.style import table
from edgernn.display import record_repr, report_html
from edgernn.model.formats import FloatArray
from edgernn.model.interface import Window
from edgernn_export.evaluation.metrics import IntArray, Score
from edgernn_export.evaluation.recording import Recording
from edgernn_export.evaluation.shortfalls import Clipped, Departure, Moment, OverTime, Saturation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answered:
    """Answers of both models, one row each.

    Attributes:
        stream: int64 [N], number of the stream.
        row: int64 [N], reading in its stream.
        float_y: float64 [N, O], NaN before the float network's first window; None without one.
        integer_y: float64 [N, O].
    """

    stream: IntArray
    row: IntArray
    float_y: FloatArray | None
    integer_y: FloatArray

    @property
    def compared(self) -> npt.NDArray[np.bool_]:
        """Bool [N]: every model that there is has answered."""
        if self.float_y is None:
            return np.ones(len(self.row), dtype=np.bool_)
        there: npt.NDArray[np.bool_] = ~np.isnan(self.float_y).any(axis=1)
        return there


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confusion:
    """How often each class [row] was answered by each class [column].

    Attributes:
        names: of the classes.
        of_float: of the float network, None without one.
        of_integer: of the integer model.
    """

    names: tuple[str, ...]
    of_float: IntArray | None
    of_integer: IntArray

    def record(self) -> dict[str, Any]:
        """What JSON has of it."""
        return {
            "classes": list(self.names),
            "float": None if self.of_float is None else self.of_float.tolist(),
            "integer": self.of_integer.tolist(),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutputFound:
    """Facts about one output in addition to its scores.

    Attributes:
        name: of the output; "" where the model has one.
        channels: which output channels are its own.
        names: of these channels.
        task: "regression" or "classification".
        agreement: share of answers of one class by both models; None unless there are classes.
        confusion: classes taken for one another; None without targets that are classes.
        target: of every answer, see `OutputTarget.values`.
    """

    name: str
    channels: slice
    names: tuple[str, ...]
    task: str
    agreement: float | None
    confusion: Confusion | None
    target: npt.NDArray[Any] | None

    def record(self) -> dict[str, Any]:
        """What JSON has of it."""
        return {
            "name": self.name,
            "task": self.task,
            "agreement": self.agreement,
            "confusion": None if self.confusion is None else self.confusion.record(),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """A float network and its integer model on one recording.

    Attributes:
        model: name of the integer model.
        model_sha256: its hash.
        precision: `IntegerModel.precision_label`.
        window: what the integer model runs on; None for an endless stream.
        with_float: there is a float network.
        float_window: what the float network runs on; None for an endless stream.
        streams: streams of the recording.
        readings: readings of all streams.
        answers: answers that are compared.
        left_out: answers that are not compared or not scored, by reason.
        notes: what the figures cannot say.
        outputs: what there is to say about each output; of a model with one, that one.
        metric: which metric decides; of several with other tasks, that of the deciding score.
        scores: metrics against the target; none without targets.
        decides: the score that does; of several channels and outputs that which keeps the least.
            None where that cannot be told.
        kept: share of the float network's quality that the integer model keeps by the deciding
            score, 1.0 for all. None where there is none.
        kept_by_float_on_clipped: the same for the float network when its readings are clipped to
            the integer model's input range; None where nothing is clipped.
        departures: integer minus float, per output channel.
        over_time: how the difference develops.
        worst: where it is largest.
        clipped: readings beyond the input range, per channel.
        saturation: values that saturate inside the integer model.
        output_names: of the output channels.
        answered: the answers themselves.
        recording: what was run.
    """

    model: str
    model_sha256: str
    precision: str
    window: Window | None
    with_float: bool
    float_window: Window | None
    streams: int
    readings: int
    answers: int
    left_out: Mapping[str, int]
    notes: tuple[str, ...]
    outputs: tuple[OutputFound, ...]
    metric: str
    scores: tuple[Score, ...]
    decides: Score | None
    kept: float | None
    kept_by_float_on_clipped: float | None
    departures: tuple[Departure, ...]
    over_time: OverTime | None
    worst: tuple[Moment, ...]
    clipped: tuple[Clipped, ...]
    saturation: Saturation
    output_names: tuple[str, ...]
    answered: Answered
    recording: Recording

    __repr__ = record_repr
    _repr_html_ = report_html

    @property
    def task(self) -> str:
        """The task: "regression", "classification", or "mixed" where that of outputs differs."""
        tasks = {output.task for output in self.outputs}
        return tasks.pop() if len(tasks) == 1 else "mixed"

    @property
    def agreement(self) -> float | None:
        """Share of answers of one class by both models; None of several outputs."""
        return self.outputs[0].agreement if len(self.outputs) == 1 else None

    @property
    def confusion(self) -> Confusion | None:
        """Classes taken for one another; None of several outputs."""
        return self.outputs[0].confusion if len(self.outputs) == 1 else None

    def to_json(self) -> str:
        """All figures as one JSON object; what is undefined is null."""
        return json.dumps(self.record(), allow_nan=False)

    def record(self) -> dict[str, Any]:
        """All figures as JSON values."""
        plain = (
            "model", "model_sha256", "precision", "with_float", "streams", "readings",
            "answers", "task", "metric", "kept", "kept_by_float_on_clipped", "agreement",
        )  # fmt: skip
        record: dict[str, Any] = {name: getattr(self, name) for name in plain}
        for name in ("window", "float_window"):
            window = getattr(self, name)
            record[name] = None if window is None else asdict(window)
        record["left_out"] = dict(self.left_out)
        record["notes"] = list(self.notes)
        for name in ("scores", "departures", "worst", "clipped"):
            record[name] = [asdict(entry) for entry in getattr(self, name)]
        record["over_time"] = None if self.over_time is None else asdict(self.over_time)
        record["saturation"] = asdict(self.saturation) | {"shares": dict(self.saturation.shares)}
        record["confusion"] = None if self.confusion is None else self.confusion.record()
        record["outputs"] = [output.record() for output in self.outputs]
        decides = self.decides
        record["decides"] = decides and {"metric": decides.metric, "output": decides.output}
        return record

    def table(self) -> str:
        """Plain text for people."""
        return _text(self)

    def plot(self, path: str | PathLike[str]) -> Path:
        """Draw the answers, their difference, and the errors or the confusion into a .png file."""
        from edgernn_export.evaluation.plot import draw

        return draw(self, Path(path))


def way(window: Window | None) -> str:
    """What a model runs on, for people."""
    return "an endless stream" if window is None else str(window)


def _text(found: Evaluation) -> str:
    """Several short tables, one below the other."""
    parts = [_head, _scores, _confusion, _difference, _borders, _worst]
    return "\n\n".join(block for part in parts if (block := "\n".join(part(found))))


def _head(found: Evaluation) -> Iterator[str]:
    yield (
        f"{found.model} {found.precision} on {way(found.window)}: "
        f"{_count(found.answers, 'output')} for {_count(found.readings, 'reading')} in "
        f"{_count(found.streams, 'stream')}"
    )
    for reason, count in found.left_out.items():
        yield f"left out: {_count(count, 'output')} {reason}"
    for note in found.notes:
        yield f"note: {note}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _scores(found: Evaluation) -> Iterator[str]:
    if not found.scores:
        return
    labels = [f"{s.metric}{s.output and f' {s.output}'}" for s in found.scores]
    rows = []
    for label, s in zip(labels, found.scores, strict=True):
        mark = "< decides" if s == found.decides else ""
        values = (_number(s.float_value), _number(s.integer_value), _percent(s.kept))
        rows.append((label, *values, mark))
    yield from table(("metric", "float", "integer", "kept", ""), rows, "<>>><")
    if found.kept_by_float_on_clipped is not None:
        yield (
            "With readings clipped as below, the float network itself keeps "
            f"{_percent(found.kept_by_float_on_clipped)}."
        )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.5g}"


def _percent(share: float | None, digits: int = 2) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def _confusion(found: Evaluation) -> Iterator[str]:
    blocks = []
    for output in found.outputs:
        confusion = output.confusion
        if confusion is None or len(confusion.names) > 12:
            continue
        whose = output.name and f"{output.name}, "
        for model, counts in (("float", confusion.of_float), ("integer", confusion.of_integer)):
            if counts is not None:
                title = f"{whose}{model}: targets in rows, outputs in columns"
                blocks.append("\n".join(_matrix(title, confusion.names, counts)))
    if blocks:
        yield "\n\n".join(blocks)


def _matrix(title: str, names: tuple[str, ...], counts: IntArray) -> Iterator[str]:
    yield title
    rows = [(name, *row) for name, row in zip(names, counts, strict=True)]
    yield from table(("", *names), rows, "<" + ">" * len(names))


def _difference(found: Evaluation) -> Iterator[str]:
    if not found.departures:
        return
    rows = []
    for d in found.departures:
        values = (f"{d.rmse:.4g}", _percent(d.relative), f"{d.bias:.3g}", f"{d.largest:.4g}")
        rows.append((d.output, *values))
    headings = ("integer − float", "rmse", "of float σ", "bias", "largest")
    yield from table(headings, rows, "<>>>>")
    for output in found.outputs:
        if output.agreement is not None:
            of = output.name and f" of {output.name}"
            yield f"same class{of} from both models: {_percent(output.agreement)}"
    if found.over_time is not None:
        tenths = "  ".join(map(_tenth, found.over_time.tenths))
        course = _course(found.over_time.tenths, found.over_time.grows)
        yield f"in ten parts ({found.over_time.along}), % of σ: {tenths} ({course})"


def _course(tenths: Sequence[float | None], grows: bool) -> str:
    """How the difference develops; a part far above the others is no trend, but must be told."""
    known = [share for share in tenths if share is not None]
    largest = max(known, default=0.0)
    if not grows and len(known) > 2 and largest > 3 * statistics.median(known):
        return f"largest in part {tenths.index(largest) + 1}"
    return "growing" if grows else "not growing"


def _tenth(share: float | None) -> str:
    if share is None:
        return "–"
    return f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}"


def _borders(found: Evaluation) -> Iterator[str]:
    beyond = [c for c in found.clipped if c.share]
    for c in beyond:
        yield (
            f"clipped readings: {c.channel} {_percent(c.share)} (range {c.low:.5g} to {c.high:.5g},"
            f" readings {c.least:.5g} to {c.largest:.5g})"
        )
    if beyond:
        names = ", ".join(f"{c.channel}=LOW:HIGH" for c in beyond)
        yield f"Quantize with calibration data that covers them, or with --input-range {names}."
    else:
        yield "clipped readings: none"
    s = found.saturation
    shares = ", ".join(f"{name} {_percent(share, 3)}" for name, share in s.shares)
    checked = f"{s.steps:,} of {s.of_steps:,} steps checked"
    yield f"saturated values: {shares or 'none'} ({checked})"


def _worst(found: Evaluation) -> Iterator[str]:
    if not found.worst:
        return
    rows = [_moment(found, moment) for moment in found.worst]
    yield from table(("position", "output", "target", "float", "integer"), rows, "<<>>>")


def _moment(found: Evaluation, moment: Moment) -> tuple[str, str, str, str, str]:
    where = f"{found.recording.place} {moment.place}"
    if found.streams > 1:
        where = f"{moment.stream}, {where}"
    if moment.time:
        where += f", {moment.time}"
    target = _number(moment.target)
    confusion = next(o.confusion for o in found.outputs if moment.output in o.names)
    if confusion is not None and moment.target is not None:
        target = confusion.names[int(moment.target)]
    return where, moment.output, target, _number(moment.float_value), _number(moment.integer_value)
