"""Each source in its own thread, in front of one bounded queue."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from edgernn.connections.arrival import ArrivalBatch, EndOfSource, Json, ReadingSource
from edgernn.connections.troubles import Backoff

_LOG: Final = logging.getLogger("edgernn.service.sources")
#: How long a source may wait before it looks whether the service stops.
_READ_S: Final = 0.5
#: How long a stopping service waits for a source that does not come back.
_JOIN_S: Final = 5.0


@dataclass(slots=True)
class Taken:
    """A batch on its way.

    Attributes:
        source: its number.
        batch: what the source delivered.
        arrived_s: when, in seconds since 1970-01-01 UTC.
        received_s: the same on a clock that does not go back.
    """

    source: int
    batch: ArrivalBatch
    arrived_s: float
    received_s: float


class ReadingQueue:
    """Batches that wait for the loop.

    Args:
        most: readings that may wait. `put` blocks while there are more.
    """

    def __init__(self, most: int) -> None:
        """Begin empty."""
        self._most = most
        self._batches: deque[Taken] = deque()
        self._waiting = 0
        self._open = True
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """Readings that wait."""
        return self._waiting

    def put(self, taken: Taken) -> bool:
        """Add a batch when there is room; False if the queue was closed instead."""
        count = len(taken.batch.arrivals)
        with self._changed:
            while self._open and self._waiting and self._waiting + count > self._most:
                self._changed.wait()
            if not self._open:
                return False
            self._batches.append(taken)
            self._waiting += count
            self._changed.notify_all()
        return True

    def take(self, most: int, timeout_s: float) -> list[Taken]:
        """The batches that wait, up to a number of readings; at least one batch if there is any.

        Args:
            most: readings after which no further batch is taken.
            timeout_s: how long to wait for the first.
        """
        with self._changed:
            if not self._batches:
                self._changed.wait(timeout_s)
            taken: list[Taken] = []
            count = 0
            while self._batches and (not taken or count < most):
                taken.append(self._batches.popleft())
                count += len(taken[-1].batch.arrivals)
            self._waiting -= count
            self._changed.notify_all()
        return taken

    def wake(self) -> None:
        """Let `take` return early."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Refuse further batches; those that wait may still be taken."""
        with self._changed:
            self._open = False
            self._changed.notify_all()


class SourceThread(threading.Thread):
    """Reads one source until it ends or the service stops.

    A source that fails is closed and opened again after a while, where it had come to.

    Args:
        number: of the source.
        source: opened.
        position: where it was opened.
        queue: takes the batches.
        most: readings to request at a time.

    Attributes:
        ended: whether the source has no more readings.
        failures: how often it failed.
        readings: that it delivered.
        last_s: when the last one came, on a clock that does not go back.
    """

    def __init__(
        self, number: int, source: ReadingSource, position: Json, queue: ReadingQueue, most: int
    ) -> None:
        """Not started."""
        super().__init__(name=f"source {source.name}", daemon=True)
        self.source, self.ended, self.failures, self.readings = source, False, 0, 0
        self.last_s = time.monotonic()
        self._number, self._position, self._queue, self._most = number, position, queue, most
        self._stopping = threading.Event()
        self._backoff = Backoff()

    def run(self) -> None:
        """Read, and put batches into the queue."""
        while not self._stopping.is_set():
            try:
                batch = self.source.read(self._most, _READ_S)
            except EndOfSource:
                self.ended = True
                self._queue.wake()
                return
            except Exception as error:  # whatever a library raises: the others go on
                self._reopen(error)
                continue
            self._backoff.reset()
            if not batch.arrivals and batch.position is None and batch.token is None:
                continue
            self._position = batch.position if batch.position is not None else self._position
            self.readings += len(batch.arrivals)
            self.last_s = time.monotonic()
            self._queue.put(Taken(self._number, batch, time.time(), self.last_s))

    def stop(self) -> None:
        """Read no more; the source stays open until `finish`, to acknowledge what it delivered."""
        self._stopping.set()

    def finish(self) -> None:
        """Close the source."""
        self._stopping.set()
        if self.is_alive():
            self.join(_JOIN_S)
        try:
            self.source.close()
        except Exception:
            _LOG.exception("%s: closing it failed", self.source.name)

    def _reopen(self, error: Exception) -> None:
        self.failures += 1
        wait_s = self._backoff.wait_s()
        _LOG.warning(
            "%s: %s. It is opened again in %.1f s.", self.source.name,
            str(error).rstrip(".") or type(error).__name__, wait_s,
            extra={"fields": {"failures": self.failures}},
        )  # fmt: skip
        if self._stopping.wait(wait_s):
            return
        try:
            self.source.close()
            self.source.open(self._position)
        except Exception as again:  # the next read fails, and it is tried again
            _LOG.debug("%s: opening it failed: %s", self.source.name, again)
