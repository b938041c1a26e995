"""How good answers are: errors of numbers, scores of classes, and custom metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgeRnnError
from edgernn.model.formats import FloatArray

IntArray = npt.NDArray[np.int64]
#: Takes targets and answers, gives one number.
MetricFunction = Callable[[Any, Any], float]

REGRESSION: Final = "regression"
CLASSIFICATION: Final = "classification"
#: Probability from which a model of one output says yes.
THRESHOLD: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number for how good answers are.

    Attributes:
        name: for people.
        function: takes targets [N] and answers [N] of one output; NaN where it is undefined. A
            metric of classes takes class numbers, one of the user's own what he gave.
        higher_is_better: a score, not an error.
    """

    name: str
    function: MetricFunction
    higher_is_better: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One metric of both models.

    Attributes:
        metric: its name.
        output: which output; "" for all together.
        float_value: of the float network; None without one, or where the metric is undefined.
        integer_value: of the integer model; None where the metric is undefined.
        kept: float over integer for an error, integer over float for a score; None where either is
            undefined, or the float network has no score to keep.
    """

    metric: str
    output: str
    float_value: float | None
    integer_value: float | None
    kept: float | None


def rmse(target: FloatArray, answer: FloatArray) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean(np.square(answer - target))))


def mae(target: FloatArray, answer: FloatArray) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(answer - target)))


def mape(target: FloatArray, answer: FloatArray) -> float:
    """Mean absolute error in percent of the target; NaN where a target is 0."""
    if np.any(target == 0):
        return float("nan")
    return float(100.0 * np.mean(np.abs((answer - target) / target)))


def r2(target: FloatArray, answer: FloatArray) -> float:
    """Share of the target's variance that the answers explain; NaN for a constant target."""
    total = np.sum(np.square(target - target.mean()))
    if total <= 0:
        return float("nan")
    return float(1.0 - np.sum(np.square(answer - target)) / total)


def accuracy(target: IntArray, answer: IntArray) -> float:
    """Share of the right classes."""
    return float(np.mean(target == answer))


def f1(target: IntArray, answer: IntArray) -> float:
    """F1 of every class that occurs in targets or answers, their plain mean (macro)."""
    values = []
    for label in np.union1d(target, answer):
        right = np.count_nonzero((target == label) & (answer == label))
        values.append(
            2 * right / (np.count_nonzero(target == label) + np.count_nonzero(answer == label))
        )
    return float(np.mean(values))


#: By task; the first one decides unless another is asked for.
METRICS: Final[Mapping[str, tuple[Metric, ...]]] = MappingProxyType(
    {
        REGRESSION: (
            Metric(name="rmse", function=rmse, higher_is_better=False),
            Metric(name="mae", function=mae, higher_is_better=False),
            Metric(name="mape", function=mape, higher_is_better=False),
            Metric(name="r2", function=r2, higher_is_better=True),
        ),
        CLASSIFICATION: (
            Metric(name="accuracy", function=accuracy, higher_is_better=True),
            Metric(name="f1", function=f1, higher_is_better=True),
        ),
    }
)


def metric_names() -> tuple[str, ...]:
    """Metrics by name, of all tasks."""
    return tuple(metric.name for metrics in METRICS.values() for metric in metrics)


def own_metric(function: MetricFunction, higher_is_better: bool) -> Metric:
    """A function of the user's as a metric."""
    name = getattr(function, "__name__", "metric")
    return Metric(name=name, function=function, higher_is_better=higher_is_better)


def deciding_metrics(name: Any, tasks: Sequence[str]) -> tuple[str, ...]:
    """Names of the metrics that decide: the given one, or the first of each task.

    Raises:
        EdgeRnnError: no task has such a metric.
    """
    if name is None:
        return tuple(METRICS[task][0].name for task in tasks)
    known = [metric.name for task in tasks for metric in METRICS[task]]
    if name in known:
        return (name,)
    raise EdgeRnnError(
        f"evaluate metric: expected one of {', '.join(known)} for {' and '.join(tasks)}, got "
        f"{name!r:.40}. Choose one of these, or set task= (--task)."
    )


def score(metric: Metric, output: str, target: Any, float_y: Any | None, integer_y: Any) -> Score:
    """Both models by one metric.

    Raises:
        EdgeRnnError: the metric gives no number.
    """
    of_float = None if float_y is None else _value(metric, target, float_y)
    of_integer = _value(metric, target, integer_y)
    return Score(
        metric=metric.name,
        output=output,
        float_value=of_float,
        integer_value=of_integer,
        kept=kept(of_float, of_integer, metric.higher_is_better),
    )


def kept(of_float: float | None, of_integer: float | None, higher_is_better: bool) -> float | None:
    """Share of the float network's quality that is left.

    >>> kept(0.10, 0.125, higher_is_better=False), kept(0.96, 0.72, higher_is_better=True)
    (0.8, 0.75)
    """
    if of_float is None or of_integer is None:
        return None
    if higher_is_better:
        return max(0.0, of_integer / of_float) if of_float > 0 else None
    if of_integer == 0:
        return 1.0 if of_float == 0 else None
    return of_float / of_integer


def _value(metric: Metric, target: Any, answer: Any) -> float | None:
    try:
        value = float(metric.function(target, answer))
    except (TypeError, ValueError) as error:
        raise EdgeRnnError(
            f"evaluate metric '{metric.name}': expected one number from targets "
            f"{list(np.shape(target))} and outputs {list(np.shape(answer))}, got "
            f"{error!s:.200}."
        ) from error
    return value if np.isfinite(value) else None


def classes(answer: FloatArray) -> IntArray:
    """Class numbers [N] of answers [N, O]: the largest output; of one output, whether it says yes.

    >>> classes(np.array([[0.2, 0.8], [0.6, 0.4]])), classes(np.array([[0.2], [0.6]]))
    (array([1, 0]), array([0, 1]))
    """
    if answer.shape[1] == 1:
        return (answer[:, 0] >= THRESHOLD).astype(np.int64)
    largest: IntArray = np.argmax(answer, axis=1)
    return largest


def confusion(target: IntArray, answer: IntArray, count: int) -> IntArray:
    """How often each class [row] was answered by each class [column], [C, C]."""
    table = np.zeros((count, count), dtype=np.int64)
    np.add.at(table, (target, answer), 1)
    return table
