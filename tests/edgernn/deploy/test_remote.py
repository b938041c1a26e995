"""Deployment over ssh, against an ssh on the path that runs its command here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgernn.deploy.remote import Remote
from edgernn.errors import DeployError
from tests.support.bundles import DEMO, make_demo_bundle, program

#: Writes down what it is asked and runs it; `fail` holds an exit code and a message.
SSH = """[ "$1" != -t ] || shift
echo "$1" >> "$HERE/hosts"
echo "$2" >> "$HERE/scripts"
if [ -e "$HERE/fail" ]; then tail -n +2 "$HERE/fail" >&2; exit "$(head -n 1 "$HERE/fail")"; fi
exec sh -c "$2" """
#: The folder where the device's install.sh and service would be is another one here.
SUDO = """echo "$*" >> "$HERE/as_root"
[ -z "$SUDO_FAILS" ] || { echo "sudo: a password is required" >&2; exit 1; }
echo "done as root: $(ls "$(dirname "${2%/*}/x")" 2>/dev/null | tr '\\n' ' ')" """


@pytest.fixture
def device(tmp_path, monkeypatch):
    """A folder with the programs of the device, whose user is not root."""
    programs = tmp_path / "bin"
    program(programs, "ssh", SSH)
    program(programs, "sudo", SUDO)
    program(programs, "id", "echo 1000")
    program(programs, "uname", 'cat "$HERE/machine"')
    program(programs, "python3", f'exec {sys.executable} "$@"')
    (tmp_path / "machine").write_text("aarch64\n")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HERE", str(tmp_path))
    monkeypatch.setenv("SUDO_FAILS", "")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def left_over(device):
    return [path for path in device.iterdir() if path.name.startswith("tmp.")]


@pytest.mark.parametrize(
    ("machine", "bits", "target"),
    [
        ("aarch64", 64, "aarch64"), ("aarch64", 32, "armv7l"), ("armv7l", 32, "armv7l"),
        ("armv6l", 32, "pure"), ("x86_64", 64, "x86_64"), ("riscv64", 64, "pure"),
    ],
)  # fmt: skip
def test_the_wheel_follows_from_the_processor_and_the_width_of_python(
    device, machine, bits, target
):
    (device / "machine").write_text(f"{machine}\n")
    program(device / "bin", "python3", f"echo {bits} 3 13")
    found = Remote("pi@raspberrypi").probe()
    assert (found.target, found.python, found.is_root) == (target, "3.13", False)
    assert (device / "hosts").read_text() == "pi@raspberrypi\n"


@pytest.mark.parametrize(
    ("python", "message"),
    [("echo 64 3 9", "expected Python 3.11 or newer, got 3.9."), ("exit 127", "got none. Run")],
)
def test_a_device_without_a_new_python_is_refused(device, python, message):
    program(device / "bin", "python3", python)
    with pytest.raises(DeployError, match=message):
        Remote("pi").probe()


def test_install_copies_the_bundle_runs_it_as_root_and_removes_the_copy(device, tmp_path):
    bundle = make_demo_bundle(tmp_path / "made")
    said = Remote("pi").install(bundle)
    for name in ("install.sh", "manifest.json", "model", "serve.toml", "wheels"):
        assert f" {name} " in said
    (command,) = (device / "as_root").read_text().splitlines()
    assert command.startswith("sh ")
    assert command.endswith("/install.sh")
    assert left_over(device) == []


def test_update_runs_the_command_of_the_service_with_the_model_and_its_vectors(device, tmp_path):
    (tmp_path / "v.npz").write_bytes(b"vectors")
    Remote("pi").update("soil", DEMO, tmp_path / "v.npz", new_states=True)
    (command,) = (device / "as_root").read_text().splitlines()
    python, *words = command.split()
    assert python == "/opt/edgernn/soil/release/venv/bin/python"
    assert words[:5] == ["-P", "-m", "edgernn", "deploy", "--model"]
    assert words[-3:] == ["--name", "soil", "--yes"]
    model, vectors = Path(words[5]), Path(words[7])
    assert (model.name, vectors.name) == ("model.edgernn", "vectors.npz")
    assert left_over(device) == []


@pytest.mark.parametrize(
    ("code", "text", "message"),
    [
        (255, "ssh: Could not resolve hostname pi", "got: ssh: Could not resolve hostname pi "
         "Check it with: ssh pi true"),
        (255, "pi@pi: Permission denied (publickey).", "expected a connection, got: pi@pi: Perm"),
        (127, "sh: 1: mktemp: not found", "to describe itself, got: sh: 1: mktemp: not found"),
    ],
)  # fmt: skip
def test_failures_of_ssh_are_told_with_what_it_said(device, code, text, message):
    (device / "fail").write_text(f"{code}\nWarning: first\n{text}\n")
    with pytest.raises(DeployError) as caught:
        Remote("pi").probe()
    assert message in str(caught.value)


def test_a_script_that_fails_is_told_and_the_copy_is_removed(device, tmp_path, monkeypatch):
    monkeypatch.setenv("SUDO_FAILS", "1")
    (tmp_path / "v.npz").write_bytes(b"vectors")
    with pytest.raises(DeployError, match="to switch to the model, got: sudo: a password is req"):
        Remote("pi").update("soil", DEMO, tmp_path / "v.npz", new_states=False)
    assert left_over(device) == []


def test_without_ssh_its_package_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DeployError, match="apt-get install openssh-client"):
        Remote("pi").probe()


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "a b"])
def test_hosts_that_are_options_are_refused(host):
    with pytest.raises(DeployError, match="--to: expected user@host"):
        Remote(host)


def test_a_device_that_never_ends_is_given_up(monkeypatch):
    def wait(*args, timeout, **options):
        raise subprocess.TimeoutExpired(args[0], timeout)

    monkeypatch.setattr(subprocess, "run", wait)
    with pytest.raises(DeployError, match="expected an end within 1800 s"):
        Remote("pi").probe()
