"""What the config of a service needs of a device: libraries, devices, the network."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgernn.errors import DeployError

#: Extra of the package -> what it installs; as in pyproject.toml.
EXTRAS: Final[dict[str, tuple[str, ...]]] = {
    "mqtt": ("paho-mqtt>=2.1",),
    "modbus": ("pymodbus>=3.10",),
    "serial": ("pyserial>=3.5",),
    "prometheus": ("prometheus-client>=0.21",),
}


class Kind(NamedTuple):
    """What a kind of source or sink needs.

    Attributes:
        extras: libraries, keys of `EXTRAS`.
        network: it talks to other hosts.
        devices: classes of devices that it opens.
        groups: groups that own these devices.
        processes: it reads files of /proc that are not of processes.
    """

    extras: tuple[str, ...] = ()
    network: bool = False
    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    processes: bool = False


_SERIAL_PORTS: Final = ("char-ttyUSB", "char-ttyACM", "char-ttyAMA", "char-ttyS")
#: Kinds of sources and sinks that need something. All others use files and standard streams.
KINDS: Final[dict[str, Kind]] = {
    "mqtt": Kind(extras=("mqtt",), network=True),
    "modbus": Kind(extras=("modbus",), network=True, devices=_SERIAL_PORTS, groups=("dialout",)),
    "serial": Kind(extras=("serial",), devices=_SERIAL_PORTS, groups=("dialout",)),
    "microphone": Kind(devices=("char-alsa",), groups=("audio",)),
    "load": Kind(processes=True),
    "prometheus": Kind(extras=("prometheus",), network=True),
    "webhook": Kind(network=True),
    "influx": Kind(network=True),
}
_LOOPBACK: Final = ("127.", "localhost", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNeeds:
    """What a config needs.

    Attributes:
        extras: libraries, keys of `EXTRAS`.
        network: the service talks to other hosts.
        devices: classes of devices that it opens.
        groups: groups that own these devices.
        processes: it reads files of /proc that are not of processes.
    """

    extras: tuple[str, ...]
    network: bool
    devices: tuple[str, ...]
    groups: tuple[str, ...]
    processes: bool


def read_tables(path: Path) -> dict[str, Any]:
    """The tables of a config.

    Raises:
        DeployError: the file is not TOML.
        OSError: it cannot be read.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeployError(
            f"{path.name}: expected TOML, got a file that is not: {error}. Correct that line."
        ) from None


def needs_of(tables: Mapping[str, Any]) -> DeviceNeeds:
    """What a config needs, by the kinds of its sources and sinks."""
    kinds = [KINDS.get(kind, Kind()) for kind in _kinds(tables)]
    listen = str(tables.get("http", {}).get("listen", "127.0.0.1:8765"))
    if listen:
        kinds.append(Kind(extras=("prometheus",), network=not listen.startswith(_LOOPBACK)))
    return DeviceNeeds(
        extras=tuple(dict.fromkeys(extra for kind in kinds for extra in kind.extras)),
        network=any(kind.network for kind in kinds),
        devices=tuple(dict.fromkeys(device for kind in kinds for device in kind.devices)),
        groups=tuple(dict.fromkeys(group for kind in kinds for group in kind.groups)),
        processes=any(kind.processes for kind in kinds),
    )


def refuse_standard_input(tables: Mapping[str, Any], where: str) -> None:
    """Refuse sources that read a pipe: a service that starts at boot has none.

    Args:
        tables: of the config.
        where: name of the file, for messages.

    Raises:
        DeployError: a source reads the standard input.
    """
    for number, table in enumerate(tables.get("source", ()), start=1):
        if table.get("kind") in ("csv", "jsonl") and table.get("path") == "-":
            raise DeployError(
                f'{where}, [[source]] {number}: expected a file or a device, got path = "-": the '
                "service on the device has no standard input. Let your program append to a file, "
                'and set path = "readings.csv" and follow = true.'
            )


def _kinds(tables: Mapping[str, Any]) -> Iterator[str]:
    for name in ("source", "sink"):
        for table in tables.get(name, ()):
            yield str(table.get("kind", ""))


def with_model_path(text: str, path: str, where: str) -> str:
    """The text of a config in which the path of the model is another one.

    Args:
        text: of the config.
        path: to write.
        where: name of the file, for messages.

    Raises:
        DeployError: [model] has no line that sets the path alone.
    """
    table = re.search(r"^\[model\][^\n]*\n(?:(?!\[)[^\n]*(?:\n|\Z))*", text, re.MULTILINE)
    found, count = text, 0
    if table:
        own, count = re.subn(
            r"""^(\s*path\s*=\s*)("[^"\n]*"|'[^'\n]*')""",
            lambda match: f'{match[1]}"{path}"',
            table[0],
            count=1,
            flags=re.MULTILINE,
        )
        found = text[: table.start()] + own + text[table.end() :]
    if count:
        wanted, got = tomllib.loads(text), tomllib.loads(found)
        wanted["model"]["path"] = path
        if wanted == got:
            return found
    raise DeployError(
        f"{where}, [model]: expected a line with the path of the model, got none. "
        'Write [model] and, on the next line, path = "model.edgernn".'
    )
