"""What is installed, and the command for what is not."""

import json
import re
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgernn import install
from edgernn.cli import components, main
from edgernn.errors import BackendUnavailable
from edgernn_firmware_sim.emulator.tools import PACKAGES

pytestmark = pytest.mark.device

ROOT = Path(__file__).parents[3]
SITE = "/venv/site-packages"


def installed(monkeypatch, record, package):
    """An installation with a record of pip, and the package that runs."""
    text = None if record is None else json.dumps(record)
    found = SimpleNamespace(read_text=lambda name: text, locate_file=lambda name: SITE)
    monkeypatch.setattr(metadata, "distribution", lambda name: found)
    monkeypatch.setattr(install, "__file__", f"{package}/edgernn/install.py")


@pytest.mark.parametrize(
    ("record", "package", "wanted"),
    [
        (
            {"url": "file:///src/a%20b/edgernn", "dir_info": {"editable": True}},
            "/src/a b/edgernn",
            "pip install -e '/src/a b/edgernn[tflite]'",
        ),
        (
            {"url": "file:///src/edgernn", "dir_info": {}},
            SITE,
            "pip install '/src/edgernn[tflite]'",
        ),
        (
            {"url": "file:///dist/edgernn-0.1.0-py3-none-any.whl", "archive_info": {}},
            SITE,
            "pip install '/dist/edgernn-0.1.0-py3-none-any.whl[tflite]'",
        ),
        (
            {"url": "https://host/edgernn", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            SITE,
            "pip install 'edgernn[tflite] @ git+https://host/edgernn'",
        ),
        (None, SITE, "pip install 'edgernn[tflite]'"),
        # The record is of another copy than the one that runs.
        (
            {"url": "file:///other", "dir_info": {"editable": True}},
            SITE,
            "pip install 'edgernn",
        ),
    ],
)
def test_the_hint_fits_the_installation(monkeypatch, record, package, wanted):
    installed(monkeypatch, record, package)
    assert install.hint("tflite").startswith(wanted)


def test_a_clone_that_runs_without_installation(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    if not (ROOT / "pyproject.toml").is_file() or Path(install.__file__).parents[1] != ROOT:
        pytest.skip("the package under test is not the one of this clone")
    monkeypatch.chdir("/")
    assert install.hint("onnx") == f"pip install -e '{ROOT}[onnx]'"
    monkeypatch.chdir(ROOT)
    assert install.hint() == "pip install -e '.'"


def test_nothing_else_writes_install_commands():
    packages = (ROOT / "edgernn", ROOT / "export", ROOT / "firmware_sim")
    own = {"install.py"}
    found = [
        path.name
        for package in packages
        for path in package.rglob("*.py")
        if path.name not in own and re.search(r"pip install '?edgernn", path.read_text())
    ]
    assert found == []


def test_all_is_reported_as_json(capsys):
    assert main(["doctor", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record) == {
        "edgernn", "installation", "python", "executable", "system", "processors", "components",
    }  # fmt: skip
    found = {component["name"]: component for component in record["components"]}
    assert found["reference"]["status"] == "ok"
    assert found["reference"]["version"] == f"NumPy {metadata.version('numpy')}"
    for component in found.values():
        assert component["status"] in ("ok", "missing", "broken")
        assert component["purpose"]


def test_missing_parts_are_named_with_their_commands(monkeypatch, capsys):
    monkeypatch.setattr(components, "find_spec", lambda name: None)
    monkeypatch.setattr(components.shutil, "which", lambda name: None)
    monkeypatch.setattr(components.os, "geteuid", lambda: 1000)
    monkeypatch.delenv("EDGERNN_DATA", raising=False)
    monkeypatch.setattr(
        "edgernn.backends.native.isas", lambda: (_ for _ in ()).throw(BackendUnavailable("no"))
    )
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^missing +native", out, re.MULTILINE)
    for command in (
        f"  {install.hint('onnx')}\n      onnxruntime",
        f"  {install.hint('export')}\n      tensorflow, keras, h5py, matplotlib, optuna",
        f"  {install.hint('onnx-import')}\n      onnx, flatbuffers, tqdm",
        "  sudo apt-get install gcc libc6-dev gcc-arm-none-eabi gcc-riscv64-linux-gnu "
        "qemu-system-arm qemu-system-misc\n      C compiler, arm-none-eabi-gcc, riscv64",
        "  export EDGERNN_DATA=FOLDER\n",
        "sudo apt-get install gcc libc6-dev",
        f"&& {install.hint()} --force-reinstall --no-deps\n      native",
    ):
        assert command in out


def test_what_is_broken_is_explained(monkeypatch, capsys):
    monkeypatch.setenv("EDGERNN_DATA", "/no/such/folder")
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^broken +EDGERNN_DATA", out, re.MULTILINE)
    assert "EDGERNN_DATA: It names '/no/such/folder', which is not a folder." in out


@pytest.mark.parametrize(
    ("variable", "file", "wanted"),
    [("jax", None, "jax"), (None, '{"backend": "torch"}', "torch"), (None, None, "tensorflow")],
)
def test_the_back_end_of_keras(monkeypatch, tmp_path, variable, file, wanted):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if variable:
        monkeypatch.setenv("KERAS_BACKEND", variable)
    if file:
        (tmp_path / "keras.json").write_text(file)
    assert components._keras_backend() == wanted


def test_packages_are_those_of_the_emulator():
    assert {name: packages for name, (packages, _) in components._PROGRAMS.items()} == {
        name: packages for name, packages in PACKAGES.items() if name != "gcc"
    }
