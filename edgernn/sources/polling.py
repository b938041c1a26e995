"""Sources that are asked at fixed times."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from edgernn.connections.arrival import Arrival, ArrivalBatch
from edgernn.connections.fields import KEY_OPTION
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.connections.registry import Connection
from edgernn.connections.troubles import Troubles

POLLING_OPTIONS: Final = (
    ConnectionOption(
        name="period_s",
        help="Seconds from one reading to the next.",
        kind="number",
        default=1.0,
        low=0.001,
        high=86_400.0,
    ),
    KEY_OPTION,
)


class PolledSource(Connection):
    """Delivers one reading per key and period; a period that was missed is not made up for."""

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Ask nothing."""
        super().__init__(values)
        self.channels = tuple(channels)
        self.troubles = Troubles(logging.getLogger(f"edgernn.sources.{self.KIND}"), self.name)
        self._period_s = values.number("period_s")
        self._next_s = 0.0
        self._closed = threading.Event()

    @property
    def key(self) -> str:
        """The stream, where there is one."""
        return self.values.text("key") or self.name

    def open(self, position: Any) -> None:  # noqa: ARG002
        """See `ReadingSource.open`; the first reading is due at once."""
        self._closed.clear()
        self._next_s = time.monotonic()
        self.start()

    def start(self) -> None:
        """Connect, where that is needed."""

    def readings(self) -> list[tuple[str, list[float], str]]:
        """What is measured now: key, values, and what is wrong with them."""
        raise NotImplementedError

    def read(self, most: int, timeout_s: float) -> ArrivalBatch:  # noqa: ARG002
        """See `ReadingSource.read`."""
        wait_s = self._next_s - time.monotonic()
        if wait_s > timeout_s:
            self._closed.wait(timeout_s)
            return ArrivalBatch([])
        if wait_s > 0:
            self._closed.wait(wait_s)
        now_s = time.monotonic()
        missed = max(0, math.floor((now_s - self._next_s) / self._period_s))
        self._next_s += (missed + 1) * self._period_s
        time_s = time.time()
        return ArrivalBatch(
            [Arrival(key, xs, time_s, problem=problem) for key, xs, problem in self.readings()]
        )

    def acknowledge(self, batch: ArrivalBatch) -> None:
        """See `ReadingSource.acknowledge`: what is measured now is not measured again."""

    def close(self) -> None:
        """See `ReadingSource.close`."""
        self._closed.set()


def missing(channels: Sequence[str]) -> list[float]:
    """Values of a reading that could not be made."""
    return [math.nan] * len(channels)
