"""Flash and RAM of a linked model; nothing is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edgernn_firmware_sim.emulator.build import build_image, step_stack_bytes
from edgernn_firmware_sim.emulator.image import (
    ImageSizes,
    check_symbols,
    read_sizes,
    read_symbols,
    state_struct_bytes,
)
from edgernn_firmware_sim.emulator.tools import require
from edgernn_firmware_sim.emulator.work import read_listing
from edgernn_firmware_sim.targets import Core

#: More than any microcontroller has.
_ROOM_BYTES: Final = 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Flash and RAM of a linked model.

    Attributes:
        sizes: of the linked model.
        struct_bytes: size of the model's state struct, scratch included.
        static_stack_bytes: most stack that any step can use, by the compiler's call graph.
    """

    sizes: ImageSizes
    struct_bytes: int
    static_stack_bytes: int

    @property
    def flash_bytes(self) -> int:
        """Code and constants of the model."""
        return self.sizes.flash_bytes

    @property
    def ram_bytes(self) -> int:
        """State, scratch and stack of the model."""
        return self.struct_bytes + self.static_stack_bytes


def footprint(core: Core, sources: Mapping[str, bytes], folder: Path) -> Footprint:
    """Build firmware as `emulate` does, without the limits of the emulated machine.

    Args:
        core: what to build for.
        sources: generated C by file name; of `write_c` with the prefix `model`.
        folder: an empty folder for everything that is built.

    Raises:
        BackendUnavailable: a compiler or QEMU is missing; names the packages.
        EmulationError: the firmware cannot be built, or links what it must not.
    """
    require(core)
    # Flash lies below RAM on every core, and ends where RAM begins.
    flash_bytes = min(core.ram_origin - core.flash_origin, _ROOM_BYTES)
    image = build_image(
        replace(core, flash_bytes=flash_bytes, ram_bytes=_ROOM_BYTES), sources, folder
    )
    check_symbols(core, list(read_symbols(core, image)))
    return Footprint(
        sizes=read_sizes(core, image),
        struct_bytes=state_struct_bytes(core, image),
        static_stack_bytes=step_stack_bytes(folder, read_listing(core, image)),
    )
