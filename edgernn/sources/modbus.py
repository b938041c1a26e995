"""Registers of Modbus devices, over TCP or a serial line."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Final

from edgernn.connections.fields import valid_key
from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.errors import BackendUnavailable
from edgernn.install import library_hint
from edgernn.sources.polling import POLLING_OPTIONS, PolledSource, missing

#: Types of values: registers, and what `struct` calls them.
TYPES: Final = {
    "int16": (1, ">h"),
    "uint16": (1, ">H"),
    "int32": (2, ">i"),
    "uint32": (2, ">I"),
    "float32": (2, ">f"),
    "int64": (4, ">q"),
    "float64": (4, ">d"),
}
_TABLES: Final = ("holding", "input")
#: Most registers in one request (the protocol allows 125).
_MOST: Final = 120
#: Waiting for silent devices takes at most one part in so many of the time of the others.
_WAITED: Final = 10
#: Answers of a gateway for a device that is silent: no path to it, no answer from it.
_SILENT_CODES: Final = (10, 11)


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """Where the value of a channel is.

    Attributes:
        channel: that it feeds.
        address: of its first register, from 0.
        table: "holding" or "input".
        type: a name in `TYPES`.
        words: "big": the first register has the upper bits.
        scale: the value is scale * number + offset.
        offset: see scale.
    """

    channel: str
    address: int
    table: str = "holding"
    type: str = "int16"
    words: str = "big"
    scale: float = 1.0
    offset: float = 0.0

    @property
    def count(self) -> int:
        """How many registers it has."""
        return TYPES[self.type][0]

    def value(self, registers: Sequence[int]) -> float:
        """The value in its registers."""
        words = registers if self.words == "big" else registers[::-1]
        data = b"".join(word.to_bytes(2, "big") for word in words)
        return self.scale * float(struct.unpack(TYPES[self.type][1], data)[0]) + self.offset


class ModbusSource(PolledSource):
    """One reading per device and period.

    A device that did not answer is asked after the others, one such device at a time, and seldom
    enough that the wait takes at most a tenth of the time. Until it answers, its values are
    missing, in every period.
    """

    KIND: ClassVar[str] = "modbus"
    HELP: ClassVar[str] = "Registers of Modbus devices, over TCP or a serial line (RTU)."
    EXTRA: ClassVar[str] = "modbus"
    LIBRARY: ClassVar[str] = "pymodbus"
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        ConnectionOption(
            name="host",
            help="Name or address of a device or gateway (TCP).",
            default="",
            example="192.168.1.20",
        ),
        ConnectionOption(
            name="port", help="Its port.", kind="integer", default=502, low=1, high=65_535
        ),
        ConnectionOption(
            name="serial_port",
            help="Serial line (RTU), instead of host.",
            default="",
            example="/dev/ttyUSB0",
        ),
        ConnectionOption(
            name="baud", help="Its speed.", kind="integer", default=9600, low=50, high=4_000_000
        ),
        ConnectionOption(name="parity", help="Its parity.", default="N", choices=("N", "E", "O")),
        ConnectionOption(
            name="units",
            help="Devices on the line: the name of the stream and the number of the device; by "
            "default one with number 1.",
            kind="tables",
            default=[],
            example=[{"key": "meter-1", "unit": 1}, {"key": "meter-2", "unit": 2}],
        ),
        ConnectionOption(
            name="registers",
            help="Register of each channel: type is "
            f"{', '.join(TYPES)}; table is holding or input; "
            "words is big or little, the order of the registers of one value. The value is "
            "scale * number + offset.",
            kind="tables",
            example=[
                {"channel": "temperature", "address": 0, "type": "int16", "scale": 0.1},
                {"channel": "power", "address": 10, "type": "float32", "table": "input"},
            ],
        ),
        ConnectionOption(
            name="timeout_s",
            help="Seconds in which a device must answer.",
            kind="number",
            default=1.0,
            low=0.01,
            high=60.0,
        ),
        *POLLING_OPTIONS,
    )

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Connect to nothing."""
        super().__init__(values, channels)
        self._registers = [Register(**table) for table in values.tables("registers")]
        units = values.tables("units") or [{"key": self.key, "unit": 1}]
        self._units = [(str(table["key"]), int(table["unit"])) for table in units]
        self._blocks = _blocks(self._registers)
        self._client: Any = None
        #: Devices that did not answer, with what was wrong; those that wait longest come first.
        self._silent: dict[tuple[str, int], str] = {}
        self._ask_silent_s = 0.0
        self._connected = True

    @classmethod
    def problems(cls, values: OptionValues, channels: Sequence[str]) -> list[str]:
        """See `Connection.problems`."""
        problems = []
        if bool(values.text("host")) == bool(values.text("serial_port")):
            problems.append("host: expected either host or serial_port, got both or none.")
        for number, table in enumerate(values.tables("registers"), 1):
            problems += [f"registers, {number}: {wrong}" for wrong in _register_problems(table)]
        named = [table.get("channel") for table in values.tables("registers")]
        if sorted(map(str, named)) != sorted(channels) and channels:
            problems.append(
                f"registers: expected one for each of the channels {', '.join(channels)}, got "
                f"{', '.join(map(str, named)) or 'none'}."
            )
        for number, table in enumerate(values.tables("units"), 1):
            unit = table.get("unit")
            known = set(table) == {"key", "unit"} and valid_key(str(table["key"]))
            if not known or type(unit) is not int or not 0 <= unit <= 255:
                problems.append(
                    f'units, {number}: expected {{ key = "name", unit = 1 }}, got {table!r:.60}.'
                )
        return problems

    def start(self) -> None:
        """Build the client; the device need not be there yet."""
        try:
            from pymodbus.client import ModbusSerialClient, ModbusTcpClient
        except ImportError as error:
            raise BackendUnavailable(
                f"{self.values.where}: expected the library pymodbus, which is not installed. "
                f"Install it with: {library_hint('pymodbus', 'modbus')}"
            ) from error
        values = self.values
        common: dict[str, Any] = {"timeout": values.number("timeout_s"), "retries": 1}
        if values.text("host"):
            host, port = values.text("host"), values.integer("port")
            self._client = ModbusTcpClient(host, port=port, **common)
        else:
            self._client = ModbusSerialClient(
                values.text("serial_port"),
                baudrate=values.integer("baud"),
                parity=values.text("parity"),
                **common,
            )

    def readings(self) -> list[tuple[str, list[float], str]]:
        """See `PolledSource.readings`."""
        self._connected = True
        found = {unit: self._asked(unit) for unit in self._units if unit not in self._silent}
        for unit in [unit for unit in self._silent if unit not in found]:
            others = len(self._silent) < len(self._units)
            if others and time.monotonic() < self._ask_silent_s:
                break
            found[unit] = self._asked(unit)
            if unit in self._silent:
                break
        nothing = missing(self.channels)
        return [
            (unit[0], *(found.get(unit) or (nothing, self._silent[unit]))) for unit in self._units
        ]

    def _asked(self, unit: tuple[str, int]) -> tuple[list[float], str]:
        """What a device answers now."""
        begin_s = time.monotonic()
        self._silent.pop(unit, None)
        found: dict[str, float] = {}
        problem = ""
        for block in self._blocks:
            words, wrong, answered = self._words(block, unit[1])
            problem = problem or wrong
            for register in block if words else ():
                first = register.address - block[0].address
                found[register.channel] = register.value(words[first : first + register.count])
            if not answered:
                self._silent[unit] = problem
                end_s = time.monotonic()
                self._ask_silent_s = end_s + (_WAITED - 1) * (end_s - begin_s)
                break
        xs = [found.get(channel, math.nan) for channel in self.channels]
        if not problem and not all(map(math.isfinite, xs)):
            problem = f"expected finite numbers from device {unit[1]}, got {xs!r:.80}"
        return ([x if math.isfinite(x) else math.nan for x in xs], problem)

    def _words(self, block: list[Register], unit: int) -> tuple[list[int], str, bool]:
        """Registers of a device, what is wrong with them, and whether the device answered.

        Without a connection nobody knows whether it would, and the round ends at once.
        """
        first, last = block[0], block[-1]
        count = last.address + last.count - first.address
        place = f"{first.table} registers {first.address} to {first.address + count - 1}"
        wanted = f"expected {place} of device {unit}"
        try:
            self._connected = self._connected and (self._client.connected or self._client.connect())
            if not self._connected:
                return [], f"{wanted}, got no connection", True
            read = getattr(self._client, f"read_{first.table}_registers")
            answer = read(first.address, count=count, device_id=unit)
        except Exception as error:  # its errors share no class with those of sockets and lines
            self._client.close()
            return [], f"{wanted}, got {error!s:.200}", False
        if answer.isError():
            answered = getattr(answer, "exception_code", 0) not in _SILENT_CODES
            return [], f"{wanted}, got {answer!s:.200}", answered
        if len(answer.registers) < count:
            return [], f"{wanted}, got {len(answer.registers)} registers", True
        return list(answer.registers), "", True

    def close(self) -> None:
        """See `ReadingSource.close`."""
        super().close()
        if self._client is not None:
            self._client.close()


