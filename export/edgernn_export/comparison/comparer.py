"""Measure several models in the same way."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

from edgernn.bench import benchmark
from edgernn.bench.file_sizes import FileSize, file_sizes
from edgernn.container.file import load_either
from edgernn.errors import BackendUnavailable, EdgeRnnError
from edgernn.model.integer_model import IntegerModel
from edgernn_export.comparison.compared_model import ComparedModel
from edgernn_export.comparison.result import Comparison, distinct_labels
from edgernn_export.evaluation.evaluator import evaluate
from edgernn_export.simulation.board_cost import BoardCost, board_costs
from edgernn_export.simulation.simulator import find_targets
from edgernn_export.writers.exporter import export

ModelSource = IntegerModel | str | PathLike[str]
#: Formats whose size is compared.
_FORMATS: Final = ("tflite", "onnx")
#: Interleaved rounds of the native back-end: enough for a median that repeats.
_ROUNDS: Final = 20


def compare(
    models: Sequence[ModelSource],
    *,
    float_models: Sequence[Any] = (),
    data: Any = None,
    target: Any = None,
    boards: Sequence[str | Path] = (),
    timed: bool = True,
    progress: Callable[[str], None] | None = None,
    **evaluation: Any,
) -> Comparison:
    """Compare models: layers, size, accuracy on test data, time per step and costs on boards.

    Args:
        models: at least two integer models, or paths of .edgernn files.
        float_models: the float networks, to measure the share of accuracy that each model keeps:
            one for all models, or one for each in the same order.
        data: test data, as `edgernn_export.evaluate` accepts it; None leaves accuracy out.
        target: what the models should answer, see `edgernn_export.evaluate`.
        boards: cores, boards and path objects of board profiles to emulate the firmware on.
        timed: measure the time of a step in the native back-end.
        progress: receives the name of each stage as it starts.
        **evaluation: other arguments of `edgernn_export.evaluate`, for example ``horizon``.

    Returns:
        The comparison, with `table`, `to_json` and `plot`.

    Raises:
        EdgeRnnError: fewer than two models, or arguments that do not fit together.
        TargetError, BackendUnavailable, EmulationError: as `board_costs`.
    """
    _check(models, float_models, data, target)
    if boards:
        find_targets(boards)  # a wrong name is found before anything is measured
    tell = progress or (lambda _: None)
    loaded = [_model(source) for source in models]
    labels = distinct_labels(
        [m.name if isinstance(m, IntegerModel) else Path(m).stem for m in models]
    )
    networks = list(float_models) * (len(models) if len(float_models) == 1 else 1)
    compared = []
    for index, (label, model) in enumerate(zip(labels, loaded, strict=True)):
        notes: list[str] = []
        costs: tuple[BoardCost, ...] = ()
        if boards:  # first, since a compiler or QEMU may be missing
            costs = board_costs(model, boards, progress=_prefixed(tell, label))
        tell(f"{label}: files")
        sizes = _sizes(model, notes)
        facts: dict[str, Any] = {"metric": "", "score": None, "float_score": None, "kept": None}
        if data is not None:
            tell(f"{label}: accuracy")
            network = networks[index] if networks else None
            facts = _accuracy(model, data, target, network, evaluation)
        times: tuple[float | None, float | None] = (None, None)
        if timed:
            tell(f"{label}: time")
            times = _times(model, notes)
        compared.append(
            ComparedModel(
                label=label,
                model=model.name,
                model_sha256=model.sha256,
                layers=", ".join(f"{layer.kind} {layer.units}" for layer in model.layers),
                precision=model.precision_label,
                macs=model.macs,
                state_bytes=model.state_bytes,
                sizes=sizes,
                median_us=times[0],
                p99_us=times[1],
                boards=costs,
                notes=tuple(notes),
                **facts,
            )
        )
    return Comparison(models=tuple(compared), data=_data_name(data))


def _check(models: Sequence[ModelSource], networks: Sequence[Any], data: Any, target: Any) -> None:
    if isinstance(models, (str, PathLike)) or len(models) < 2:
        count = 1 if isinstance(models, (str, PathLike)) else len(models)
        raise EdgeRnnError(
            f"compare: expected at least two models, got {count}. Pass several .edgernn files."
        )
    if networks and len(networks) not in (1, len(models)):
        raise EdgeRnnError(
            f"--float: expected one network for all models or {len(models)}, one for each, got "
            f"{len(networks)}."
        )
    if data is None and (networks or target is not None):
        raise EdgeRnnError(
            "--data: expected test data to measure accuracy on, got none. Pass a file with --data."
        )


def _model(source: ModelSource) -> IntegerModel:
    if isinstance(source, IntegerModel):
        return source
    found = load_either(Path(source))
    if isinstance(found, IntegerModel):
        return found
    raise EdgeRnnError(
        f"{Path(source).name}: expected one model, got the programs {', '.join(found.names)}. "
        "Save the program to compare in a separate file."
    )


def _sizes(model: IntegerModel, notes: list[str]) -> tuple[FileSize, ...]:
    files: dict[str, Path] = {}
    with tempfile.TemporaryDirectory(prefix="edgernn-compare-") as folder:
        for kind in _FORMATS:
            try:
                files |= export(model, folder, (kind,), name="model")
            except ImportError as error:
                notes.append(f".{kind}: {error.name} is not installed")
        return file_sizes(model, files)


def _accuracy(
    model: IntegerModel, data: Any, target: Any, network: Any, evaluation: Mapping[str, Any]
) -> dict[str, Any]:
    found = evaluate(model, data, target, float_model=network, progress=False, **evaluation)
    decides = found.decides
    if decides is None:
        decides = next((score for score in found.scores if score.metric == found.metric), None)
    return {
        "metric": found.metric,
        "score": None if decides is None else decides.integer_value,
        "float_score": None if decides is None else decides.float_value,
        "kept": found.kept,
    }


def _times(model: IntegerModel, notes: list[str]) -> tuple[float | None, float | None]:
    """Median and 99th percentile of a step, in microseconds."""
    try:
        timing = benchmark(model, backends=["native"], streams=1, rounds=_ROUNDS).timing("native")
    except (BackendUnavailable, KeyError):
        notes.append("µs per step: the native back-end is not installed")
        return None, None
    return timing.median_us, timing.p99_us


def _prefixed(tell: Callable[[str], None], label: str) -> Callable[[str], None]:
    return lambda stage: tell(f"{label}: {stage}")


def _data_name(data: Any) -> str:
    if data is None:
        return ""
    return Path(data).name if isinstance(data, (str, PathLike)) else "an array"
