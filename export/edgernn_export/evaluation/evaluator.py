"""Run a float network and an integer model over one recording, and compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from edgernn.container.file import load_either
from edgernn.errors import EdgeRnnError, ShapeError
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import Window
from edgernn.records.opening import TableOptions
from edgernn_export.calibration.unmasked import unmasked
from edgernn_export.evaluation import recording_files
from edgernn_export.evaluation.answers import network_steps
from edgernn_export.evaluation.judge import Judge
from edgernn_export.evaluation.metrics import CLASSIFICATION, MetricFunction, classes
from edgernn_export.evaluation.output_targets import TASKS
from edgernn_export.evaluation.paired_run import PairedRun
from edgernn_export.evaluation.recording import IntArray, Recording, Targets, from_arrays
from edgernn_export.evaluation.result import Answered, Evaluation, way
from edgernn_export.evaluation.shortfalls import (
    Departure,
    Moment,
    OverTime,
    clipped,
    departures,
    over_time,
    relative_size,
    saturation,
    worst_answers,
)
from edgernn_export.float_model.model import FloatModel
from edgernn_export.networks.front_door import read_one_stream

if TYPE_CHECKING:
    from edgernn_export.weight_files.weight_layout import WeightLayout

OnMissing = Literal["raise", "hold", "skip"]
ANSWERS: Final = ("auto", "each", "last")


def evaluate(
    model: IntegerModel | str | PathLike[str],
    data: Any,
    target: Any = None,
    *,
    float_model: Any = None,
    weights: str | PathLike[str] | None = None,
    layout: WeightLayout | str | PathLike[str] | None = None,
    input_values: Mapping[str, Any] | None = None,
    input_shapes: Mapping[str, Sequence[int | None]] | None = None,
    metric: str | MetricFunction | None = None,
    higher_is_better: bool = False,
    task: str = "auto",
    horizon: int = 0,
    answers: str = "auto",
    group: str | None = None,
    time: str | None = None,
    on_missing: OnMissing = "raise",
    table: TableOptions | None = None,
    worst: int = 5,
    progress: bool | None = None,
) -> Evaluation:
    """Compare an integer model with its float network, and both with the truth.

    Both run in the way the integer model runs: its windows with their hop, or endless streams that
    begin in the zero state. A float network that was made for windows is always run on its own.

    Args:
        model: the integer model, or the path of its .edgernn file.
        data: readings in physical units: [T, I], [B, T, I], a list of [T_i, I], a pandas DataFrame,
            or the path of a .csv, .jsonl, .npy or .npz file.
        target: what the models should answer. Of several outputs, in their order: a column for each
            channel, or one with the class of a softmax. Of a table the name of a column, or of
            several; else an array, one target per reading or one per sequence, or a path object of
            a .npy or .csv file with it. Numbers, or names or numbers of classes; NaN where unknown.
            None compares the two models alone. An .npz file with "x" and "y" has its own.
        float_model: a `keras.Model`, a path Keras can load, or a `FloatModel`; None scores the
            integer model alone.
        weights: path of the weights of an architecture in JSON, see `read_keras`.
        layout: what the tensors of a file of weights are, see `quantize`.
        input_values: of the inputs of an ONNX model, see `quantize`.
        input_shapes: of the inputs of an ONNX model, see `quantize`.
        metric: the metric of which the kept share is reported: "rmse", "mae", "mape" or "r2" of
            numbers, "accuracy" or "f1" of classes; default the first of them, of several outputs
            that of each task. A function of targets and answers, [N] or [N, O] each, is computed
            for every output as well and decides; of classes it gets their numbers [N], and the
            answers [N, O].
        higher_is_better: what the function gives is a score, not an error.
        task: "regression", "classification" or "auto": a softmax, names of classes, a column of
            class numbers for several outputs, and zeros and ones for a sigmoid mean classes. Of
            several outputs, each has its own.
        horizon: the target of a reading is taken this many readings later: 1 where a forecaster
            answers the next value of the column.
        answers: "each" compares every answer, "last" the last one of every stream; "auto" takes
            the last one where targets are one per stream, or many sequences meet a network that
            answers once.
        group: a column of a table; each of its values is a separate stream.
        time: a column of a table, to say when something was.
        on_missing: what a reading without a finite number for each channel does: "raise", "hold"
            (the channel keeps its last value) or "skip" (the reading is left out; a horizon counts
            those that are not).
        table: how to read a text table; omitted options are detected from its first lines.
        worst: how many of the largest differences to show.
        progress: show a progress bar on stderr when it takes long; None where stderr is a terminal.

    Returns:
        Everything found, with `table`, `to_json` and `plot`.

    Raises:
        EdgeRnnError: an unknown option, a missing column, or nothing to compare.
        UnsupportedModelError: the float network uses something edgernn does not execute.
        ShapeError: readings, targets and models do not fit one another.
        ReadingError: a reading is missing and ``on_missing`` is "raise".
    """
    _check(task=task, answers=answers, horizon=horizon, worst=worst)
    if not isinstance(model, IntegerModel):
        model = _one_model(Path(model))
    try:
        recording = _recording(
            data, target, model.input.names, group, time, table or TableOptions(), on_missing
        ).complete(on_missing)
    except EdgeRnnError as error:
        if model.preparation is None or type(error) is not EdgeRnnError:
            raise
        raise EdgeRnnError(
            f"{str(error).rstrip('.')}. '{model.name}' records a preparation, and evaluate reads "
            "prepared readings: make them with edgernn_export.prepare"
        ) from error
    if recording.per_stream and horizon:
        raise EdgeRnnError(
            f"evaluate horizon: expected 0 with one target per stream, got {horizon}. Omit horizon."
        )
    network = None
    if float_model is not None:
        options = {
            "weights": weights,
            "layout": layout,
            "input_values": input_values,
            "input_shapes": input_shapes,
            "readings": list(recording.streams),
        }
        network = read_one_stream(float_model, **options)
    if network is not None:
        _check_widths(model, network)
    run = PairedRun.of(model, network, recording, _only_last(answers, recording, model, network))
    answered = run.answered(progress)
    if not answered.compared.any():
        raise EdgeRnnError(
            "evaluate: expected at least one output of both models, got none. "
            f"{_too_short(recording, model, network)}"
        )
    judge = Judge.of(
        model,
        _aligned(model, recording, run.rows, horizon),
        answered,
        task,
        metric,
        higher_is_better,
    )
    return _result(run, answered, judge, worst, progress)


def _one_model(path: Path) -> IntegerModel:
    found = load_either(path)
    if isinstance(found, IntegerModel):
        return found
    if found.chunk is not None:
        raise EdgeRnnError(
            f"{path.name}: expected a model over a stream, got one that answers {found.chunk}. "
            "Compare its answers in a session (docs/guides/bidirectional.md)."
        )
    raise EdgeRnnError(
        f"{path.name}: expected one integer model, got the programs {', '.join(found.names)}. "
        "evaluate does not support programs. Compare their outputs in a session "
        "(docs/guides/programs.md)."
    )


def _check(task: str, answers: str, horizon: Any, worst: Any) -> None:
    for name, value, allowed in (("task", task, TASKS), ("answers", answers, ANSWERS)):
        if value not in allowed:
            raise EdgeRnnError(
                f"evaluate {name}: expected one of {', '.join(allowed)}, got {value!r:.40}."
            )
    for name, value in (("horizon", horizon), ("worst", worst)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise EdgeRnnError(
                f"evaluate {name}: expected a whole number of at least 0, got {value!r:.40}."
            )


def _recording(
    data: Any,
    target: Any,
    inputs: Sequence[str],
    group: str | None,
    time: str | None,
    table: TableOptions,
    on_missing: str,
) -> Recording:
    columns: Sequence[str] | None = None
    if isinstance(target, str):
        columns, target = (target,), None
    elif isinstance(target, (list, tuple)) and target and all(isinstance(t, str) for t in target):
        if isinstance(data, (str, PathLike)) or hasattr(data, "columns"):
            columns, target = tuple(target), None
    elif isinstance(target, PathLike):
        target = recording_files.labels(Path(target))
    if isinstance(data, (str, PathLike)):
        recording = recording_files.from_file(
            Path(data), inputs, columns, group, time, options=table, on_missing=on_missing
        )
    elif hasattr(data, "columns"):
        recording = recording_files.from_frame(data, inputs, columns, group, time)
    elif columns or group or time:
        raise EdgeRnnError(
            "evaluate data: expected a table to select a column from, got arrays. Pass targets "
            "as an array and groups as a list of streams."
        )
    else:
        return from_arrays(data, target, len(inputs))
    return recording if target is None else recording.with_targets(target)


def _check_widths(model: IntegerModel, network: FloatModel) -> None:
    wanted = (model.input.width, model.output.width)
    if (network.inputs, network.outputs) != wanted:
        raise ShapeError(
            f"evaluate: expected a float network with {wanted[0]} inputs and {wanted[1]} "
            f"outputs like '{model.name}', got {network.inputs} and {network.outputs}. Pass "
            "the network that it was quantized from."
        )


def _only_last(
    asked: str, recording: Recording, model: IntegerModel, network: FloatModel | None
) -> bool:
    if asked != "auto":
        return asked == "last"
    once = network is not None and not network.return_sequences
    return recording.per_stream or (
        recording.many and recording.targets is None and model.window is None and once
    )


def _too_short(recording: Recording, model: IntegerModel, network: FloatModel | None) -> str:
    longest = max(len(x) for x in recording.streams)
    windows = [w for w in (model.window, network.window if network else None) if w is not None]
    steps = max((w.steps for w in windows), default=1 if model.rate is None else model.rate.first)
    return f"Pass streams of at least {steps} readings; the longest has {longest}."


def _aligned(
    model: IntegerModel, recording: Recording, rows: Sequence[IntArray], horizon: int
) -> Targets | None:
    """The target of every answer, [N] or [N, K]; NaN or "" where there is none.

    An answer that comes late is that to a reading before the one at which it comes.
    """
    late = 0 if model.rate is None or model.window is not None else model.rate.latency
    if recording.targets is None:
        return None
    parts = []
    for targets, picked in zip(recording.targets, rows, strict=True):
        if recording.per_stream:
            parts.append(np.repeat(targets[None], len(picked), axis=0))
            continue
        missing = "" if targets.dtype.kind == "U" else np.nan
        behind = np.full((horizon, *targets.shape[1:]), missing, dtype=targets.dtype)
        parts.append(np.concatenate([targets, behind])[picked - late + horizon])
    every: Targets = np.concatenate(parts)
    return every


def _result(
    run: PairedRun, answered: Answered, judge: Judge, worst: int, progress: bool | None
) -> Evaluation:
    model, recording = run.model, run.recording
    beyond = clipped(model, recording.streams)
    scores = judge.scores(answered.float_y, answered.integer_y)
    decides = judge.decides(scores)
    kept = None if decides is None else decides.kept
    on_clipped = None
    if scores and run.network is not None and any(channel.share for channel in beyond):
        low, high = [c.low for c in beyond], [c.high for c in beyond]
        inside = [
            np.where(unmasked(x, model.input.mask)[:, None], np.clip(x, low, high), x)
            for x in recording.streams
        ]
        found = judge.scores(answered.float_y, run.float_answers(inside, progress))
        least = judge.decides(found)
        on_clipped = None if least is None else least.kept
    steps = network_steps(recording.streams, run.rows, model.window, model.rate)
    return Evaluation(
        model=model.name,
        model_sha256=model.sha256,
        precision=model.precision_label,
        window=model.window,
        with_float=run.network is not None,
        float_window=run.float_window,
        streams=len(recording.streams),
        readings=recording.readings,
        answers=int(np.count_nonzero(answered.compared)),
        left_out=judge.left_out(answered),
        notes=_notes(run),
        outputs=tuple(output.found(answered) for output in judge.outputs),
        metric=", ".join(judge.metrics) if decides is None else decides.metric,
        scores=scores,
        decides=decides,
        kept=kept,
        kept_by_float_on_clipped=on_clipped,
        departures=_departures(model, answered),
        over_time=_over_time(run, answered),
        worst=_worst(run, answered, judge, worst),
        clipped=tuple(beyond),
        saturation=saturation(model, recording.streams, run.rows, steps),
        output_names=model.output.names,
        answered=answered,
        recording=recording,
    )


def _notes(run: PairedRun) -> tuple[str, ...]:
    """What the figures cannot say."""
    notes = []
    model, network = run.model, run.network
    if network is not None:
        if _steps(run.float_window) != _steps(model.window):
            notes.append(
                f"The float network runs on {way(run.float_window)}, as it was trained; the "
                f"integer model runs on {way(model.window)}. Every figure includes this difference."
            )
        if network.sha256 != model.provenance.float_model_sha256:
            notes.append("The integer model was not quantized from this float network.")
    return tuple(notes)


def _steps(window: Window | None) -> int | None:
    """Readings in a window; another hop answers the same windows, but fewer."""
    return None if window is None else window.steps


def _departures(model: IntegerModel, answered: Answered) -> tuple[Departure, ...]:
    if answered.float_y is None:
        return ()
    there = answered.compared
    return tuple(departures(model.output.names, answered.float_y[there], answered.integer_y[there]))


def _over_time(run: PairedRun, answered: Answered) -> OverTime | None:
    if answered.float_y is None:
        return None
    there = answered.compared
    sizes = relative_size(answered.float_y[there], answered.integer_y[there])
    if run.model.window is None and len(np.unique(answered.row)) > 1:
        return over_time(sizes, answered.row[there], "steps since the zero state")
    return over_time(sizes, np.arange(len(sizes)), "outputs in order")


def _worst(run: PairedRun, answered: Answered, judge: Judge, count: int) -> tuple[Moment, ...]:
    if answered.float_y is None:
        return ()
    recording, there = run.recording, np.flatnonzero(answered.compared)
    sizes = relative_size(answered.float_y[there], answered.integer_y[there])
    largest = sizes.max() + 1
    for target in (output.target for output in judge.outputs):
        if target.task == CLASSIFICATION:  # another class is worse than any difference
            of_float = classes(answered.float_y[there, target.channels])
            other = of_float != classes(answered.integer_y[there, target.channels])
            sizes[:, target.channels] += largest * other[:, None]
    size = sizes.max(axis=1)
    chosen = worst_answers(size, answered.stream[there], answered.row[there], count)
    moments = []
    for n in chosen:
        at, k = int(there[n]), int(np.argmax(sizes[n]))
        b, t = int(answered.stream[at]), int(answered.row[at])
        moments.append(
            Moment(
                stream=recording.names[b],
                place=int(recording.places[b][t]),
                time="" if recording.times is None else recording.times[b][t],
                output=run.model.output.names[k],
                target=judge.target_of(at, k),
                float_value=float(answered.float_y[at, k]),
                integer_value=float(answered.integer_y[at, k]),
            )
        )
    return tuple(moments)
