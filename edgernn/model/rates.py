"""How often a model answers: a step of its network may take several readings (clause 6.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgernn.errors import ModelError

#: Most readings until an answer; what is left of them is then an int16.
MAX_RATE_READINGS: Final = 32_767


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A network whose step reads the last R readings, and that answers every R readings.

    The readings of a step stand one behind another in its input, the oldest first. Steps end at
    the readings first, first + R, first + 2R, …, which are answered, and at first − R, first − 2R
    and so on, down to 1, which are not: these fill what convolutions look back at, and after each
    of them all layers but delays begin anew.

    Attributes:
        readings: R.
        first: readings until the first answer.
        latency: readings by which an answer comes later than that of the float network.
        start: input codes [I] that stand for every reading before the stream; none where all are 0.

    Raises:
        ModelError: not 1..32767 readings, or a rate that says nothing.
    """

    readings: int
    first: int
    latency: int = 0
    start: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the bounds."""
        for name, low in (("readings", 1), ("first", 1), ("latency", 0)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= MAX_RATE_READINGS:
                raise ModelError(
                    f"rate.{name}: expected {low}..{MAX_RATE_READINGS} readings, got {value!r:.40}"
                )
        if self.readings == self.first == 1 and not self.latency:
            raise ModelError("rate: expected None for a model that answers every reading, got 1")
        if not any(self.start):
            object.__setattr__(self, "start", ())

    @property
    def has_warm_up(self) -> bool:
        """Whether the network takes steps before the first one that is answered."""
        return self.first > self.readings

    def answers(self, readings: int) -> int:
        """How many answers a stream of that many readings has."""
        return len(self.answered(readings))

    def answered(self, readings: int) -> range:
        """Which of that many readings are answered, from 0."""
        return range(self.first - 1, readings, self.readings)

    def __str__(self) -> str:
        """For people: ``one answer every 4 readings, the first after 3``."""
        every = f"every {self.readings} readings" if self.readings > 1 else "a reading"
        late = f", {self.latency} readings late" if self.latency else ""
        return f"one answer {every}, the first after {self.first}{late}"
