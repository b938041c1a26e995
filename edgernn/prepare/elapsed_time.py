"""The time since the reading before, for readings at irregular times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from edgernn.declared import setting
from edgernn.prepare.part import Counts, RowPart, StepDeclaration


class _Elapsed:
    """Seconds from reading to reading, in units."""

    __slots__ = ("_last_s", "_most_s", "_unit_s")

    def __init__(self, unit_s: float, most_s: float) -> None:
        self._unit_s, self._most_s = unit_s, most_s
        self._last_s = math.nan

    def apply(self, time_s: float, row: list[float], /) -> None:
        passed_s = time_s - self._last_s
        self._last_s = time_s
        # Before the first reading, and where a stream without times has none, no time has passed.
        row.append(min(passed_s, self._most_s) / self._unit_s if passed_s > 0.0 else 0.0)

    def reset(self) -> None:
        self._last_s = math.nan

    def state(self) -> list[float]:
        return [self._last_s]

    def restore(self, values: list[float], /) -> None:
        (self._last_s,) = values


@dataclass(frozen=True, slots=True, kw_only=True)
class ElapsedTime(StepDeclaration):
    """The time since the reading before, a new channel; 0 at the first reading of a stream.

    Cells that compute with time, such as CfC, read it as their last channel.

    Attributes:
        unit_s: seconds that count as 1.
        most_s: longer times count as this many seconds.
        name: of the new channel.
    """

    kind: ClassVar[str] = "elapsed"
    timed: ClassVar[bool] = True

    unit_s: float = setting("seconds that count as 1", default=1.0, low=0.0, high=1e9)
    most_s: float = setting("longer times count as this", default=86_400.0, low=0.0, high=1e9)
    name: str = setting("name of the new channel", default="elapsed")

    def problems(self) -> Iterator[str]:
        """A unit or a limit of no time."""
        for name in ("unit_s", "most_s"):
            if getattr(self, name) <= 0.0:
                yield f"{name}: expected seconds above 0, got {getattr(self, name)}."

    def adds(self) -> tuple[str, ...]:
        """The new channel."""
        return (self.name,)

    def begin(self, _names: tuple[str, ...], _counts: Counts, /) -> RowPart:
        """See `StepDeclaration.begin`."""
        return _Elapsed(self.unit_s, self.most_s)
