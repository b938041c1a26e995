"""The records a target profile becomes, with every field checked by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

from edgernn.errors import TargetError
from edgernn_firmware_sim.targets.costs import Costs, parse_costs

_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ADDRESS_SPACE: Final = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """A core that QEMU emulates, and how firmware for it is built.

    Attributes:
        name: file name of the profile, for example ``cortex-m4``.
        compiler: program that compiles, assembles and links.
        flags: its options for this core's instruction set.
        emulator: QEMU program.
        machine: its ``-M`` machine.
        flash_origin: address where the image is loaded and started.
        flash_bytes: room there.
        ram_origin: address of the variables.
        ram_bytes: room there.
        costs: price lists of the cores it stands in for, its own among them, by name.
    """

    name: str
    compiler: str
    flags: tuple[str, ...]
    emulator: str
    machine: str
    flash_origin: int
    flash_bytes: int
    ram_origin: int
    ram_bytes: int
    costs: Mapping[str, Costs]

    def __post_init__(self) -> None:
        """Refuse what cannot be a core."""
        _check_fields(self)
        flash = range(self.flash_origin, self.flash_origin + self.flash_bytes)
        ram = range(self.ram_origin, self.ram_origin + self.ram_bytes)
        if max(flash.stop, ram.stop) > _ADDRESS_SPACE:
            raise TargetError(f"{self.name}: expected memory below 2^32, got more.")
        if flash.start < ram.stop and ram.start < flash.stop:
            raise TargetError(f"{self.name}: expected flash and RAM apart, got an overlap.")
        if self.name not in self.costs:
            raise TargetError(
                f"{self.name}.costs: expected a table for {self.name}, got {', '.join(self.costs)}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board one can buy, and the emulated core that stands in for its own.

    Attributes:
        name: file name of the profile, for example ``nucleo-f446``.
        board: name on the box.
        core: core of its chip.
        emulated_as: name of the core profile that runs its firmware.
        clock_hz: clock its maker's software sets up by default, or the chip's highest.
        flash_bytes: room for code and constants.
        ram_bytes: room for variables and stack.
    """

    name: str
    board: str
    core: str
    emulated_as: str
    clock_hz: int
    flash_bytes: int
    ram_bytes: int

    def __post_init__(self) -> None:
        """Refuse what cannot be a board."""
        _check_fields(self)


def _check_fields(record: Core | Board) -> None:
    """Refuse empty names and counts below one; an address may be zero."""
    if not _NAME.fullmatch(record.name):
        raise TargetError(
            f"target: expected a name like 'cortex-m4', got '{record.name}'. Rename the file."
        )
    for field in fields(record):
        value = getattr(record, field.name)
        least = 0 if field.name.endswith("_origin") else 1
        if isinstance(value, int) and value < least:
            raise TargetError(
                f"{record.name}.{field.name}: expected at least {least}, got {value}."
            )
        if isinstance(value, (str, tuple)) and not all((value, *value)):
            raise TargetError(f"{record.name}.{field.name}: expected no empty text, got {value!r}.")


#: What TOML gives for a field with this annotation.
_TOML: Final[dict[str, type]] = {
    "str": str,
    "int": int,
    "tuple[str, ...]": list,
    "Mapping[str, Costs]": dict,
}

Profile = TypeVar("Profile", Core, Board)


def parse(kind: type[Profile], name: str, table: Mapping[str, Any]) -> Profile:
    """Make a record of a parsed TOML file.

    Args:
        kind: `Core` or `Board`.
        name: of the file, without its suffix.
        table: what the file says.

    Raises:
        TargetError: a field is missing, unknown, of another type or out of range.
    """
    wanted = {f.name: str(f.type) for f in fields(kind) if f.name != "name"}
    if set(table) != set(wanted):
        raise TargetError(
            f"{name}: expected the fields {', '.join(wanted)}, got {', '.join(table) or 'none'}."
        )
    for field, annotation in wanted.items():
        # bool is an int to Python and not to TOML, hence the exact type.
        if type(table[field]) is not _TOML[annotation]:
            raise TargetError(
                f"{name}.{field}: expected {_TOML[annotation].__name__}, got {table[field]!r}."
            )
    values: dict[str, Any] = {f: tuple(v) if isinstance(v, list) else v for f, v in table.items()}
    if not all(isinstance(part, str) for v in values.values() if type(v) is tuple for part in v):
        raise TargetError(f"{name}: expected lists of text, got another kind of element.")
    if kind is Core:
        values["costs"] = parse_costs(f"{name}.costs", table["costs"])
    return kind(name=name, **values)
