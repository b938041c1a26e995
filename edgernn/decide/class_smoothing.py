"""The class of the last readings together, so that single ones change nothing."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from edgernn.decide.decision import Decided, DecisionDeclaration, DecisionPart
from edgernn.declared import like, one_of, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSmoothing(DecisionDeclaration):
    """The class of the last readings.

    With "mean" it is the class with the largest mean output over the last readings, and
    ``name_share`` is that mean. With "majority" it is the class that most of these answers have,
    and ``name_share`` is their share. Of equal classes the first counts. Readings without an answer
    are left out; before the first answer the class is "" and the share 0.

    Attributes:
        name: of the result, the name of a class.
        classes: the outputs to compare; () for all.
        readings: how many of the last answers count.
        method: "mean" of the outputs (of probabilities, if the decisions say ``softmax``), or
            "majority".
    """

    kind: ClassVar[str] = "smooth"

    name: str = setting("name of the result")
    classes: tuple[str, ...] = setting("outputs to compare; all by default", default=())
    readings: int = setting("how many of the last answers count", default=5, low=1, high=4_096)
    method: str = setting("how answers are joined", default="mean", choices=("mean", "majority"))

    def results(self) -> tuple[str, ...]:
        """The class and its share."""
        return self.name, f"{self.name}_share"

    def misfits(
        self, _inputs: tuple[str, ...], outputs: tuple[str, ...], _earlier: tuple[str, ...]
    ) -> list[str]:
        """See `DecisionDeclaration.misfits`."""
        return [
            f"classes: expected {one_of(outputs)}, got {name!r:.60}.{like(name, outputs)}"
            for name in self.classes
            if name not in outputs
        ]

    def begin(self, _inputs: tuple[str, ...], outputs: tuple[str, ...], /) -> DecisionPart:
        """See `DecisionDeclaration.begin`."""
        return _Vote(self, self.classes or outputs, outputs)


class _Vote:
    """The class smoothing of one stream."""

    __slots__ = ("_classes", "_ring", "_slots", "_step")

    def __init__(
        self, step: ClassSmoothing, classes: tuple[str, ...], outputs: tuple[str, ...]
    ) -> None:
        self._step, self._classes = step, classes
        self._slots = [outputs.index(name) for name in classes]
        #: Outputs of the last answers; for a majority the number of the class alone.
        self._ring: deque[tuple[float, ...]] = deque(maxlen=step.readings)

    def reset(self) -> None:
        self._ring.clear()

    def decide(
        self, _time_s: float, _x: Sequence[float] | None, y: Sequence[float], decided: Decided, /
    ) -> None:
        values = tuple(y[i] for i in self._slots)
        averaged = self._step.method == "mean"
        if all(value == value for value in values):
            self._ring.append(values if averaged else (float(values.index(max(values))),))
        name, share = "", 0.0
        if self._ring:
            count = len(self._ring)
            if averaged:
                shares = [math.fsum(column) / count for column in zip(*self._ring, strict=True)]
            else:
                shares = [0.0] * len(self._classes)
                for (own,) in self._ring:
                    shares[int(own)] += 1.0
                shares = [votes / count for votes in shares]
            share = max(shares)
            name = self._classes[shares.index(share)]
        decided[self._step.name] = name
        decided[f"{self._step.name}_share"] = share

    def state(self) -> list[float]:
        return [value for values in self._ring for value in values]

    def restore(self, values: list[float], /) -> None:
        width = len(self._classes) if self._step.method == "mean" else 1
        rows = [tuple(values[i : i + width]) for i in range(0, len(values), width)]
        self._ring = deque(rows, maxlen=self._step.readings)
