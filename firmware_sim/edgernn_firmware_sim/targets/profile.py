"""The records a target profile becomes, with every field checked by name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
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
        constants_origin: address of a second memory, which has the constants of an image that is
            too large for the first; None if the machine has no other.
        constants_bytes: room there.
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
    constants_origin: int | None = None
    constants_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a core."""
        _check_fields(self)
        memories = {
            "flash": (self.flash_origin, self.flash_bytes),
            "RAM": (self.ram_origin, self.ram_bytes),
        }
        if self.constants_origin is not None and self.constants_bytes is not None:
            memories["constants"] = self.constants_origin, self.constants_bytes
        elif not (self.constants_origin is None and self.constants_bytes is None):
            raise TargetError(
                f"{self.name}: expected constants_origin and constants_bytes together, got one "
                "of them. Add the other, or leave both out."
            )
        if max(origin + size for origin, size in memories.values()) > _ADDRESS_SPACE:
            raise TargetError(f"{self.name}: expected memory below 2^32, got more.")
        for one, other in combinations(memories, 2):
            (start, size), (other_start, other_size) = memories[one], memories[other]
            if start < other_start + other_size and other_start < start + size:
                raise TargetError(f"{self.name}: expected {one} and {other} apart, got an overlap.")
        if self.name not in self.costs:
            raise TargetError(
                f"{self.name}.costs: expected a table for {self.name}, got {', '.join(self.costs)}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivePower:
    """Supply current of a chip that computes, as its datasheet gives it.

    Attributes:
        active_ma: typical supply current in milliamperes at the clock of the board's profile.
        supply_v: supply voltage in volts at which this current is given.
        source: document and table, with the conditions of the figure.
    """

    active_ma: float
    supply_v: float
    source: str

    def __post_init__(self) -> None:
        """Check the values."""
        raise_all(_power_problems("power", asdict(self)))

    def microjoules(self, ms: tuple[float, float]) -> tuple[float, float]:
        """Energy of a range of times, in microjoules.

        Args:
            ms: shortest and longest time, in milliseconds.
        """
        milliwatts = self.active_ma * self.supply_v
        return milliwatts * ms[0], milliwatts * ms[1]


#: Value of `Board.emulated_as` for a core that QEMU does not emulate here.
NOT_EMULATED: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board and the emulated core that runs its firmware.

    Attributes:
        name: file name of the profile, for example ``nucleo-f446``.
        board: name on the box.
        core: core of its chip.
        emulated_as: name of the core profile that runs its firmware; "none" if there is no
            emulator for its core.
        clock_hz: clock its maker's software sets up by default, or the chip's highest.
        flash_bytes: room for code and constants.
        ram_bytes: room for variables and stack.
        power: supply current while it computes; None if no figure is known.
    """

    name: str
    board: str
    core: str
    emulated_as: str
    clock_hz: int
    flash_bytes: int
    ram_bytes: int
    power: ActivePower | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a board."""
        _check_fields(self)


def _check_fields(record: Core | Board) -> None:
    """Refuse empty names and counts below one; an address may be zero."""
    if not _NAME.fullmatch(record.name):
        raise TargetError(
            f"target: expected a name like 'cortex-m4', got '{record.name}'. Rename the file."
        )
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    raise_all(list(_value_problems(record.name, values)))


def _value_problems(owner: str, values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        least = 0 if name.endswith("_origin") else 1
        if isinstance(value, int) and value < least:
            yield f"{owner}.{name}: expected at least {least}, got {value}."
        if isinstance(value, (str, tuple)) and not all((value, *value)):
            yield f"{owner}.{name}: expected no empty text, got {value!r}."


def _power_problems(owner: str, table: Mapping[str, Any]) -> list[str]:
    """Everything wrong with a table ``power``."""
    wanted = [field.name for field in fields(ActivePower)]
    found = [
        f"{owner}.{name}: expected a number above 0, got {table[name]!r}."
        for name in wanted[:2]
        if name in table and not _positive(table[name])
    ]
    source = table.get("source", "-")
    if not isinstance(source, str) or not source.strip():
        found.append(f"{owner}.source: expected the name of a document, got {source!r}.")
    if set(table) != set(wanted):
        got = ", ".join(table) or "none"
        found.append(f"{owner}: expected the fields {', '.join(wanted)}, got {got}.")
    return found


def _positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf  # type: ignore[operator]


def raise_all(found: Sequence[str]) -> None:
    """Raise one error for all problems; do nothing without any.

    Raises:
        TargetError: at least one problem was found.
    """
    if len(found) == 1:
        raise TargetError(found[0])
    if found:
        raise TargetError("\n  ".join([f"{len(found)} problems in this profile:", *found]))


#: What TOML gives for a field with this annotation.
_TOML: Final[dict[str, type]] = {
    "str": str,
    "int": int,
    "int | None": int,
    "tuple[str, ...]": list,
    "Mapping[str, Costs]": dict,
    "ActivePower | None": dict,
}
#: Fields that a profile may leave out.
_OPTIONAL: Final = frozenset({"power", "constants_origin", "constants_bytes"})

Profile = TypeVar("Profile", Core, Board)


def problems(kind: type[Core] | type[Board], name: str, table: Mapping[str, Any]) -> list[str]:
    """Everything wrong with a parsed TOML file, field by field, costs left aside.

    Args:
        kind: `Core` or `Board`.
        name: of the file, without its suffix.
        table: content of the file.
    """
    wanted = {f.name: str(f.type) for f in fields(kind) if f.name != "name"}
    found = []
    if set(table) - _OPTIONAL != set(wanted) - _OPTIONAL:
        needed = ", ".join(field for field in wanted if field not in _OPTIONAL)
        found.append(f"{name}: expected the fields {needed}, got {', '.join(table) or 'none'}.")
    for field in (field for field in wanted if field in table):
        value = table[field]
        # bool is an int to Python and not to TOML, hence the exact type.
        if type(value) is not _TOML[wanted[field]]:
            expected = _TOML[wanted[field]].__name__
            found.append(f"{name}.{field}: expected {expected}, got {value!r}.")
        elif field == "power" and isinstance(value, dict):
            found += _power_problems(f"{name}.power", value)
        elif type(value) is list and not all(isinstance(part, str) for part in value):
            found.append(f"{name}: expected lists of text, got another kind of element.")
        else:
            found += _value_problems(name, {field: _frozen(value)})
    return found


def parse(kind: type[Profile], name: str, table: Mapping[str, Any]) -> Profile:
    """Make a record of a parsed TOML file.

    Args:
        kind: `Core` or `Board`.
        name: of the file, without its suffix.
        table: content of the file.

    Raises:
        TargetError: fields are missing, unknown, of another type or out of range; names all of
            them.
    """
    raise_all(problems(kind, name, table))
    values = {field: _frozen(value) for field, value in table.items()}
    if kind is Core:
        values["costs"] = parse_costs(f"{name}.costs", table["costs"])
    if "power" in values:
        figure = values["power"]
        values["power"] = ActivePower(
            active_ma=float(figure["active_ma"]),
            supply_v=float(figure["supply_v"]),
            source=figure["source"],
        )
    return kind(name=name, **values)


def _frozen(value: Any) -> Any:
    return tuple(value) if type(value) is list else value
