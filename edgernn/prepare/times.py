"""Times that tables write as text or numbers, in seconds since 1970-01-01 UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, tzinfo

from edgernn.errors import ReadingError
from edgernn.prepare.calendar_features import time_zone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LocalClock:
    """Local times of one stream, in the order in which they come.

    In the hour that comes twice in autumn, the first time that goes back begins the second pass.
    Where readings are an hour apart or more, so does the same time again. A local time that does
    not exist, in spring, counts as with the offset before the change.
    """

    __slots__ = ("_last_s", "_step_s")

    def __init__(self) -> None:
        """Begin before the first time."""
        self._last_s, self._step_s = -math.inf, 0.0

    def seconds(self, moment: datetime, zone: tzinfo) -> float:
        """A local time in seconds since 1970-01-01 UTC."""
        first, second = (
            (moment.replace(tzinfo=zone, fold=fold) - _EPOCH) / timedelta(seconds=1)
            for fold in (0, 1)
        )
        again = first == self._last_s and self._step_s >= second - first
        found = second if first < second and (again or first < self._last_s <= second) else first
        self.passed(found)
        return found

    def passed(self, time_s: float) -> None:
        """Take a time that is known."""
        if time_s != self._last_s:
            self._step_s = time_s - self._last_s
        self._last_s = time_s


class TimeReader:
    """Reads the times of one stream, row after row.

    Numbers are seconds since 1970-01-01 UTC. Text is ISO 8601, as in ``2024-03-31 02:30:00`` or
    ``2024-03-31T00:30:00Z``. Times without an offset are local times of the zone, see `LocalClock`.
    A table of several streams needs a reader for each.
    """

    def __init__(self, zone: str = "UTC") -> None:
        """Begin before the first row.

        Args:
            zone: of times without an offset, as in "Europe/Berlin".

        Raises:
            DeclarationError: this machine knows no such zone.
        """
        self._zone: tzinfo = time_zone(zone)
        self._clock = LocalClock()

    def seconds(self, value: object) -> float:
        """The time of a cell.

        Raises:
            ReadingError: it is none.
        """
        found = self._seconds(value)
        if not math.isfinite(found):
            raise ReadingError(
                f"time: expected seconds since 1970 or ISO 8601, got {value!r:.60}. "
                "Name the column of the times, or convert them first."
            )
        self._clock.passed(found)
        return found

    def _seconds(self, value: object) -> float:
        if isinstance(value, datetime):
            return self._of(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value) if abs(value) < 1e300 else math.nan
        text = str(value).strip()
        try:
            return float(text)
        except ValueError:
            pass
        try:
            return self._of(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            return math.nan

    def _of(self, moment: datetime) -> float:
        if moment.tzinfo is not None:
            return (moment - _EPOCH) / timedelta(seconds=1)
        return self._clock.seconds(moment, self._zone)
