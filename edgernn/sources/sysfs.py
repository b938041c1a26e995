"""Sensors that Linux shows as files: IIO devices, hardware monitors, thermal zones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from edgernn.connections.options import ConnectionOption, OptionValues
from edgernn.sources.polling import POLLING_OPTIONS, PolledSource

ROOT_OPTION: Final = ConnectionOption(
    name="root",
    help="Folder that holds sys and proc; another one in a container.",
    default="/",
    example="/host",
)
#: Units of the kernel in one of the usual unit (°C, %, V, A, W, J), by what names begin with.
_IIO_UNITS: Final = {
    "in_temp": 1e3, "in_humidityrelative": 1e3, "in_voltage": 1e3, "in_current": 1e3,
    "in_power": 1e3,
}  # fmt: skip
_HWMON_UNITS: Final = {
    "temp": 1e3, "humidity": 1e3, "in": 1e3, "curr": 1e3, "power": 1e6, "energy": 1e6,
}  # fmt: skip


def _sensor_option(example: Mapping[str, str]) -> ConnectionOption:
    return ConnectionOption(
        name="columns",
        help="Sensors that are not called as their channel: channel = sensor.",
        kind="table",
        default={},
        example=dict(example),
    )


def read_number(path: Path) -> float:
    """The number in a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no finite number.
    """
    text = path.read_text(encoding="ascii", errors="replace").strip()
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"got {text[:40]!r}")
    return value


def _read_name(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _unit(units: Mapping[str, float], name: str) -> float:
    """Units of the kernel in one of the usual unit."""
    return next((per for begin, per in units.items() if name.startswith(begin)), 1.0)


class _SysfsSource(PolledSource):
    """Reads one file, or a few, for each channel."""

    #: What sensors are called in messages.
    WHAT: ClassVar[str]

    def __init__(self, values: OptionValues, channels: Sequence[str]) -> None:
        """Read nothing."""
        super().__init__(values, channels)
        renamed = values.table("columns")
        self.sensors = tuple(renamed.get(channel, channel) for channel in self.channels)
        self.sys = Path(values.text("root")) / "sys"
        self._found: dict[str, Path] = {}

    @classmethod
    def problems(cls, values: OptionValues, channels: Sequence[str]) -> list[str]:
        """See `Connection.problems`."""
        unknown = [name for name in values.table("columns") if name not in channels]
        if not unknown:
            return []
        return [f"columns: expected channels among {', '.join(channels)}, got {unknown[0]!r:.60}."]

    def places(self) -> Iterator[tuple[str, Path]]:
        """The sensors that there are now: name and file. A sensor may have several names."""
        raise NotImplementedError

    def measure(self, sensor: str, path: Path) -> float:
        """The value of a sensor, in the usual unit."""
        raise NotImplementedError

    def readings(self) -> list[tuple[str, list[float], str]]:
        """See `PolledSource.readings`."""
        xs, problem = [], ""
        for sensor in self.sensors:
            x, wrong = self._value(sensor)
            xs.append(x)
            problem = problem or wrong
        return [(self.key, xs, problem)]

    def _value(self, sensor: str) -> tuple[float, str]:
        if sensor not in self._found:
            self._found = dict(self.places())
        path = self._found.get(sensor)
        if path is None:
            there = ", ".join(self._found) or "none"
            return math.nan, f"expected the {self.WHAT} {sensor!r:.60}, got {there:.400}"
        try:
            return self.measure(sensor, path), ""
        except (OSError, ValueError) as error:
            self._found.clear()  # its number may be another one when it is back
            return math.nan, f"expected a number from {sensor!r:.60}, got {error!s:.200}"


class IioSource(_SysfsSource):
    """Channels of an industrial I/O device."""

    KIND: ClassVar[str] = "iio"
    HELP: ClassVar[str] = (
        "Sensors of Linux's industrial I/O (IIO), such as a BME280 or an MPU-6050."
    )
    WHAT: ClassVar[str] = "IIO channel"
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        _sensor_option({"temperature": "bme280/in_temp"}),
        *POLLING_OPTIONS,
        ROOT_OPTION,
    )

    def places(self) -> Iterator[tuple[str, Path]]:
        """See `_SysfsSource.places`."""
        for device in sorted((self.sys / "bus/iio/devices").glob("iio:device*")):
            name = _read_name(device / "name") or device.name
            for path in sorted([*device.glob("in_*_raw"), *device.glob("in_*_input")]):
                channel = path.name.removesuffix("_raw").removesuffix("_input")
                yield f"{device.name}/{channel}", path
                yield f"{name}/{channel}", path

    def measure(self, sensor: str, path: Path) -> float:
        """See `_SysfsSource.measure`."""
        value = read_number(path)
        channel = sensor.rpartition("/")[2]
        if path.name.endswith("_raw"):
            value = (value + _attribute(path, channel, "offset", 0.0)) * _attribute(
                path, channel, "scale", 1.0
            )
        return value / _unit(_IIO_UNITS, channel)


def _attribute(path: Path, channel: str, name: str, default: float) -> float:
    """An attribute of a channel, or of all channels of its kind: in_accel_x, then in_accel."""
    kind = channel.rpartition("_")[0] if channel.count("_") > 1 else channel.rstrip("0123456789")
    for owner in (channel, kind):
        place = path.with_name(f"{owner}_{name}")
        if place.exists():
            return read_number(place)
    return default


class HwmonSource(_SysfsSource):
    """Chips that watch temperatures, voltages, currents, powers and fans."""

    KIND: ClassVar[str] = "hwmon"
    HELP: ClassVar[str] = "Hardware monitors (hwmon): temperatures, voltages, powers, fans."
    WHAT: ClassVar[str] = "hardware monitor"
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        _sensor_option({"temperature": "cpu_thermal/temp1"}),
        *POLLING_OPTIONS,
        ROOT_OPTION,
    )

    def places(self) -> Iterator[tuple[str, Path]]:
        """See `_SysfsSource.places`."""
        for chip in sorted((self.sys / "class/hwmon").glob("hwmon*")):
            name = _read_name(chip / "name") or chip.name
            for path in sorted(chip.glob("*_input")):
                sensor = path.name.removesuffix("_input")
                yield f"{chip.name}/{sensor}", path
                yield f"{name}/{sensor}", path

    def measure(self, sensor: str, path: Path) -> float:  # noqa: ARG002
        """See `_SysfsSource.measure`."""
        return read_number(path) / _unit(_HWMON_UNITS, path.name)


class ThermalSource(_SysfsSource):
    """Thermal zones, in degrees Celsius."""

    KIND: ClassVar[str] = "thermal"
    HELP: ClassVar[str] = "Thermal zones of this machine, such as that of its processor, in °C."
    WHAT: ClassVar[str] = "thermal zone"
    OPTIONS: ClassVar[tuple[ConnectionOption, ...]] = (
        _sensor_option({"temperature": "cpu-thermal"}),
        *POLLING_OPTIONS,
        ROOT_OPTION,
    )

    def places(self) -> Iterator[tuple[str, Path]]:
        """See `_SysfsSource.places`."""
        for zone in sorted((self.sys / "class/thermal").glob("thermal_zone*")):
            yield zone.name, zone / "temp"
            if name := _read_name(zone / "type"):
                yield name, zone / "temp"

    def measure(self, sensor: str, path: Path) -> float:  # noqa: ARG002
        """See `_SysfsSource.measure`."""
        return read_number(path) / 1e3
