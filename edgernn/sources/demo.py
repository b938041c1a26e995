"""The packaged readings, again and again, as if several sensors sent them."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Sequence
from importlib import resources
from typing import Any, ClassVar, Final

from edgernn.connections.arrival import Arrival, ArrivalBatch, EndOfSource
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.connections.registry import Connection

#: Weeks over which the packaged model predicts a change, and the field with the change in the end.
_WEEKS: Final = 13
_TRUTH: Final = "change_over_13_weeks"
_CHANNEL: Final = "co2_change"


class DemoSource(Connection):
    """Streams of the packaged readings, each from another week on."""

    KIND: ClassVar[str] = "demo"
    HELP: ClassVar[str] = "The packaged readings for the packaged model, to try out a service."
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(
            name="streams", help="Streams, called site-1 and so on.", kind="integer", default=4,
            low=1, high=1_000_000,
        ),
        ConnectionOption(
            name="rate_hz", help="Readings of each stream per second; 0: as fast as possible.",
            kind="number", default=2.0, low=0.0, high=1e6,
        ),
        ConnectionOption(
            name="readings", help="Readings of each stream until the end; 0: no end.",
            kind="integer", default=0, low=0,
        ),
    )  # fmt: skip

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Read the packaged table."""
        super().__init__(values)
        self._streams = values.integer("streams")
        self._rate_hz = values.number("rate_hz")
        self._readings = values.integer("readings")
        table = resources.files("edgernn") / "data" / "demo_readings.csv"
        with table.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self._changes = [float(row[_CHANNEL]) for row in rows]
        self._levels = [float(row["co2_level"]) for row in rows]
        self._channels = tuple(channels)
        self._next = 0
        self._begun_s = 0.0

    @classmethod
    def problems(cls, values: OptionValues, channels: Sequence[str]) -> list[str]:  # noqa: ARG003
        """See `Connection.problems`."""
        if not channels or tuple(channels) == (_CHANNEL,):
            return []
        return [
            f"expected a model with the channel {_CHANNEL}, got {', '.join(channels)}. "
            'Set path = "demo" in [model], or take another kind of source.'
        ]

    def open(self, position: Any) -> None:
        """See `ReadingSource.open`."""
        self._next = int(position["next"]) if isinstance(position, dict) else 0
        self._begun_s = time.monotonic() - self._due_s(self._next)

    def _due_s(self, number: int) -> float:
        return number // self._streams / self._rate_hz if self._rate_hz else 0.0

    def read(self, most: int, timeout_s: float) -> ArrivalBatch:
        """See `ReadingSource.read`."""
        last = self._readings * self._streams or math.inf
        if self._next >= last:
            raise EndOfSource
        wait_s = self._begun_s + self._due_s(self._next) - time.monotonic()
        if wait_s > 0:
            time.sleep(min(wait_s, timeout_s))
            if wait_s > timeout_s:
                return ArrivalBatch([])
        passed_s = time.monotonic() - self._begun_s
        due = (int(passed_s * self._rate_hz) + 1) * self._streams if self._rate_hz else math.inf
        end = int(min(self._next + most, last, due))
        arrivals = [self._arrival(number) for number in range(self._next, end)]
        self._next = end
        return ArrivalBatch(arrivals, {"next": end})

    def _arrival(self, number: int) -> Arrival:
        step, stream = divmod(number, self._streams)
        week = (step + 37 * stream) % len(self._changes)
        passed: dict[str, object] = {}
        if week >= _WEEKS:
            passed[_TRUTH] = round(self._levels[week] - self._levels[week - _WEEKS], 6)
        values = [self._changes[week]]
        return Arrival(f"site-{stream + 1}", values, None, step + 1, "", passed)

    def acknowledge(self, batch: ArrivalBatch) -> None:
        """See `ReadingSource.acknowledge`: the position says it all."""

    def close(self) -> None:
        """See `ReadingSource.close`: nothing is open."""
