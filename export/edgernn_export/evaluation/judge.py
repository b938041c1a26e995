"""What answers are measured by: the task, its targets, its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgeRnnError, ShapeError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn.model.layers import Dense, DenseActivation
from edgernn_export.evaluation.metrics import (
    CLASSIFICATION,
    METRICS,
    REGRESSION,
    IntArray,
    Metric,
    MetricFunction,
    Score,
    chosen_metric,
    classes,
    confusion,
    own_metric,
    score,
)
from edgernn_export.evaluation.recording import Targets
from edgernn_export.evaluation.result import Answered, Confusion

TASKS: Final = ("auto", REGRESSION, CLASSIFICATION)
#: The class of an answer without a target.
_NO_CLASS: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judge:
    """Targets of all answers, and what is made of them.

    Attributes:
        task: "regression" or "classification".
        metric: decides what is kept.
        own: the metric is the user's.
        target: float64 [N, O] of numbers, NaN where there is none; class numbers [N], -1 where
            there is none; None without targets.
        scored: bool [N], answers of both models that have a target.
        output_names: of the model.
    """

    task: str
    metric: Metric
    own: bool
    target: npt.NDArray[Any] | None
    scored: npt.NDArray[np.bool_]
    output_names: tuple[str, ...]

    @staticmethod
    def of(
        model: IntegerModel,
        truth: Targets | None,
        answered: Answered,
        task: str,
        metric: str | MetricFunction | None,
        higher_is_better: bool,
    ) -> Judge:
        """Find out what the targets are.

        Raises:
            EdgeRnnError: no answer has a target, or the task has no such metric.
            ShapeError: targets that the model's outputs do not fit.
        """
        names = model.output.names
        if task == "auto":
            task = _task(model, truth)
        elif task == CLASSIFICATION and model.output.ports:
            ports = ", ".join(port.name for port in model.output.ports)
            raise EdgeRnnError(
                f"evaluate task: expected 'auto' or 'regression' of a model with several outputs "
                f"({ports}), got 'classification'. Give probabilities as targets, or build the "
                "model with the one output that tells classes apart."
            )
        target: npt.NDArray[Any] | None = None
        scored = np.zeros_like(answered.compared)
        if truth is not None:
            if task == CLASSIFICATION:
                target = _class_numbers(truth, names)
                there = target != _NO_CLASS
            else:
                target = _numbers(truth, len(names))
                there = np.isfinite(target).all(axis=1)
            scored = answered.compared & there
            if not scored.any():
                raise EdgeRnnError(
                    f"evaluate target: expected at least one answer with a target, got none of "
                    f"{len(scored)}. Is the horizon longer than the streams?"
                )
        return Judge(
            task=task,
            metric=own_metric(metric, higher_is_better)
            if callable(metric)
            else chosen_metric(metric, task),
            own=callable(metric),
            target=target,
            scored=scored,
            output_names=names,
        )

    def scores(self, float_y: FloatArray | None, integer_y: FloatArray) -> tuple[Score, ...]:
        """All metrics of the task, per output of numbers, and the user's; none without targets."""
        if self.target is None:
            return ()
        target = self.target[self.scored]
        y_float = None if float_y is None else float_y[self.scored]
        y_integer = integer_y[self.scored]
        own = [self._own(target, y_float, y_integer)] if self.own else []
        if self.task == CLASSIFICATION:
            of_float = None if y_float is None else classes(y_float)
            of_integer = classes(y_integer)
            return (*own, *(score(m, "", target, of_float, of_integer) for m in METRICS[self.task]))
        several = len(self.output_names) > 1
        return (
            *own,
            *(
                score(
                    m,
                    name if several else "",
                    target[:, k],
                    None if y_float is None else y_float[:, k],
                    y_integer[:, k],
                )
                for m in METRICS[self.task]
                for k, name in enumerate(self.output_names)
            ),
        )

    def _own(self, target: Any, y_float: FloatArray | None, y_integer: FloatArray) -> Score:
        def plain(values: Any) -> Any:
            return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values

        return score(
            self.metric,
            "",
            plain(target),
            None if y_float is None else plain(y_float),
            plain(y_integer),
        )

    def kept(self, scores: Sequence[Score]) -> float | None:
        """What is kept by the deciding metric; of several outputs the least."""
        shares = [s.kept for s in scores if s.metric == self.metric.name]
        known = [share for share in shares if share is not None]
        return min(known) if known and len(known) == len(shares) else None

    def agreement(self, answered: Answered) -> float | None:
        """Share of answers of one class by both models; None unless there are classes."""
        if answered.float_y is None or self.task != CLASSIFICATION:
            return None
        there = answered.compared
        same = classes(answered.float_y[there]) == classes(answered.integer_y[there])
        return float(np.mean(same))

    def confusion(self, answered: Answered) -> Confusion | None:
        """How often which class was taken for which; None without targets that are classes."""
        if self.target is None or self.task != CLASSIFICATION:
            return None
        target, there = self.target[self.scored], self.scored
        names = self.output_names if len(self.output_names) > 1 else ("0", "1")

        def table(y: FloatArray) -> IntArray:
            return confusion(target, classes(y[there]), len(names))

        return Confusion(
            names=names,
            of_float=None if answered.float_y is None else table(answered.float_y),
            of_integer=table(answered.integer_y),
        )

    def target_of(self, answer: int, output: int) -> float | None:
        """The target of one answer: that of the output, or the number of the class."""
        if self.target is None or not self.scored[answer]:
            return None
        if self.task == CLASSIFICATION:
            return float(self.target[answer])
        return float(self.target[answer, output])

    def left_out(self, answered: Answered) -> dict[str, int]:
        """Answers that no figure has, by the reason why."""
        reasons = {"before the float network's first window": ~answered.compared}
        if self.target is not None:
            reasons["without a target"] = answered.compared & ~self.scored
        counts = {reason: int(np.count_nonzero(which)) for reason, which in reasons.items()}
        return {reason: count for reason, count in counts.items() if count}


