"""Builds an image that QEMU starts from generated C."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from edgernn.errors import EmulationError, ImageTooLargeError
from edgernn_firmware_sim.emulator.call_graph import static_stack_bytes, tail_calls
from edgernn_firmware_sim.emulator.instructions import Instruction
from edgernn_firmware_sim.emulator.objects import compile_objects
from edgernn_firmware_sim.emulator.tools import execute
from edgernn_firmware_sim.targets import Core

#: Room for the stack in the image; the harness notices when it is not enough.
STACK_BYTES: Final = 2048
#: Generated files that have a `main`; the harness replaces them.
PROGRAMS: Final = ("main.c", "selftest_host.c")
_COMPILE: Final = (
    "-std=c99", "-O2", "-ffreestanding", "-ffunction-sections", "-fdata-sections",
    "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror",
)  # fmt: skip
#: The compiler's call graph with stack frames, as .ci files next to the objects.
_STACK_USE: Final = ("-fstack-usage", "-fcallgraph-info=su")
#: Without it the loop inside our memcpy would become a call of memcpy.
_HARNESS_ONLY: Final = ("-fno-tree-loop-distribute-patterns",)
_LINK: Final = ("-nostdlib", "-static", "-no-pie", "-Wl,--gc-sections,--build-id=none,--no-relax")


def packaged(*parts: str) -> Path:
    """A file in the folder of this module; wheels are installed unpacked."""
    return Path(str(resources.files("edgernn_firmware_sim.emulator"))).joinpath(*parts)


def build_image(core: Core, sources: Mapping[str, bytes], folder: Path) -> Path:
    """Compile the model with the harness and link both for one core.

    Args:
        core: what to build for.
        sources: generated C by path in a folder, `model.h` among it, without what is in `PROGRAMS`.
        folder: where everything is written.

    Returns:
        The ELF image.

    Raises:
        ImageTooLargeError: the core has too little memory for it.
        EmulationError: compiler or linker refuse something.
    """
    model = folder / "model"
    model.mkdir()
    for name, content in sources.items():
        file = model / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    compile_ = [core.compiler, *core.flags, *_COMPILE, *_STACK_USE, "-c"]
    written = sorted(n for n in sources if n.endswith(".c") and n not in PROGRAMS)
    built = compile_objects(core.name, compile_, written, model)
    family = "riscv" if core.compiler.startswith("riscv") else "arm"
    harness = [packaged("firmware", f) for f in ("harness.c", "memory.c", f"startup_{family}.S")]
    for_harness = [*compile_, *_HARNESS_ONLY, "-Imodel"]
    objects = compile_objects(core.name, for_harness, [str(path) for path in harness], folder)
    objects += [f"model/{name}" for name in built]
    # RISC-V compilers for Linux have no 32-bit libgcc, and rv32imc firmware does not need it.
    libraries = ["-lgcc"] if family == "arm" else []
    _link(core, [*objects, *libraries], folder)
    return folder / "firmware.elf"


def step_stack_bytes(folder: Path, listing: Mapping[int, Instruction]) -> int:
    """The most stack `model_step` can need.

    Args:
        folder: where `build_image` has built it.
        listing: the image's instructions by address.

    Raises:
        EmulationError: there is no bound.
    """
    files = [*folder.glob("model/*.ci"), folder / "memory.ci"]
    return static_stack_bytes(files, "model_step", tail_calls(listing))


def _link(core: Core, objects: Sequence[str], folder: Path) -> None:
    """Link with all constants in flash or, if they do not fit, in a second memory."""
    try:
        _link_constants(core, objects, folder, "FLASH")
    except ImageTooLargeError:
        if core.constants_bytes is None:
            raise
        _link_constants(core, objects, folder, "CONSTANTS")


def _link_constants(core: Core, objects: Sequence[str], folder: Path, region: str) -> None:
    (folder / "firmware.ld").write_text(_linker_script(core, region), encoding="ascii")
    link = [core.compiler, *core.flags, *_LINK, "-T", "firmware.ld", *objects]
    try:
        execute(core.name, [*link, "-o", "firmware.elf"], folder)
    except EmulationError as error:
        over = re.search(r"region .(FLASH|RAM|CONSTANTS). overflowed by (\d+) bytes", str(error))
        if over is None:
            raise
        room = {
            "FLASH": core.flash_bytes,
            "RAM": core.ram_bytes,
            "CONSTANTS": core.constants_bytes,
        }[over[1]]
        raise ImageTooLargeError(
            f"{core.name}: expected an image within {room:,} bytes of {over[1]} ({core.machine}), "
            f"got {int(over[2]):,} bytes more. Emulate a core with more memory, or a smaller model."
        ) from error


def _linker_script(core: Core, region: str) -> str:
    text = packaged("firmware", "firmware.ld").read_text(encoding="ascii")
    values = {
        "flash_origin": core.flash_origin,
        "flash_bytes": core.flash_bytes,
        "ram_origin": core.ram_origin,
        "ram_bytes": core.ram_bytes,
        "constants_origin": core.constants_origin or 0,
        "constants_bytes": core.constants_bytes or 0,
        "stack_bytes": STACK_BYTES,
    }
    for name, value in values.items():
        text = text.replace(f"<{name}>", f"{value:#x}")
    return text.replace("<constants>", region)
