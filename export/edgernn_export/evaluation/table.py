"""An evaluation as text."""

from __future__ import annotations

from collections.abc import Iterator

from edgernn_export.evaluation.departure import Moment
from edgernn_export.evaluation.metrics import CLASSIFICATION
from edgernn_export.evaluation.recording import IntArray
from edgernn_export.evaluation.result import Evaluation, way


def text(found: Evaluation) -> str:
    """Several short tables, one below the other."""
    parts = [_head, _scores, _confusion, _difference, _borders, _worst]
    return "\n\n".join(block for part in parts if (block := "\n".join(part(found))))


def _head(found: Evaluation) -> Iterator[str]:
    yield (
        f"{found.model} {found.precision} on {way(found.window)}: "
        f"{_count(found.answers, 'answer')} to {_count(found.readings, 'reading')} in "
        f"{_count(found.streams, 'stream')}"
    )
    for reason, count in found.left_out.items():
        yield f"left out: {_count(count, 'answer')} {reason}"
    for note in found.notes:
        yield f"note: {note}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _scores(found: Evaluation) -> Iterator[str]:
    if not found.scores:
        return
    labels = [f"{s.metric}{s.output and f' {s.output}'}" for s in found.scores]
    width = max(map(len, [*labels, "metric"]))
    yield f"{'metric':<{width}}{'float':>12}{'integer':>12}{'kept':>12}"
    for label, s in zip(labels, found.scores, strict=True):
        mark = "  < decides" if s.metric == found.metric else ""
        yield (
            f"{label:<{width}}{_number(s.float_value):>12}{_number(s.integer_value):>12}"
            f"{_percent(s.kept):>12}{mark}"
        )
    if found.kept_by_float_on_clipped is not None:
        yield (
            "The float network itself keeps "
            f"{_percent(found.kept_by_float_on_clipped)} when its readings are clipped as below."
        )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.5g}"


def _percent(share: float | None, digits: int = 2) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def _confusion(found: Evaluation) -> Iterator[str]:
    confusion = found.confusion
    if confusion is None or len(confusion.names) > 12:
        return
    if confusion.of_float is not None:
        yield from _matrix("float: target below, answer right", confusion.names, confusion.of_float)
        yield ""
    yield from _matrix("integer: target below, answer right", confusion.names, confusion.of_integer)


def _matrix(title: str, names: tuple[str, ...], counts: IntArray) -> Iterator[str]:
    width = max(6, *(len(n) + 2 for n in names), len(str(int(counts.max()))) + 2)
    yield title
    yield " " * width + "".join(f"{name:>{width}}" for name in names)
    for name, row in zip(names, counts, strict=True):
        yield f"{name:<{width}}" + "".join(f"{int(v):>{width}}" for v in row)


def _difference(found: Evaluation) -> Iterator[str]:
    if not found.departures:
        return
    width = max(len("integer − float"), *(len(d.output) for d in found.departures))
    yield f"{'integer − float':<{width}}{'rmse':>12}{'of float σ':>12}{'bias':>12}{'largest':>12}"
    for d in found.departures:
        yield (
            f"{d.output:<{width}}{d.rmse:>12.4g}{_percent(d.relative):>12}{d.bias:>12.3g}"
            f"{d.largest:>12.4g}"
        )
    if found.agreement is not None:
        yield f"both give the same class: {_percent(found.agreement)}"
    if found.over_time is not None:
        tenths = "  ".join(map(_tenth, found.over_time.tenths))
        grows = "it grows" if found.over_time.grows else "it does not grow"
        yield f"in tenths of {found.over_time.along}, % of σ: {tenths} ({grows})"


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
        yield f"Quantize with calibration data that cover them, or with --input-range {names}."
    else:
        yield "clipped readings: none"
    s = found.saturation
    shares = ", ".join(f"{name} {_percent(share, 3)}" for name, share in s.shares)
    looked = f"{s.steps:,} of {s.of_steps:,} steps looked at"
    yield f"saturated inside: {shares or 'nothing'} ({looked})"


def _worst(found: Evaluation) -> Iterator[str]:
    if not found.worst:
        return
    rows = [("where", "output", "target", "float", "integer")]
    rows += [_moment(found, m) for m in found.worst]
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    for where, output, *numbers in rows:
        cells = [f"{cell:>{max(11, w + 2)}}" for cell, w in zip(numbers, widths[2:], strict=True)]
        yield f"{where:<{widths[0]}}  {output:<{widths[1]}}{''.join(cells)}"


def _moment(found: Evaluation, moment: Moment) -> tuple[str, str, str, str, str]:
    where = f"{found.recording.place} {moment.place}"
    if found.streams > 1:
        where = f"{moment.stream}, {where}"
    if moment.time:
        where += f", {moment.time}"
    target = _number(moment.target)
    if found.task == CLASSIFICATION and moment.target is not None and found.confusion is not None:
        target = found.confusion.names[int(moment.target)]
    return where, moment.output, target, _number(moment.float_value), _number(moment.integer_value)