def _register_problems(table: Mapping[str, Any]) -> list[str]:
    """What is wrong with the table of a register."""
    known = tuple(Register.__dataclass_fields__)
    strange = [name for name in table if name not in known]
    problems = [f"expected {', '.join(known)}, got {name!r:.60}." for name in strange]
    for name, choices in (("table", _TABLES), ("type", tuple(TYPES)), ("words", ("big", "little"))):
        if name in table and table[name] not in choices:
            problems.append(f"expected {name} among {', '.join(choices)}, got {table[name]!r:.40}.")
    if not isinstance(table.get("channel"), str):
        problems.append("expected the name of a channel, got none.")
    address = table.get("address")
    if type(address) is not int or not 0 <= address <= 65_535:
        problems.append(f"expected an address from 0 to 65535, got {address!r:.40}.")
    for name in ("scale", "offset"):
        number = table.get(name, 0)
        if type(number) not in (int, float) or not math.isfinite(number):
            problems.append(f"expected a number for {name}, got {number!r:.40}.")
    return problems


def _blocks(registers: Sequence[Register]) -> list[list[Register]]:
    """Registers that one request can read: next to one another in the same table."""
    ordered = sorted(registers, key=lambda r: (r.table, r.address))
    blocks = [ordered[:1]]
    for before, register in pairwise(ordered):
        first = blocks[-1][0]
        touches = register.table == before.table and (
            register.address <= before.address + before.count
        )
        if touches and register.address + register.count - first.address <= _MOST:
            blocks[-1].append(register)
        else:
            blocks.append([register])
    return blocks
