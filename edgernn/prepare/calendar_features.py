"""Features of the time of a reading: hour, weekday and season as sine and cosine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import ClassVar, Final

from edgernn.declared import like, one_of, setting
from edgernn.errors import DeclarationError
from edgernn.prepare.part import Counts, Memoryless, RowPart, StepDeclaration

_DAY_S: Final = 86_400.0


def _day_share(at: datetime) -> float:
    seconds = at.hour * 3600 + at.minute * 60 + at.second
    return (seconds + at.microsecond * 1e-6) / _DAY_S


def _year_share(at: datetime) -> float:
    leap = at.year % 4 == 0 and (at.year % 100 != 0 or at.year % 400 == 0)
    return (at.timetuple().tm_yday - 1 + _day_share(at)) / (366 if leap else 365)


#: The share of a full turn, of local time.
_TURNS: Final[dict[str, Callable[[datetime], float]]] = {
    "hour": _day_share,
    "weekday": lambda at: at.weekday() / 7.0,
    "year": _year_share,
}


def time_zone(name: str) -> tzinfo:
    """The time zone of a name, as in "Europe/Berlin".

    Raises:
        DeclarationError: this machine knows none of this name.
    """
    if name == "UTC":
        return UTC
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        known = zoneinfo.available_timezones()
        cure = like(name, known) or ' Use a name such as "Europe/Berlin".'
        if not known:
            cure = " This machine has no time zones: pip install tzdata."
        raise DeclarationError([f"zone: expected a time zone, got {name!r:.60}.{cure}"]) from error


class _Turns(Memoryless):
    """Sine and cosine of the time."""

    __slots__ = ("_turns", "_zone")

    def __init__(self, zone: tzinfo, features: tuple[str, ...]) -> None:
        self._zone = zone
        self._turns = [_TURNS[name] for name in features]

    def apply(self, time_s: float, row: list[float], /) -> None:
        at = datetime.fromtimestamp(time_s, self._zone)
        for turn in self._turns:
            angle = 2.0 * math.pi * turn(at)
            row.append(math.sin(angle))
            row.append(math.cos(angle))


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarFeatures(StepDeclaration):
    """Local time as sine and cosine, two new channels for each feature.

    Daylight saving time follows the rules of the zone: 8 o'clock is 8 o'clock all year.

    Attributes:
        zone: time zone, as in "Europe/Berlin".
        features: "hour" (of the day, with its fraction), "weekday" (Monday 0 to Sunday 6) and
            "year" (the day of the year).
    """

    kind: ClassVar[str] = "calendar"
    timed: ClassVar[bool] = True

    zone: str = setting("time zone of the hours and days", default="UTC")
    features: tuple[str, ...] = setting(
        "features, two new channels each", default=("hour", "weekday"), choices=tuple(_TURNS)
    )

    def problems(self) -> Iterator[str]:
        """No feature, one twice, or a zone that does not exist."""
        if not self.features or len(set(self.features)) < len(self.features):
            yield f"features: expected distinct ones of {one_of(_TURNS)}, got {self.features}."
        try:
            time_zone(self.zone)
        except DeclarationError as error:
            yield from error.reasons

    def adds(self) -> tuple[str, ...]:
        """Sine and cosine of every feature."""
        return tuple(f"{name}_{part}" for name in self.features for part in ("sin", "cos"))

    def begin(self, _names: tuple[str, ...], _counts: Counts, /) -> RowPart:
        """See `StepDeclaration.begin`."""
        return _Turns(time_zone(self.zone), self.features)
