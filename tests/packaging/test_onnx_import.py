"""The extra [onnx-import] in an environment of its own: its size, and the way to every format."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from tests.support.models.onnx_recurrent import matrices, one_operator

ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000
#: What pip installs, without the bytecode that Python makes of it; and without NumPy.
MOST_MEGABYTES = 100
MOST_BESIDE_NUMPY = 50
#: None of them comes along.
FRAMEWORKS = ("tensorflow", "keras", "torch", "jax", "h5py", "scipy")

SIZES = """
import importlib.metadata as metadata, json
sizes = {}
for one in metadata.distributions():
    files = [file.locate() for file in one.files or () if file.suffix != ".pyc"]
    sizes[one.name] = sum(path.stat().st_size for path in files if path.is_file())
print(json.dumps(sizes))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment with [onnx-import] alone."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    pip = [interpreter, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, f"{ROOT}[onnx-import]"], check=True, cwd=folder)
    return interpreter


@pytest.mark.long
def test_the_environment_is_small(python):
    text = subprocess.run([python, "-c", SIZES], check=True, capture_output=True, text=True).stdout
    sizes = {name: size / MEGABYTE for name, size in json.loads(text).items()}
    for tool in ("pip", "setuptools"):  # of the empty environment
        sizes.pop(tool, None)
    assert not set(sizes) & set(FRAMEWORKS)
    assert sum(sizes.values()) < MOST_MEGABYTES, sizes
    assert sum(sizes.values()) - sizes["numpy"] < MOST_BESIDE_NUMPY, sizes


@pytest.mark.long
def test_a_network_goes_all_the_way(python, tmp_path):
    model = one_operator("LSTM", matrices("LSTM", 2, 5, seed=3))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    streams = np.random.default_rng(1).normal(size=(2, 400, 2)).astype(np.float32)
    np.save(tmp_path / "xs.npy", streams)
    for line in (
        "info m.onnx",
        "quantize m.onnx --calibration xs.npy --stream endless --report -o m.edgernn",
        "verify m.edgernn --steps 200",
        "export m.edgernn --to tflite,onnx,c -o build",
        "evaluate m.edgernn --data xs.npy --float m.onnx",
        "bench m.edgernn --float m.onnx --rounds 1",
    ):
        command = [python, "-m", "edgernn", *line.split()]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
    for name in ("m.tflite", "m.onnx"):
        ours = [sys.executable, "-m", "edgernn", "verify", f"build/{name}", "--model", "m.edgernn"]
        path = f"{ROOT}:{ROOT / 'export'}:{ROOT / 'firmware_sim'}"
        done = subprocess.run(
            ours, cwd=tmp_path, env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
