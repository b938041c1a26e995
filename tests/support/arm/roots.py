"""Small Debian roots of other processors with Python and NumPy, run by QEMU.

They are kept in build/arm-roots and made anew when that folder is removed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "build" / "arm-roots"
SUITE = "bookworm"
PACKAGES = (
    "python3.11-minimal", "libpython3.11-stdlib", "libstdc++6", "libgcc-s1", "zlib1g", "libbz2-1.0",
    "liblzma5", "libffi8", "libssl3", "libsqlite3-0", "libexpat1", "libuuid1",
)  # fmt: skip
#: NumPy's own wheel where it has one for the processor; it is older than NumPy 2 like Debian's.
NUMPY_WHEEL = "numpy==1.26.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A processor family, as the several tools call it.

    Attributes:
        target: EDGERNN_TARGET and end of the wheel's tag.
        debian: Debian's architecture.
        triple: of its compiler and its libraries.
        qemu: the emulator.
        elf: e_machine of its binaries.
        packages: what the root has besides `PACKAGES`.
    """

    target: str
    debian: str
    triple: str
    qemu: str
    elf: int
    packages: tuple[str, ...] = ()


MACHINES = {
    machine.target: machine
    for machine in (
        Machine(
            target="aarch64", debian="arm64", triple="aarch64-linux-gnu", qemu="qemu-aarch64",
            elf=183,
        ),
        Machine(
            target="armv7l", debian="armhf", triple="arm-linux-gnueabihf", qemu="qemu-arm", elf=40,
            packages=("python3-numpy",),
        ),
    )
}  # fmt: skip


def _mirror() -> list[str]:
    """The Debian mirror this machine uses; none where it has another distribution."""
    command = ["apt-get", "indextargets", "--format", "$(SITE)"]
    select = ["Created-By: Packages", f"Codename: {SUITE}", "Component: main"]
    listing = subprocess.run([*command, *select], capture_output=True, text=True, check=False)
    sites = listing.stdout.split()
    return [f"deb {sites[0]} {SUITE} main"] if sites else []


def make_root(machine: Machine) -> Path:
    """The root of a machine, made if it is not there."""
    root = FOLDER / machine.target
    if (root / "complete").is_file():
        return root
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    include = ",".join([*PACKAGES, *machine.packages])
    _run("mmdebstrap", "--quiet", "--variant=extract", f"--architectures={machine.debian}",
         f"--include={include}", SUITE, root / "system", *_mirror())  # fmt: skip
    (root / "site").mkdir()
    if "python3-numpy" not in machine.packages:
        _run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
             "--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--abi=cp311",
             f"--platform=manylinux2014_{machine.target}", f"--dest={root}",
             NUMPY_WHEEL)  # fmt: skip
        (wheel,) = root.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(root / "site")
    (root / "complete").touch()
    return root


def run_python(machine: Machine, cpu: str, wheel: Path, *arguments: str | Path) -> str:
    """Run that machine's Python with a wheel of ours unpacked beside NumPy; return its stdout."""
    root = make_root(machine)
    package = wheel.parent / wheel.stem
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(package)
    system = root / "system"
    path = [package, root / "site", system / "usr" / "lib" / "python3" / "dist-packages"]
    settings = {"PYTHONHOME": str(system / "usr"), "PYTHONPATH": ":".join(map(str, path))}
    return _run(*python_command(machine, cpu, **settings), *arguments)


def python_command(machine: Machine, cpu: str, **settings: str) -> list[str | Path]:
    """The command that runs that machine's Python: the emulator, its options, the interpreter.

    Args:
        machine: what to emulate.
        cpu: the processor, as QEMU calls it.
        settings: environment variables of the interpreter.
    """
    system = make_root(machine) / "system"
    libraries = system / "usr" / "lib" / machine.triple
    settings["LD_LIBRARY_PATH"] = f"{libraries}/blas:{libraries}/lapack"
    options = [word for k, v in settings.items() for word in ("-E", f"{k}={v}")]
    python = system / "usr" / "bin" / "python3.11"
    return [machine.qemu, "-cpu", cpu, "-L", system, *options, python]


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    words = " ".join(map(str, command))
    assert done.returncode == 0, f"{words:.300}: exit {done.returncode}\n{done.stderr[-2000:]}"
    return done.stdout
