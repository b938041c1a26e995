"""Tell systemd how the service is, by the protocol of sd_notify(3), with the standard library."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

#: Parts of the watchdog's period after which it is fed.
_FED_PER_PERIOD: Final = 3
#: Least time between two lines of status.
_STATUS_S: Final = 5.0


class Notifier:
    """Messages to the manager that started this process; silent where none did.

    Args:
        environment: where NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are.
        clock: seconds on a clock that does not go back.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look for a socket."""
        found = os.environ if environment is None else environment
        self._address = found.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # a name without a file
            self._address = "\0" + self._address[1:]
        self._clock = clock
        self._period_s = _watchdog_s(found)
        self._fed_s = self._told_s = -1e9

    @property
    def watchdog_s(self) -> float:
        """Seconds after which the manager restarts a service that does not report; 0: never."""
        return self._period_s

    def ready(self) -> None:
        """Sources and sinks are open."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins, which `ready` ends."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service ends."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`, if it is time for another one."""
        now_s = self._clock()
        if now_s - self._told_s >= _STATUS_S:
            self._told_s = now_s
            self._send(f"STATUS={' '.join(text.split())}")

    def alive(self) -> None:
        """The loop has gone round: feed the watchdog if it is time."""
        now_s = self._clock()
        if self._period_s and now_s - self._fed_s >= self._period_s / _FED_PER_PERIOD:
            self._fed_s = now_s
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one:
                one.settimeout(1.0)
                one.connect(self._address)
                one.sendall(message.encode())
        except OSError:
            return  # the manager has gone, or is too busy: nothing here depends on it


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """The period of the watchdog; 0 if there is none, or if it is for another process."""
    period, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not period.isdigit() or (process.isdigit() and int(process) != os.getpid()):
        return 0.0
    return int(period) / 1e6
