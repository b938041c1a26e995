"""What an integer model of a trained network is worth: noise on long streams, metric on the test.

All through the public interface: `quantize` and `evaluate`. What is refused is a figure as well.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.arithmetic.tasks import StreamTask
from edgernn.errors import EdgeRnnError, EdgeRnnWarning
from edgernn.model.formats import FloatArray, PrecisionName
from edgernn_export import evaluate, quantize
from edgernn_export.float_model import float_run
from edgernn_export.keras_reader import read_keras

SHORT_STEPS: Final = 20_000
PRECISIONS: Final[tuple[PrecisionName, ...]] = ("w8a8", "w8a16")
METRIC: Final = "mae"
#: Options of `quantize` that ask for a storage of states, by its name.
STORAGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "16": {"state": "16"},
    "auto": {"state": "auto"},
}


def storages() -> Mapping[str, Mapping[str, Any]]:
    """Storages of states to measure; the only one there is where `quantize` has no choice."""
    return STORAGES if "state" in inspect.signature(quantize).parameters else {"16": {}}


def measured(
    path: Path, task: StreamTask, precision: PrecisionName, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Figures of one integer model.

    Args:
        path: the trained network.
        task: what it was trained on.
        precision: of the integer model.
        options: for `quantize`.

    Returns:
        ``refused`` with the error alone; else ``float`` and ``integer``, the metric of the output
        that keeps the least, ``kept``, its share; ``floats``, the float network's of every output;
        and of a task with a long stream what `noise` gives.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EdgeRnnWarning)
            model = quantize(
                path, task.calibration, precision, stream="endless", progress=False, **options
            )
    except EdgeRnnError as error:
        return {"refused": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    tested = evaluate(
        model, task.test, task.test_wanted, float_model=path, metric=METRIC, progress=False
    )
    decides = tested.decides
    if decides is None:
        raise SystemExit(f"{path.name} {precision}: expected a score of both models, got none.")
    found = {
        "float": decides.float_value,
        "integer": decides.integer_value,
        "kept": decides.kept,
        "floats": [s.float_value for s in tested.scores if s.metric == METRIC][: len(task.outputs)],
    }
    if task.evaluation is None:
        return found
    answered = evaluate(model, task.evaluation, float_model=path, progress=False).answered
    if answered.float_y is None:
        raise SystemExit(f"{path.name}: expected answers of the float network, got none.")
    return found | noise(answered.float_y, answered.integer_y)


def noise(float_y: FloatArray, integer_y: FloatArray) -> dict[str, float]:
    """Ratios of signal to noise in dB of the output that has the least.

    The signal is what varies in the float64 network's answers, the noise is integer minus float.

    Args:
        float_y: [T, O].
        integer_y: [T, O].

    Returns:
        ``short_db`` over the first `SHORT_STEPS` steps, ``long_db`` over all, ``last_db`` with the
        noise of the last `SHORT_STEPS` steps and the signal of all; ``peak``, the largest
        difference as a share of the output's range.
    """
    noise_y, end = integer_y - float_y, slice(-SHORT_STEPS, None)
    first = slice(None, SHORT_STEPS)
    return {
        "short_db": _db(float_y[first].var(axis=0), noise_y[first]),
        "long_db": _db(float_y.var(axis=0), noise_y),
        "last_db": _db(float_y.var(axis=0), noise_y[end]),
        "peak": float((np.abs(noise_y).max(axis=0) / np.ptp(float_y, axis=0)).max()),
    }


def _db(signal: FloatArray, noise_y: FloatArray) -> float:
    power = np.maximum(np.square(noise_y).mean(axis=0), np.finfo(np.float64).tiny)
    return float((10.0 * np.log10(signal / power)).min())


def memories(path: Path, task: StreamTask) -> dict[str, float]:
    """For how many steps units remember on the calibration streams: 1 / median of what is let go.

    What is let go of a state at a step is 1 − f of an LSTM, 1 − z of a GRU.

    Returns:
        Of the units the ``median`` and the ``longest``, in steps.
    """
    kept: list[FloatArray] = []

    def observe(_: int, name: str, values: FloatArray) -> None:
        if name == "keep":
            kept.append(values.reshape(-1, values.shape[-1]))

    float_run.run(read_keras(path), task.calibration, observe=observe)
    steps = 1.0 + np.exp(np.median(np.concatenate(kept), axis=0))
    return {"median": float(np.median(steps)), "longest": float(steps.max())}
