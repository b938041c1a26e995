"""The wheels of a bundle: the package for each machine, pip, and the libraries of a config."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from edgernn.deploy.needs import EXTRAS
from edgernn.errors import DeployError
from edgernn.install import find_installation

#: Machine -> Debian's name of it. "pure" has no compiled kernels and runs anywhere.
TARGETS: Final = {"aarch64": "arm64", "armv7l": "armhf", "x86_64": "amd64", "pure": "all"}
#: The Python of Debian 12, the oldest that a device may have.
_PYTHON: Final = "3.11"
_TIMEOUT_S: Final = 600


def collect_own(targets: Sequence[str], folders: Sequence[Path], to: Path) -> None:
    """Put the package's wheels for some machines into a folder.

    They are taken from the given folders, or built where the package runs from a clone.

    Args:
        targets: keys of `TARGETS`.
        folders: with wheels.
        to: folder to write to.

    Raises:
        DeployError: a wheel is missing and cannot be built.
    """
    from edgernn import __version__

    for target in targets:
        tail = "py3-none-any" if target == "pure" else f"cp311-abi3-*{target}"
        pattern = f"edgernn-{__version__}-{tail}.whl"
        given = [path for folder in folders for path in sorted(folder.glob(pattern))]
        if given:
            shutil.copy(given[0], to)
        else:
            _build(target, to)


def _build(target: str, to: Path) -> None:
    """Build the wheel for a machine from the clone that this package runs from."""
    home = find_installation()
    if home.kind not in ("editable", "source"):
        raise DeployError(
            f"deploy: expected a wheel of edgernn for {target}, got none. Build the wheels in a "
            "clone with 'make wheels', and pass their folder: --wheels dist"
        )
    settings = {"EDGERNN_TARGET": target}
    if target == "pure":
        settings = {"EDGERNN_PURE": "1"}
    elif target == os.uname().machine:
        settings = {}
    clean = {k: v for k, v in os.environ.items() if k not in ("CC", "PYTHONPATH")}
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    if _has("hatchling"):
        command.append("--no-build-isolation")
    done = _run([*command, "--wheel-dir", str(to), home.source], clean | settings)
    if done.returncode:
        raise DeployError(
            f"deploy: expected pip to build the wheel for {target}, got an error: "
            f"{_reason(done)} To do without compiled kernels, pass --target pure."
        )


def collect_pip(to: Path) -> bool:
    """Put pip's own wheel into a folder, so that a device needs no pip.

    Returns:
        Whether this Python has one.
    """
    # The wheel that the module venv of this Python installs; Debian keeps it elsewhere.
    bundled = [Path(folder, "_bundled") for folder in _search_path("ensurepip")]
    for folder in (*bundled, Path("/usr/share/python-wheels")):
        for path in sorted(folder.glob("pip-*.whl")):
            shutil.copy(path, to)
            return True
    return False


def collect_libraries(
    extras: Sequence[str], folders: Sequence[Path], to: Path, *, download: bool
) -> tuple[list[str], list[str]]:
    """Put the wheels of the libraries that a config needs into a folder.

    Args:
        extras: keys of `edgernn.deploy.needs.EXTRAS`.
        folders: with wheels.
        to: folder to write to.
        download: ask pip for what the folders do not have.

    Returns:
        The requirements, pinned where the version is known, and those of them without a wheel.
    """
    specs = [spec for extra in extras for spec in EXTRAS[extra]]
    found: list[str] = []
    missing: list[str] = []
    for spec in specs:
        name = _normal(re.split(r"[<>=!~\[; ]", spec)[0])
        wheel = _find(name, folders) or (_download(spec, to) if download else None)
        if wheel is not None:
            if wheel.parent != to:
                shutil.copy(wheel, to)
            found.append(f"{name}=={wheel.name.split('-')[1]}")
        else:
            pinned = _installed_version(name)
            found.append(f"{name}=={pinned}" if pinned else spec)
            missing.append(found[-1])
    return found, missing


def collect_others(folders: Iterable[Path], to: Path) -> None:
    """Put all further wheels of some folders into a folder, such as those of NumPy."""
    present = {path.name for path in to.glob("*.whl")}
    for folder in folders:
        for path in sorted(folder.glob("*.whl")):
            if path.name not in present and not path.name.startswith(("edgernn-", "pip-")):
                shutil.copy(path, to)


def _find(name: str, folders: Sequence[Path]) -> Path | None:
    """The newest wheel of a library for any machine."""
    wheels = [
        path
        for folder in folders
        for path in folder.glob("*-none-any.whl")
        if _normal(path.name.partition("-")[0]) == name
    ]
    return max(wheels, key=lambda path: _version_key(path.name.split("-")[1]), default=None)


def _download(spec: str, to: Path) -> Path | None:
    """Ask pip for a wheel; None if it cannot get one."""
    if not _has("pip"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input",
            "--disable-pip-version-check", "--only-binary=:all:", f"--python-version={_PYTHON}",
            "--implementation=py", "--abi=none", "--platform=any", f"--dest={folder}", spec,
        ]  # fmt: skip
        if _run(command, dict(os.environ)).returncode:
            return None
        (wheel,) = Path(folder).glob("*.whl")
        return Path(shutil.copy(wheel, to))


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The line of a build's output that says most."""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("ValueError:", "RuntimeError:"))]
    line = (told or lines or [f"exit code {done.returncode}"])[-1]
    return line if line.endswith(".") else f"{line}."


def _has(module: str) -> bool:
    return find_spec(module) is not None


def _search_path(package: str) -> list[str]:
    """Folders of a package, found without importing it."""
    spec = find_spec(package)
    return list(spec.submodule_search_locations or ()) if spec else []


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version_key(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)]


def _installed_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
