"""The process of a command: standard streams that may be closed, signals that end it."""

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
    """Replaces a closed standard output and rejects text, which would be lost."""

    def write(self, text: str) -> int:
        """Reject text.

        Raises:
            EdgeRnnError: always, unless the text is empty.
        """
        if text:
            raise EdgeRnnError(
                "stdout: expected an open standard output for the results, got a closed one. "
                "Redirect it to a file, or to /dev/null."
            )
        return 0

    def fileno(self) -> int:
        """The number of the descriptor, which is in use by then."""
        return 1

    def writable(self) -> bool:
        """Whether the stream accepts text."""
        return True


def replace_closed_streams() -> None:
    """Let a command run without one or more standard streams.

    Their numbers are reserved, so that no file that is opened later receives printed text. Notes to
    a closed standard error are dropped. Reading from a closed standard input raises an error.
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
    """A context in which SIGINT and SIGTERM end `lines`, and only between two readings.

    Attributes:
        received: the signal that ended the lines; None if there was none.
    """

    def __init__(self) -> None:
        """Start without a signal."""
        self.received: signal.Signals | None = None
        self._waiting = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Install the handlers; only the main thread may."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._stop) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore the handlers."""
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
        """The result of a call that may wait for input; None if a signal ends the wait."""
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
