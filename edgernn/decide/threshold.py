"""A threshold with hysteresis and minimum durations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from edgernn.decide.decision import Decided, DecisionDeclaration, DecisionPart
from edgernn.declared import like, one_of, setting
from edgernn.errors import ReadingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold(DecisionDeclaration):
    """On while a value is high, or low with ``below``; off again when it has come back enough.

    It turns on after ``on_readings`` readings in a row at or beyond ``on`` that span ``on_s``
    seconds, and off after ``off_readings`` readings in a row on the other side of ``off`` that span
    ``off_s`` seconds. A missing value changes nothing.

    Attributes:
        name: of the result, true or false.
        of: the output of the model, or the number of an earlier decision, that is compared.
        on: value that turns it on.
        off: value that turns it off; the same as ``on`` by default.
        below: on while the value is low.
        on_readings: readings until it turns on.
        off_readings: readings until it turns off.
        on_s: seconds until it turns on.
        off_s: seconds until it turns off.
    """

    kind: ClassVar[str] = "threshold"

    name: str = setting("name of the result")
    of: str = setting("output, or number of an earlier decision, to compare")
    on: float = setting("value that turns it on")
    off: float | None = setting("value that turns it off", default=None)
    below: bool = setting("on while the value is low", default=False)
    on_readings: int = setting("readings until it turns on", default=1, low=1, high=1_000_000)
    off_readings: int = setting("readings until it turns off", default=1, low=1, high=1_000_000)
    on_s: float = setting("seconds until it turns on", default=0.0, low=0.0, high=1e9)
    off_s: float = setting("seconds until it turns off", default=0.0, low=0.0, high=1e9)

    def problems(self) -> Iterator[str]:
        """A hysteresis that is the wrong way round."""
        off = self.off_value
        if off > self.on and not self.below:
            yield f"off: expected at most on ({self.on:g}), got {off:g}."
        if off < self.on and self.below:
            yield f"off: expected at least on ({self.on:g}) with below, got {off:g}."

    @property
    def off_value(self) -> float:
        """The value that turns it off."""
        return self.on if self.off is None else self.off

    def misfits(
        self, _inputs: tuple[str, ...], outputs: tuple[str, ...], earlier: tuple[str, ...]
    ) -> list[str]:
        """See `DecisionDeclaration.misfits`."""
        known = outputs + earlier
        if self.of in known:
            return []
        return [f"of: expected {one_of(known)}, got {self.of!r:.60}.{like(self.of, known)}"]

    def begin(self, _inputs: tuple[str, ...], outputs: tuple[str, ...], /) -> DecisionPart:
        """See `DecisionDeclaration.begin`."""
        return _Switch(self, outputs.index(self.of) if self.of in outputs else None)


class _Switch:
    """The threshold in one stream."""

    __slots__ = ("_count", "_is_on", "_off", "_slot", "_start_s", "_step", "_timed")

    def __init__(self, step: Threshold, slot: int | None) -> None:
        self._step, self._slot = step, slot
        self._off = step.off_value
        self._timed = step.on_s > 0.0 or step.off_s > 0.0
        self.reset()

    def reset(self) -> None:
        self._is_on = False
        #: Readings in a row that speak for a change, and the time of the first of them.
        self._count, self._start_s = 0, math.nan

    def decide(
        self, time_s: float, _x: Sequence[float] | None, y: Sequence[float], decided: Decided, /
    ) -> None:
        step = self._step
        value = decided[step.of] if self._slot is None else y[self._slot]
        if not isinstance(value, str) and value == value:
            if self._is_on:
                change = value > self._off if step.below else value < self._off
                needed, seconds = step.off_readings, step.off_s
            else:
                change = value <= step.on if step.below else value >= step.on
                needed, seconds = step.on_readings, step.on_s
            if not change:
                self._count = 0
            else:
                self._count += 1
                left_s = self._left(time_s, seconds) if self._timed else 0.0
                if self._count >= needed and left_s <= 0.0:
                    self._is_on = not self._is_on
                    self._count = 0
        decided[step.name] = self._is_on

    def _left(self, time_s: float, seconds: float) -> float:
        """Seconds until the readings in a row span enough."""
        if time_s != time_s:
            raise ReadingError(
                f"{self._step.name}: expected a time with every reading, got none. "
                "Pass one, or use on_readings and off_readings instead of seconds."
            )
        if self._count == 1:
            self._start_s = time_s
        return seconds - (time_s - self._start_s)

    def state(self) -> list[float]:
        return [float(self._is_on), float(self._count), self._start_s]

    def restore(self, values: list[float], /) -> None:
        self._is_on, self._count, self._start_s = bool(values[0]), int(values[1]), values[2]