def _task(model: IntegerModel, truth: Targets | None) -> str:
    """What the targets seem to be; of several outputs, numbers for each of them."""
    outputs = model.output.width
    if model.output.ports:
        return REGRESSION
    if truth is None:
        return CLASSIFICATION if model.output.softmax else REGRESSION
    if truth.dtype.kind == "U":
        return CLASSIFICATION
    one_column = truth.ndim == 1 or truth.shape[1] == 1
    known = truth[np.isfinite(truth)]
    if model.output.softmax:
        return CLASSIFICATION if one_column or _one_hot(truth) else REGRESSION
    if outputs == 1:
        last = model.layers[model.wiring[-1][0].source]
        sigmoid = isinstance(last, Dense) and last.activation is DenseActivation.SIGMOID
        return CLASSIFICATION if sigmoid and np.isin(known, (0, 1)).all() else REGRESSION
    numbers = one_column and known.size and np.isin(known, np.arange(outputs)).all()
    return CLASSIFICATION if numbers else REGRESSION


def _one_hot(truth: Targets) -> bool:
    known = truth[np.isfinite(truth).all(axis=1)]
    return bool(np.isin(known, (0, 1)).all() and (known.sum(axis=1) == 1).all())


def _class_numbers(truth: Targets, names: Sequence[str]) -> IntArray:
    """Class numbers [N] of numbers, names or one-hot rows; -1 where there is none."""
    count = max(2, len(names))
    if truth.ndim == 2 and truth.shape[1] > 1:
        if truth.dtype.kind != "f" or truth.shape[1] != len(names) or not _one_hot(truth):
            raise ShapeError(
                f"evaluate target: expected one class per answer, or {len(names)} columns with "
                f"one 1 each, got {truth.shape[1]} columns."
            )
        known = np.isfinite(truth).all(axis=1)
        return np.where(known, np.argmax(np.nan_to_num(truth), axis=1), _NO_CLASS)
    flat = truth.reshape(-1)
    if flat.dtype.kind == "U":
        known_names = {name: k for k, name in enumerate(names)}
        unknown = sorted({str(v) for v in flat} - set(known_names) - {""})
        if unknown:
            raise EdgeRnnError(
                f"evaluate target: expected names of outputs ({', '.join(names):.200}), got "
                f"{', '.join(unknown):.200}. Give class numbers 0..{count - 1}, or quantize with "
                "these output names (--output-names)."
            )
        return np.array([known_names.get(str(v), _NO_CLASS) for v in flat], dtype=np.int64)
    known = np.isfinite(flat)
    wrong = flat[known & ~np.isin(flat, np.arange(count))]
    if wrong.size:
        raise EdgeRnnError(
            f"evaluate target: expected class numbers 0..{count - 1}, got {wrong[0]:g}. "
            "For targets that are quantities: task='regression' (--task regression)."
        )
    return np.where(known, np.nan_to_num(flat), _NO_CLASS).astype(np.int64)


def _numbers(truth: Targets, outputs: int) -> FloatArray:
    """Targets [N, O]."""
    if truth.dtype.kind == "U":
        raise EdgeRnnError(
            "evaluate target: expected numbers for regression, got text. "
            "For names of classes: task='classification' (--task classification)."
        )
    wide: FloatArray = truth.reshape(len(truth), -1)
    if wide.shape[1] != outputs:
        raise ShapeError(
            f"evaluate target: expected {outputs} values per answer, one for each output, got "
            f"{wide.shape[1]}. Name a column for each output."
        )
    return wide
