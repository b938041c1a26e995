"""Compilers for the generated C: found, called without a warning allowed, and their symbols."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector

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


def compile_c(command: Sequence[str], sources: Iterable[Path], folder: Path) -> None:
    """Compile quietly in a folder; a warning is an error."""
    names = [str(source) for source in sources]
    done = subprocess.run(
        [*command, *WARNINGS, *names], cwd=folder, capture_output=True, text=True, check=False
    )
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
