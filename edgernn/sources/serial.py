"""Lines from a serial port: tables or JSON, as microcontrollers print them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from edgernn.connections.arrival import Arrival
from edgernn.connections.fields import FIELD_OPTIONS, KEY_OPTION
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.connections.payloads import PayloadReader
from edgernn.connections.troubles import Backoff, Troubles
from edgernn.errors import BackendUnavailable
from edgernn.install import library_hint
from edgernn.sources.line_files import FileLine, LineCutter, LineReader
from edgernn.sources.tables import DIALECT_OPTIONS, LINE_OPTIONS, CsvSource

#: A port is looked at for more so often.
_LOOK_S: Final = 0.1


class SerialLines:
    """The lines of a serial port, which is opened again whenever it was lost.

    Args:
        values: options of the source.
        most_bytes: of a line.
        troubles: takes what is wrong with the port.

    Attributes:
        damage: always "": a port that is lost comes back.
    """

    def __init__(self, values: OptionValues, most_bytes: int, troubles: Troubles) -> None:
        """Open nothing."""
        self._values, self._troubles = values, troubles
        self._cutter = LineCutter(most_bytes)
        self._port: Any = None
        self._backoff = Backoff(0.5, 10.0)
        self._try_at_s = 0.0
        self._waiting: list[FileLine] = []
        self._partial = False
        self.damage = ""

    def open(self, position: Any) -> None:  # noqa: ARG002
        """Check that the library is installed; the port may come later.

        Raises:
            BackendUnavailable: pyserial is not installed.
        """
        try:
            import serial  # noqa: F401
        except ImportError as error:
            raise BackendUnavailable(
                f"{self._values.where}: expected the library pyserial, which is not installed. "
                f"Install it with: {library_hint('serial', 'serial')}"
            ) from error

    def read(self, most: int, timeout_s: float) -> list[FileLine]:
        """The lines that there are, after at most ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while not self._waiting:
            left_s = deadline - time.monotonic()
            if self._port is None and not self._connect():
                time.sleep(max(0.0, min(left_s, _LOOK_S)))
            elif chunk := self._chunk(left_s):
                self._take(chunk)
            if time.monotonic() >= deadline:
                break
        lines, self._waiting = self._waiting[:most], self._waiting[most:]
        return lines

    def _take(self, chunk: bytes) -> None:
        for line in self._cutter.cut(chunk):
            if self._partial:  # begun before the port was opened
                self._partial = False
            else:
                self._waiting.append(line)

    def _connect(self) -> bool:
        import serial

        if time.monotonic() < self._try_at_s:
            return False
        try:
            self._port = serial.Serial(
                self._values.text("port"),
                self._values.integer("baud"),
                timeout=_LOOK_S,
                parity=self._values.text("parity"),
                exclusive=True,
            )
        except (OSError, ValueError) as error:
            self._lost(error)
            return False
        self._cutter.begin(1)
        self._partial = self._values.flag("skip_first_line")
        self._backoff.reset()
        return True

    def _chunk(self, wait_s: float) -> bytes:
        try:
            self._port.timeout = max(0.0, min(wait_s, _LOOK_S))
            return bytes(self._port.read(max(1, self._port.in_waiting)))
        except (OSError, TypeError) as error:
            self._lost(error)
            return b""

    def _lost(self, error: Exception) -> None:
        self.close()
        self._try_at_s = time.monotonic() + self._backoff.wait_s()
        name = self._values.text("port")
        self._troubles.tell(f"expected the serial port {name}, got {error!s:.200}. Trying again")

    def position(self, line: FileLine) -> dict[str, Any] | None:  # noqa: ARG002
        """A port has no position."""
        return None

    def head(self) -> list[bytes]:
        """A port has no beginning."""
        return []

    def close(self) -> None:
        """Let go of the port."""
        port, self._port = self._port, None
        if port is not None:
            port.close()


class SerialSource(CsvSource):
    """Rows of a table, or JSON lines, from a serial port."""

    KIND: ClassVar[str] = "serial"
    HELP: ClassVar[str] = "Lines from a serial port: rows of a table (CSV) or JSON."
    EXTRA: ClassVar[str] = "serial"
    LIBRARY: ClassVar[str] = "serial"
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(name="port", help="The serial port.", example="/dev/ttyACM0"),
        ConnectionOption(
            name="baud", help="Its speed.", kind="integer", default=115_200, low=50, high=4_000_000
        ),
        ConnectionOption(name="parity", help="Its parity.", default="N", choices=("N", "E", "O")),
        ConnectionOption(
            name="skip_first_line",
            help="Drop the first line after the port is opened, whose beginning may be missing.",
            kind="flag",
            default=True,
        ),
        *LINE_OPTIONS,
        *DIALECT_OPTIONS,
        KEY_OPTION,
        *FIELD_OPTIONS,
    )

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Open nothing."""
        super().__init__(values, channels)
        self._payloads = PayloadReader(self.fields, "json", values.integer("max_line_bytes"))

    def line_file(self, values: OptionValues, most_bytes: int) -> LineReader:
        """See `_LineSource.line_file`."""
        troubles = Troubles(logging.getLogger("edgernn.sources.serial"), self.name)
        return SerialLines(values, most_bytes, troubles)

    def of_line(self, data: bytes, first: bool) -> list[Arrival]:
        """See `_LineSource.of_line`."""
        if data.lstrip()[:1] in (b"[", b"{"):
            return self._payloads.arrivals(data)
        return super().of_line(data, first)
