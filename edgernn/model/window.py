"""The window of a network that answers stretches of readings instead of an endless stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgernn.errors import ModelError

#: Most readings a window or a hop may have; what is left of one is then an int16.
MAX_WINDOW_STEPS: Final = 32_767


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What a window model answers: its last readings, from the zero state (clause 6.5).

    Attributes:
        steps: readings T in a window.
        hop: readings between one answer and the next.

    Raises:
        ModelError: not 1..32767 readings.
    """

    steps: int
    hop: int = 1

    def __post_init__(self) -> None:
        """Check the bounds."""
        for name, value in (("steps", self.steps), ("hop", self.hop)):
            if type(value) is not int or not 1 <= value <= MAX_WINDOW_STEPS:
                raise ModelError(
                    f"window.{name}: expected 1..{MAX_WINDOW_STEPS} readings, got {value!r:.40}"
                )

    def answers(self, readings: int) -> int:
        """How many answers a stream of that many readings has."""
        return max(0, (readings - self.steps) // self.hop + 1)

    def __str__(self) -> str:
        """For people: ``windows of 60 readings, one answer every 5``."""
        readings = f"{self.steps} reading{'s' * (self.steps != 1)}"
        return f"windows of {readings}" + (f", one answer every {self.hop}" if self.hop > 1 else "")
