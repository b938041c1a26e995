"""The wheel holds the three packages, their documents and data, and nothing else."""

import os
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import edgernn

ROOT = Path(__file__).parents[2]
PACKAGES = {"edgernn", "edgernn_export", "edgernn_firmware_sim"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return HeaderParser().parsestr(archive.read(name).decode())


def test_top_level_names_are_ours(names):
    top_level = {name.partition("/")[0] for name in names}
    assert {name for name in top_level if not name.endswith(".dist-info")} == PACKAGES


@pytest.mark.parametrize(
    "wanted",
    [
        "edgernn/__init__.py",
        "edgernn/py.typed",
        "edgernn/container/FORMAT.md",
        "edgernn/data/demo.edgernn",
        "edgernn/native/edgernn_kernels.h",
        "edgernn/native/edgernn_lstm.c",
        "edgernn/native/common/lanes.h",
        "edgernn/native/isa/mve/affine.h",
        "edgernn_export/__init__.py",
        "edgernn_export/py.typed",
        "edgernn_export/recipes/hapt.py",
        "edgernn_firmware_sim/__init__.py",
        "edgernn_firmware_sim/py.typed",
        "edgernn_firmware_sim/NUMERICS.md",
        "edgernn_firmware_sim/emulator/firmware/harness.c",
        "edgernn_firmware_sim/emulator/plugin/insn_count.c",
        "edgernn_firmware_sim/targets/cores/cortex-m4.toml",
    ],
)
def test_modules_documents_and_data_are_inside(names, wanted):
    assert wanted in names


def test_no_caches_no_tests_and_nothing_that_builds_are_inside(names):
    strange = ("__pycache__", "/test_", "edgernn/extension")
    assert [n for n in names if any(part in n for part in strange)] == []


def test_license_is_inside(names, metadata):
    assert metadata["License-Expression"] == "Apache-2.0"
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_plain_install_needs_numpy_alone(metadata):
    plain = [r for r in metadata.get_all("Requires-Dist") if "extra ==" not in r]
    assert plain == ["numpy>=1.24"]


def test_tflite_extra_picks_the_runtime_by_python_version(metadata):
    rows = {
        row.partition(";")[0]: row.partition(";")[2].replace('"', "'").strip()
        for row in metadata.get_all("Requires-Dist")
        if "extra == 'tflite'" in row.replace('"', "'")
    }
    older, newer = "(python_version < '3.12')", "(python_version >= '3.12')"
    assert {name: rule.replace(" and extra == 'tflite'", "") for name, rule in rows.items()} == {
        "tflite-runtime==2.14.0": older,
        "numpy<2": older,
        "ai-edge-litert>=2.0": newer,
    }


def test_version_is_stated_once_and_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert edgernn.__version__ == project["version"]


def test_console_script_exists(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/entry_points.txt")]
        assert "edgernn = edgernn.cli:main" in archive.read(name).decode()


#: Streams the packaged model from the unpacked wheel and names what that loaded.
RUN_DEMO = """
import pathlib, sys
import numpy.random
before = set(sys.modules)
import edgernn.cli
assert edgernn.cli.main(["run", "--model", "demo"]) == 0
assert edgernn.cli.main(["info", "--model", "demo"]) == 0
assert pathlib.Path(edgernn.__file__).is_relative_to(sys.argv[1]), edgernn.__file__
print(*sorted({m.partition(".")[0] for m in set(sys.modules) - before}))
"""


def test_packaged_model_runs_from_the_wheel_on_numpy_alone(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", RUN_DEMO, tmp_path],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        input="0.3\n0.1\n-0.2\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *said, loaded = done.stdout.splitlines()
    assert all(abs(float(line)) < 10 for line in said[:3])
    assert said[3].startswith("co2_forecaster")
    floors = {"edgernn", "edgernn_firmware_sim"}
    assert set(loaded.split()) - sys.stdlib_module_names <= {"numpy"} | floors


def test_check_wheel_contents_agrees(wheel):
    done = subprocess.run(
        [sys.executable, "-m", "check_wheel_contents", str(wheel)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_same_tree_gives_the_same_wheel(wheel, tmp_path):
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path]
    subprocess.run([*command, ROOT], check=True, capture_output=True)
    (again,) = tmp_path.glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()
