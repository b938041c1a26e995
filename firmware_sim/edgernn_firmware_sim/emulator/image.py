"""Content of a linked image: bytes by section, and symbols that it must not contain."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgernn.errors import EmulationError
from edgernn_firmware_sim.emulator.tools import beside, execute
from edgernn_firmware_sim.targets import Core

#: Heap, floating-point helpers and 64-bit divisions, by the names that libgcc and C libraries use.
_FORBIDDEN: Final = re.compile(
    r"_?(malloc|calloc|realloc|free|sbrk)(_r)?"
    r"|__aeabi_[cfd]\w+|__aeabi_u?[il]2[fd]"
    r"|__\w+[sdt]f[23s]?|__(fix|float)\w+"
    r"|__aeabi_u?ldivmod|__u?(div|mod|divmod)di[34]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSizes:
    """Bytes of the model in a linked image; the harness is not in them.

    Attributes:
        text_bytes: code of the model, its kernels and the library functions they call.
        rodata_bytes: weights, biases, multipliers and tables.
        constants_apart: they are in the second memory of the machine.
    """

    text_bytes: int
    rodata_bytes: int
    constants_apart: bool

    @property
    def flash_bytes(self) -> int:
        """Bytes of flash that the model needs."""
        return self.text_bytes + self.rodata_bytes


def read_sizes(core: Core, image: Path) -> ImageSizes:
    """Sizes of the sections that the linker script keeps for the model."""
    listing = execute(
        core.name, [beside(core.compiler, "size"), "-A", "-d", image.name], image.parent
    )
    sections = {
        parts[0]: (int(parts[1]), int(parts[2]))
        for line in listing.splitlines()
        if len(parts := line.split()) == 3 and parts[1].isdigit()
    }
    (text_bytes, _), (rodata_bytes, rodata_origin) = sections[".text"], sections[".rodata"]
    return ImageSizes(
        text_bytes=text_bytes,
        rodata_bytes=rodata_bytes,
        constants_apart=rodata_origin == core.constants_origin,
    )


def state_struct_bytes(core: Core, image: Path) -> int:
    """Size of the model's state struct, by the variable that the harness has of it."""
    command = [beside(core.compiler, "nm"), "--print-size", image.name]
    rows = (line.split() for line in execute(core.name, command, image.parent).splitlines())
    return next(int(row[1], 16) for row in rows if row[-1] == "harness_state")


def read_symbols(core: Core, image: Path) -> dict[str, int]:
    """Address of every symbol by its name."""
    listing = execute(core.name, [beside(core.compiler, "nm"), image.name], image.parent)
    rows = (line.split() for line in listing.splitlines())
    return {row[2]: int(row[0], 16) for row in rows if len(row) == 3}


def forbidden_symbols(names: list[str]) -> list[str]:
    """Names that mean a heap, software floating point or a 64-bit division."""
    return sorted(name for name in names if _FORBIDDEN.fullmatch(name))


def check_symbols(core: Core, names: list[str]) -> None:
    """Refuse an image that links a heap, software floating point or 64-bit divisions.

    Raises:
        EmulationError: names the symbols.
    """
    found = forbidden_symbols(names)
    if found:
        raise EmulationError(
            f"{core.name}: expected no heap, software float or 64-bit division, "
            f"got {', '.join(found)}."
        )
