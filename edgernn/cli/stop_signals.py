"""SIGINT and SIGTERM end a stream between two readings, not within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _Stopped(BaseException):
    """Raised while the next line is waited for; never leaves this module."""


class StopSignals:
    """A context in which the two signals end `lines`, and nothing else.

    Attributes:
        received: the signal that ended the lines, None if none did.
    """

    def __init__(self) -> None:
        """Nothing is received yet."""
        self.received: signal.Signals | None = None
        self._waiting = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Take the signals; only the main thread may."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._stop) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        again = self.received is not None
        self.received = signal.Signals(number)
        if self._waiting:
            raise _Stopped
        if again:  # the line at hand does not come to an end
            raise KeyboardInterrupt

    def wait(self, call: Callable[[], T]) -> T | None:
        """What a call returns that may wait for input; None where a signal ends the waiting."""
        try:
            try:
                self._waiting = True
                return None if self.received else call()
            finally:
                self._waiting = False
        except _Stopped:  # which may also come while the inner `finally` begins
            return None

    def lines(self, source: Iterator[str]) -> Iterator[str]:
        """The lines of a source until it ends or a signal comes."""
        while (line := self.wait(lambda: next(source, None))) is not None:
            yield line
