"""Install and update a service on another machine, over ssh."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgernn.deploy.layout import ServicePlace
from edgernn.errors import DeployError

#: What ssh returns if it cannot reach the machine or log in.
_SSH_FAILED: Final = 255
_TIMEOUT_S: Final = 1800
_PROBE: Final = """\
uname -m
python3 -c 'import struct, sys; print(8 * struct.calcsize("P"), *sys.version_info[:2])' || echo none
id -u
"""
#: Runs a command as root, with sudo where the user is another one.
_AS_ROOT: Final = 'if [ "$(id -u)" = 0 ]; then {command}; else sudo {command}; fi'


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteMachine:
    """What a device told about itself.

    Attributes:
        target: the key of `edgernn.deploy.wheels.TARGETS` that fits it.
        python: its version, as "3.11".
        is_root: whether the user is root.
    """

    target: str
    python: str
    is_root: bool


class Remote:
    """A device that ssh reaches.

    Args:
        host: as ssh takes it: a name of its config, user@host, or ssh://user@host:port.
    """

    def __init__(self, host: str) -> None:
        """Check the name of the host."""
        if not host or host.startswith("-") or any(c.isspace() for c in host):
            raise DeployError(
                f"--to: expected user@host, got '{host:.60}'. "
                "Pass, for example, --to pi@raspberrypi."
            )
        self.host = host

    def probe(self) -> RemoteMachine:
        """Ask the device what it is.

        Raises:
            DeployError: ssh does not reach it, or it has no Python 3.11.
        """
        lines = self._run(_PROBE, "describe itself").split("\n")
        machine, python, user = [*lines, "", "", ""][:3]
        if python == "none" or not python:
            raise DeployError(
                f"{self.host}: expected Python 3.11 or newer, got none. "
                "Run there: sudo apt-get install python3"
            )
        bits, major, minor = map(int, python.split())
        if (major, minor) < (3, 11):
            raise DeployError(
                f"{self.host}: expected Python 3.11 or newer, got {major}.{minor}. "
                "Install Debian 12 or newer there."
            )
        small = {"aarch64": "armv7l", "armv8l": "armv7l"}  # 32-bit systems on a 64-bit kernel
        target = small.get(machine, machine) if bits == 32 else machine
        known = ("aarch64", "armv7l", "x86_64")
        return RemoteMachine(
            target=target if target in known else "pure",
            python=f"{major}.{minor}",
            is_root=user == "0",
        )

    def install(self, bundle: Path) -> str:
        """Copy a bundle and run its install.sh.

        Returns:
            What the script said.

        Raises:
            DeployError: a step failed; the message ends with what the device said.
        """
        folder = self._send({path: str(path.relative_to(bundle)) for path in _files(bundle)})
        script = f"sh {shlex.quote(folder)}/install.sh"
        try:
            return self._run_as_root(script, "install the bundle")
        finally:
            self._run(f"rm -rf {shlex.quote(folder)}", "remove the copy")

    def update(self, name: str, model: Path, vectors: Path, *, new_states: bool) -> str:
        """Copy a model and let the device switch to it.

        Args:
            name: of the service.
            model: the new model.
            vectors: its test vectors.
            new_states: streams may start from zero.

        Returns:
            What the device said.

        Raises:
            DeployError: a step failed; the message ends with what the device said.
        """
        folder = self._send({model: "model.edgernn", vectors: "vectors.npz"})
        here = shlex.quote(folder)
        command = (
            f"{ServicePlace(name=name).python} -P -m edgernn deploy "
            f"--model {here}/model.edgernn "
            f"--vectors {here}/vectors.npz --name {name}{' --yes' * new_states}"
        )
        try:
            return self._run_as_root(command, "switch to the model")
        finally:
            self._run(f"rm -rf {here}", "remove the copy")

    def _send(self, files: dict[Path, str]) -> str:
        """Copy files into a new folder of the device, and return its path."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz", compresslevel=1) as archive:
            for path, name in files.items():
                archive.add(path, name)
        script = 'd=$(mktemp -d) && chmod 755 "$d" && tar -xzf - -C "$d" && echo "$d"'
        return self._run(script, "take the files", content.getvalue()).strip()

    def _run_as_root(self, command: str, purpose: str) -> str:
        return self._run(_AS_ROOT.format(command=command), purpose, terminal=sys.stdin.isatty())

    def _run(
        self, script: str, purpose: str, given: bytes | None = None, *, terminal: bool = False
    ) -> str:
        """Run a script of sh on the device and return its output."""
        options = ["-t"] if terminal else []
        try:
            done = subprocess.run(
                ["ssh", *options, self.host, script],
                input=given, stdin=None if terminal or given is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=None if terminal else subprocess.PIPE,
                check=False, timeout=_TIMEOUT_S,
            )  # fmt: skip
        except FileNotFoundError:
            raise DeployError(
                "--to: expected the program ssh, got none. Run: sudo apt-get install openssh-client"
            ) from None
        except subprocess.TimeoutExpired:
            raise DeployError(
                f"{self.host}: expected an end within {_TIMEOUT_S} s when asked to {purpose}, got "
                "none. Look at the device, and try again."
            ) from None
        said = done.stdout.decode(errors="replace")
        if done.returncode == 0:
            return said
        told = (done.stderr or b"").decode(errors="replace").strip().splitlines()
        last = (told or said.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        if done.returncode == _SSH_FAILED:
            raise DeployError(
                f"{self.host}: expected a connection, got: {last} "
                f"Check it with: ssh {shlex.quote(self.host)} true"
            )
        raise DeployError(f"{self.host}: expected the device to {purpose}, got: {last}")


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]
