"""What answers are measured by: output by output its task, its targets and its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgernn.errors import EdgeRnnError
from edgernn.model.formats import FloatArray
from edgernn.model.integer_model import IntegerModel
from edgernn_export.evaluation.metrics import (
    CLASSIFICATION,
    METRICS,
    IntArray,
    Metric,
    MetricFunction,
    Score,
    classes,
    confusion,
    deciding_metrics,
    own_metric,
    score,
)
from edgernn_export.evaluation.output_targets import OutputTarget, output_targets
from edgernn_export.evaluation.recording import Targets
from edgernn_export.evaluation.result import Answered, Confusion, OutputFound


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutputJudge:
    """What the answers of one output are measured by.

    Attributes:
        target: what they should be.
        own: the metric of the user's; None without one.
        scored: bool [N], answers of both models that have a target.
        alone: the model has no other channel.
    """

    target: OutputTarget
    own: Metric | None
    scored: npt.NDArray[np.bool_]
    alone: bool

    def scores(self, float_y: FloatArray | None, integer_y: FloatArray) -> tuple[Score, ...]:
        """All metrics of the task, per channel of numbers, and the user's; none without targets."""
        of, where = self.target, self.scored
        if of.values is None or not where.any():
            return ()
        target = of.values[where]
        y_float = None if float_y is None else float_y[where, of.channels]
        y_integer = integer_y[where, of.channels]
        found: list[Score] = []
        if self.own is not None:
            of_float = None if y_float is None else _plain(y_float)
            found.append(score(self.own, of.output, _plain(target), of_float, _plain(y_integer)))
        if of.task == CLASSIFICATION:
            chosen = None if y_float is None else classes(y_float), classes(y_integer)
            return (*found, *(score(m, of.output, target, *chosen) for m in METRICS[of.task]))
        return (
            *found,
            *(
                score(
                    m,
                    "" if self.alone else name,
                    target[:, k],
                    None if y_float is None else y_float[:, k],
                    y_integer[:, k],
                )
                for m in METRICS[of.task]
                for k, name in enumerate(of.names)
            ),
        )

    def found(self, answered: Answered) -> OutputFound:
        """Facts about the output in addition to its scores."""
        return OutputFound(
            name=self.target.output,
            channels=self.target.channels,
            names=self.target.names,
            task=self.target.task,
            agreement=self._agreement(answered),
            confusion=self._confusion(answered),
            target=self.target.values,
        )

    def _agreement(self, answered: Answered) -> float | None:
        """Share of answers of one class by both models; None unless there are classes."""
        if answered.float_y is None or self.target.task != CLASSIFICATION:
            return None
        there, own = answered.compared, self.target.channels
        same = classes(answered.float_y[there, own]) == classes(answered.integer_y[there, own])
        return float(np.mean(same))

    def _confusion(self, answered: Answered) -> Confusion | None:
        """How often which class was taken for which; None without targets that are classes."""
        values, names = self.target.values, self.target.classes
        if values is None or self.target.task != CLASSIFICATION:
            return None

        def table(y: FloatArray) -> IntArray:
            chosen = classes(y[self.scored, self.target.channels])
            return confusion(values[self.scored], chosen, len(names))

        return Confusion(
            names=names,
            of_float=None if answered.float_y is None else table(answered.float_y),
            of_integer=table(answered.integer_y),
        )

    def target_of(self, answer: int, channel: int) -> float | None:
        """The target of one answer: that of the channel, or the number of the class."""
        values = self.target.values
        if values is None or not self.scored[answer]:
            return None
        if self.target.task == CLASSIFICATION:
            return float(values[answer])
        return float(values[answer, channel - self.target.channels.start])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judge:
    """Targets of all outputs, and their scores.

    Attributes:
        outputs: what each output is measured by.
        metrics: names of those whose kept share is reported: one for all, or one per task.
    """

    outputs: tuple[OutputJudge, ...]
    metrics: tuple[str, ...]

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
            EdgeRnnError: no answer has a target, or no task has such a metric.
            ShapeError: targets that the model's outputs do not fit.
        """
        targets = output_targets(model, truth, task)
        own = own_metric(metric, higher_is_better) if callable(metric) else None
        tasks = tuple(dict.fromkeys(target.task for target in targets))
        outputs = tuple(
            OutputJudge(
                target=target,
                own=own,
                scored=answered.compared & target.known(len(answered.compared)),
                alone=model.output.width == 1,
            )
            for target in targets
        )
        if truth is not None and not any(output.scored.any() for output in outputs):
            raise EdgeRnnError(
                "evaluate target: expected at least one output with a target, got none of "
                f"{len(answered.compared)}. Use a horizon shorter than the streams."
            )
        names = deciding_metrics(metric, tasks) if own is None else (own.name,)
        return Judge(outputs=outputs, metrics=names)

    def scores(self, float_y: FloatArray | None, integer_y: FloatArray) -> tuple[Score, ...]:
        """Those of every output."""
        return tuple(s for output in self.outputs for s in output.scores(float_y, integer_y))

    def decides(self, scores: Sequence[Score]) -> Score | None:
        """The one that keeps the least of those that may decide; None where one cannot be told."""
        candidates = [s for s in scores if s.metric in self.metrics]
        if len(candidates) == 1:
            return candidates[0]
        shares = [s.kept for s in candidates if s.kept is not None]
        if not candidates or len(shares) < len(candidates):
            return None
        return candidates[int(np.argmin(shares))]

    def target_of(self, answer: int, channel: int) -> float | None:
        """See `OutputJudge.target_of`."""
        for output in self.outputs:
            if channel < output.target.channels.stop:
                return output.target_of(answer, channel)
        return None

    def left_out(self, answered: Answered) -> dict[str, int]:
        """Answers that no figure has, by the reason why."""
        reasons = {"before the float network's first window": ~answered.compared}
        if any(output.target.values is not None for output in self.outputs):
            scored = np.any([output.scored for output in self.outputs], axis=0)
            reasons["without a target"] = answered.compared & ~scored
        counts = {reason: int(np.count_nonzero(which)) for reason, which in reasons.items()}
        return {reason: count for reason, count in counts.items() if count}


def _plain(values: Any) -> Any:
    """Values [N] of one channel, else unchanged."""
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
