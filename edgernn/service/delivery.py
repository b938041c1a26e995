"""Sinks that fail are tried again; what they take counts only when it is flushed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from edgernn.connections.arrival import EndOfSink, Result, ResultSink
from edgernn.connections.troubles import Backoff
from edgernn.model.interface import Interface
from edgernn.service.config.settings import DeliverySettings

_LOG: Final = logging.getLogger("edgernn.service.sinks")
#: Longest wait between two attempts, so that a sink that works again is found soon.
_LONGEST_WAIT_S: Final = 30.0


class Delivery:
    """One sink, and the results that it has taken but not yet flushed.

    Args:
        sink: not opened.
        settings: what happens when it fails.
        interface: of the model.
        wait: waits some seconds; False where the service cannot wait any longer.
        clock: seconds on a clock that does not go back.

    Attributes:
        written: results that the sink flushed.
        failures: attempts that failed.
        failing_since_s: when the sink began to fail; None while it works.
        ended: nobody takes results there any more.
    """

    def __init__(
        self,
        sink: ResultSink,
        settings: DeliverySettings,
        interface: Interface,
        wait: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing taken."""
        self.sink, self._settings, self._interface = sink, settings, interface
        self._wait, self._clock = wait, clock
        self._backoff = Backoff(limit_s=_LONGEST_WAIT_S)
        self._is_open = False
        self._unflushed: list[Result] = []
        self._unwritten = 0  # the last ones of them
        self.written = self.failures = 0
        self._given_up = self._refused = 0
        self.failing_since_s: float | None = None
        self.ended = False

    @property
    def dropped(self) -> int:
        """Results that were given up, or that a server refused."""
        return self._given_up + self._refused

    def write(self, results: list[Result]) -> bool:
        """Pass results on.

        Returns:
            False if the sink has ended, or the service stops while it fails: nothing must be saved
            then.
        """
        self._unflushed += results
        self._unwritten += len(results)
        return self._try(flush=False)

    def flush(self) -> bool:
        """Have the sink keep what it took. Returns as `write`."""
        return not self._unflushed or self._try(flush=True)

    def use(self, interface: Interface) -> None:
        """Open the sink for another model before the next results."""
        self._interface = interface
        self._close()

    def close(self) -> None:
        """Close the sink."""
        self._close()

    def _try(self, *, flush: bool) -> bool:
        while not self.ended:
            try:
                if not self._is_open:
                    self.sink.open(self._interface)
                    self._is_open = True
                if self._unwritten:
                    self.sink.write(self._unflushed[-self._unwritten :])
                    self._unwritten = 0
                if flush:
                    self.sink.flush()
                    before, self._refused = self._refused, getattr(self.sink, "refused", 0)
                    self.written += len(self._unflushed) - (self._refused - before)
                    self._unflushed = []
            except EndOfSink as error:
                _LOG.warning("%s The service stops.", error)
                self.ended = True
                continue
            except Exception as error:  # whatever a library raises
                if not self._failed(error):
                    return False
                if not self._unflushed:  # given up
                    return True
                continue
            if self.failing_since_s is not None:
                took_s = self._clock() - self.failing_since_s
                _LOG.info("%s: works again after %.0f s.", self.sink.name, took_s)
                self.failing_since_s = None
                self._backoff.reset()
            return True
        return False

    def _failed(self, error: Exception) -> bool:
        """Wait for the next attempt, or give up; False where the service cannot wait."""
        now_s = self._clock()
        self.failures += 1
        if self.failing_since_s is None:
            self.failing_since_s = now_s
            drops = self._settings.on_failure == "drop"
            policy = (
                f"Results are dropped after {self._settings.retry_s:g} s."
                if drops
                else "Readings wait until it works."
            )
            said = str(error).rstrip(".") or type(error).__name__
            _LOG.error("%s: %s. %s", self.sink.name, said, policy)
        self._close()  # an unknown part of what was not flushed is lost: all of it is written again
        self._unwritten = len(self._unflushed)
        failing_s = now_s - self.failing_since_s
        if self._settings.on_failure == "drop" and failing_s >= self._settings.retry_s:
            self._given_up += len(self._unflushed)
            _LOG.error(
                "%s: %d results are dropped.", self.sink.name, len(self._unflushed),
                extra={"fields": {"dropped_in_all": self.dropped}},
            )  # fmt: skip
            self._unflushed, self._unwritten = [], 0
            return True
        return self._wait(self._backoff.wait_s())

    def _close(self) -> None:
        self._is_open = False
        try:
            self.sink.close()
        except Exception as error:
            _LOG.debug("%s: closing it failed: %s", self.sink.name, error)
