"""How often a model answers: a step of its network may take several readings (clause 6.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

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
    def rows_before(self) -> int:
        """How many rows of the first step stand for readings before the stream."""
        return -self.first % self.readings

    def steps(self, readings: int) -> int:
        """How many steps the network takes over a stream of that many readings."""
        return len(self._ends(readings))

    def _ends(self, readings: int) -> range:
        """Readings, from 1, at which the steps of a stream end."""
        return range((self.first - 1) % self.readings + 1, readings + 1, self.readings)

    @property
    def unanswered(self) -> int:
        """Steps before the first one that is answered."""
        return (self.first - 1) // self.readings

    def blocks(self, readings: npt.NDArray[Any], start: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What the steps of a whole stream read.

        Args:
            readings: values or codes [..., T, I].
            start: [I], what stands for the readings before the stream.

        Returns:
            [..., N, R*I], the readings of each step one behind another, the oldest first.
        """
        *batch, count, width = readings.shape
        ends = self._ends(count)
        before = np.broadcast_to(start, (*batch, self.rows_before, width))
        whole = np.concatenate([before.astype(readings.dtype), readings], axis=-2)
        whole = whole[..., : len(ends) * self.readings, :]
        steps: npt.NDArray[Any] = whole.reshape(*batch, len(ends), self.readings * width)
        return steps

    def answers(self, readings: int) -> int:
        """How many answers a stream of that many readings has."""
        return len(self.answered(readings))

    def answered(self, readings: int) -> range:
        """Which of that many readings are answered, from 0."""
        return range(self.first - 1, readings, self.readings)

    def __str__(self) -> str:
        """For people: ``one answer every 4 readings, the first after 3``."""
        every = f"every {self.readings} readings" if self.readings > 1 else "per reading"
        late = f", {self.latency} reading{'s' * (self.latency > 1)} late" if self.latency else ""
        return f"one answer {every}, the first after {self.first}{late}"
