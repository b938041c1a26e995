"""What a command finds in its process: standard streams that may be closed, signals that end it."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeVar

from edgernn.errors import EdgeRnnError

T = TypeVar("T")
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _ClosedOutput(io.TextIOBase):
    """Takes the place of a closed standard output; what would be lost is refused."""

    def write(self, text: str) -> int:
        """Refuse text.

        Raises:
            EdgeRnnError: always, unless there is none.
        """
        if text:
            raise EdgeRnnError(
                "stdout: expected an open standard output for the results, got a closed one. "
                "Redirect it to a file, or to /dev/null."
            )
        return 0

    def fileno(self) -> int:
        """The number, which is taken by then."""
        return 1

    def writable(self) -> bool:
        """As a stream that is written to."""
        return True


def replace_closed_streams() -> None:
    """Let a command without one or more standard streams do what it can without them.

    Their numbers are taken, so that no file that is opened later gets what is printed; a closed
    standard error swallows talk; a closed standard input is refused by whoever reads it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = _ClosedOutput()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


class _Stopped(BaseException):
    """Raised while the next line is waited for; never leaves this module."""


class StopSignals:
    """A context in which SIGINT and SIGTERM end `lines` between two readings, and nothing else.

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
