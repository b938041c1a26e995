"""Compilers for the generated C: found, called without a warning allowed, and their symbols."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from edgernn.errors import EmulationError
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector
from edgernn_firmware_sim.emulator.objects import compile_objects

ROOT = Path(__file__).resolve().parents[3]
NATIVE = ROOT / "edgernn" / "native"
#: Debian package of each command.
PACKAGES = {
    "gcc": "gcc", "g++": "g++", "clang": "clang", "nm": "binutils", "cmake": "cmake",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi", "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "arm-linux-gnueabihf-gcc": "gcc-arm-linux-gnueabihf", "qemu-aarch64": "qemu-user",
    "qemu-arm": "qemu-user", "mmdebstrap": "mmdebstrap", "systemd-analyze": "systemd",
    "dpkg-deb": "dpkg",
}  # fmt: skip
WARNINGS = (
    "-Wall", "-Wextra", "-Werror", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow",
)  # fmt: skip
SANITIZERS = ("-fsanitize=undefined,address", "-fno-sanitize-recover=all")


def require(*commands: str) -> None:
    """Skip the test where a command is missing."""
    for command in commands:
        if shutil.which(command) is None:
            pytest.skip(f"needs {command}: apt-get install {PACKAGES[command]}, or make tools")


def require_32_bit() -> None:
    """Skip the test where gcc cannot link 32-bit programs."""
    require("gcc")
    probe = subprocess.run(
        ["gcc", "-m32", "-x", "c", "-", "-o", "/dev/null"],
        input="int main(void) { return 0; }\n", text=True, capture_output=True, check=False,
    )  # fmt: skip
    if probe.returncode:
        pytest.skip("needs 32-bit C libraries: make tools")


def compile_c(command: Sequence[str], sources: Iterable[Path | str], folder: Path) -> None:
    """Compile quietly in a folder; a warning is an error.

    Kernels are the same files in the C of every model: an object file that the same command made
    of the same files before is not made again.
    """
    names = [_from(folder, str(source)) for source in sources]
    options = [_from(folder, option) for option in command]
    stems = [Path(name).stem for name in names]
    if {"-S", "-x"} & {*options} or len({*stems}) < len(stems):
        _run([*options, *WARNINGS, *names], folder)
        return
    at = options.index("-o") if "-o" in options else len(options)
    target, options = options[at : at + 2], options[:at] + options[at + 2 :]
    linked = [option for option in (*options, *names) if option.endswith(".o")]
    libraries = [option for option in options if option.startswith("-l")]
    options = [option for option in options if option not in (*linked, *libraries)]
    compiling = [*options, *WARNINGS, *([] if "-c" in options else ["-c"])]
    written = [name for name in names if name not in linked]
    try:
        objects = compile_objects(command[0], compiling, written, folder)
    except EmulationError as error:
        raise AssertionError(f"{' '.join(command)}\n{str(error)[:4000]}") from None
    if "-c" not in options:
        _run([*options, *objects, *linked, *libraries, *target], folder)


def _from(folder: Path, option: str) -> str:
    """A path as seen from a folder; anything else, and what lies elsewhere, as it is."""
    path = Path(option)
    if path == folder:
        return "."
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else option


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), f"{' '.join(command)}\n{done.stderr[:4000]}"


def write_model(model: IntegerModel, folder: Path, prefix: str = "model") -> list[Path]:
    """Write the C of a model; return its own sources and the kernels, without programs."""
    folder.mkdir(parents=True, exist_ok=True)
    files = write_c(model, golden_vector(model), prefix=prefix)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    programs = ("main.c", "selftest_host.c")
    return [folder / n for n in files if n.endswith(".c") and n not in programs]


def symbols(objects: Iterable[Path]) -> tuple[set[str], set[str], set[str]]:
    """Undefined anywhere and defined nowhere; external; and writable symbols of objects."""
    names = [str(path) for path in objects]
    listing = subprocess.run(["nm", *names], check=True, capture_output=True, text=True).stdout
    found = [(m[1], m[2]) for m in re.finditer(r"^[0-9a-f ]{8,16} (\w) (\S+)$", listing, re.M)]
    assert found
    external = {name for kind, name in found if kind.isupper() and kind != "U"}
    writable = {name for kind, name in found if kind in "DdBbCcSsGg"}
    return {name for kind, name in found if kind == "U"} - external, external, writable
