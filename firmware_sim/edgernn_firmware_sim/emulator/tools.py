"""The programs the emulator needs: found, run, or named with their Debian packages."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from edgernn.errors import BackendUnavailable, EmulationError
from edgernn_firmware_sim.targets import Core

HOST_COMPILER: Final = "gcc"

#: program -> Debian package.
PACKAGES: Final[dict[str, str]] = {
    HOST_COMPILER: "gcc libc6-dev",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "riscv64-linux-gnu-gcc": "gcc-riscv64-linux-gnu",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-riscv32": "qemu-system-misc",
}
_TIMEOUT_S: Final = 300


def require(core: Core) -> None:
    """Make sure that firmware for a core can be built and run.

    Raises:
        BackendUnavailable: programs are missing; names their Debian packages.
    """
    wanted = (HOST_COMPILER, core.compiler, core.emulator)
    missing = [program for program in wanted if shutil.which(program) is None]
    if missing:
        packages = " ".join(PACKAGES.get(program, program) for program in missing)
        raise BackendUnavailable(
            f"{core.name}: expected {', '.join(wanted)}, got a system without "
            f"{', '.join(missing)}. Install them with: sudo apt-get install {packages}"
        )


def execute(
    owner: str, command: Sequence[str], folder: Path, meanings: Mapping[int, str] | None = None
) -> str:
    """Run a program in a folder and return its stdout.

    Args:
        owner: name for error messages.
        command: program and arguments.
        folder: working folder.
        meanings: meanings of exit statuses of this program.

    Raises:
        EmulationError: it failed or ran for minutes; includes its output.
    """
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise EmulationError(
            f"{owner}: expected {command[0]} to end within {_TIMEOUT_S} s, got a longer run. "
            "Stream fewer steps."
        ) from None
    if done.returncode != 0:
        meaning = (meanings or {}).get(done.returncode, "")
        raise EmulationError(
            f"{owner}: expected {command[0]} to end with 0, got {done.returncode}"
            f"{meaning and f' ({meaning})'}.\n{done.stderr.strip()}".rstrip()
        )
    return done.stdout


def beside(compiler: str, program: str) -> str:
    """The binutils program that belongs to a compiler, for example ``arm-none-eabi-nm``."""
    return compiler.removesuffix("gcc") + program
