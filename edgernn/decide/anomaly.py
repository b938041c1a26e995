"""How unusual a reading is: what came, against what the model forecast."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from edgernn.decide.decision import Decided, DecisionDeclaration, DecisionPart
from edgernn.decide.quantile import STATE_VALUES, StreamingQuantile
from edgernn.declared import like, one_of, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyScore(DecisionDeclaration):
    """The residual of the forecast, as a multiple of what is usual in this stream.

    The residual is the distance between an input and the output that the model gave ``horizon``
    readings before. The score is the residual divided by a quantile of the residuals before it:
    with the quantile 0.99, a score of 1 is as large as the largest of 100. The quantile covers the
    last ``memory`` to twice as many residuals, in constant memory (two P² estimates, of which each
    takes over when the other one is full). During the first ``warm_up`` residuals, and where a
    value is missing, the score is 0.

    Attributes:
        name: of the result, the score.
        output: the forecast.
        input: the input of the model that it forecasts, in the same unit.
        horizon: readings between the forecast and what came.
        quantile: of the residuals, which counts as a score of 1.
        floor: least quantile; larger than rounding of the sensor, so that a constant input gives no
            alarm.
        warm_up: residuals until there is a score.
        memory: residuals after which an estimate starts again.
    """

    kind: ClassVar[str] = "anomaly"
    needs_inputs: ClassVar[bool] = True

    name: str = setting("name of the score")
    output: str = setting("output that is the forecast")
    input: str = setting("input that it forecasts")
    horizon: int = setting("readings from the forecast to what came", default=1, low=1, high=4_096)
    quantile: float = setting(
        "quantile of the residuals that is a score of 1", default=0.99, low=0.01, high=0.999
    )
    floor: float = setting("least quantile", default=1e-9, low=1e-300)
    warm_up: int = setting("residuals until there is a score", default=100, low=5, high=1_000_000)
    memory: int = setting(
        "residuals after which an estimate starts again", default=10_000, low=10, high=1_000_000_000
    )

    def problems(self) -> Iterator[str]:
        """An estimate that starts again before it is used."""
        if self.warm_up > self.memory:
            yield f"warm_up: expected at most memory ({self.memory}), got {self.warm_up}."

    def misfits(
        self, inputs: tuple[str, ...], outputs: tuple[str, ...], _earlier: tuple[str, ...]
    ) -> list[str]:
        """See `DecisionDeclaration.misfits`."""
        return [
            f"{place}: expected {one_of(known)}, got {name!r:.60}.{like(name, known)}"
            for place, name, known in (
                ("output", self.output, outputs),
                ("input", self.input, inputs),
            )
            if name not in known
        ]

    def begin(self, inputs: tuple[str, ...], outputs: tuple[str, ...], /) -> DecisionPart:
        """See `DecisionDeclaration.begin`."""
        return _Scorer(self, inputs.index(self.input), outputs.index(self.output))


class _Scorer:
    """The score of one stream."""

    __slots__ = ("_forecasts", "_input", "_next", "_output", "_step", "_usual")

    def __init__(self, step: AnomalyScore, source: int, output: int) -> None:
        self._step, self._input, self._output = step, source, output
        self._forecasts: deque[float] = deque(maxlen=step.horizon)
        self._usual = StreamingQuantile(step.quantile)
        self._next = StreamingQuantile(step.quantile)

    def reset(self) -> None:
        """Forget the forecasts; what is usual stays."""
        self._forecasts.clear()

    def decide(
        self, _time_s: float, x: Sequence[float] | None, y: Sequence[float], decided: Decided, /
    ) -> None:
        step, score = self._step, 0.0
        came = math.nan if x is None else x[self._input]
        if len(self._forecasts) == step.horizon:
            residual = abs(came - self._forecasts[0])
            if residual < math.inf:
                score = self._scored(residual)
        self._forecasts.append(y[self._output])
        decided[step.name] = score

    def _scored(self, residual: float) -> float:
        step, usual = self._step, self._usual
        score = 0.0
        if usual.count >= step.warm_up:
            score = residual / max(usual.value, step.floor)
        usual.push(residual)
        if usual.count > step.memory:
            self._next.push(residual)
            if self._next.count >= step.memory:
                self._usual, self._next = self._next, usual
                self._next.reset()
        return score

    def state(self) -> list[float]:
        return [*self._usual.state(), *self._next.state(), *self._forecasts]

    def restore(self, values: list[float], /) -> None:
        self._usual.restore(values[:STATE_VALUES])
        self._next.restore(values[STATE_VALUES : 2 * STATE_VALUES])
        self._forecasts = deque(values[2 * STATE_VALUES :], maxlen=self._step.horizon)
