"""From an ONNX file to every format, with no framework that trains networks to be found."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgernn.backends.tflite_file import parse_metadata
from tests.support.models.onnx_recurrent import matrices, one_operator

ROOT = Path(__file__).parents[3]
#: What is not in an installation of [onnx-import], and a runtime of each format.
MISSING = (
    "ai_edge_litert", "flax", "h5py", "jax", "keras", "matplotlib", "optuna", "pandas",
    "safetensors", "scipy", "sklearn", "statsmodels", "tensorflow", "torch",
)  # fmt: skip
BLOCKER = f"""
import importlib.abc, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {MISSING!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

sys.meta_path.insert(0, Blocker())
"""
COMMANDS = """
import sys
from edgernn.cli import main
for line in sys.stdin.read().splitlines():
    code = main(line.split())
    print(f"[{line}] {code}", flush=True)
    if code:
        sys.exit(code)
print(sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[1:])))
"""


@pytest.fixture
def folder(tmp_path):
    """An ONNX model, streams for it, and a finder that hides the frameworks from all processes."""
    model = one_operator("GRU", matrices("GRU", 3, 6, seed=4), linear_before_reset=1)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    streams = np.random.default_rng(0).normal(size=(4, 300, 3)).astype(np.float32)
    np.save(tmp_path / "xs.npy", streams)
    (tmp_path / "blocker").mkdir()
    (tmp_path / "blocker" / "sitecustomize.py").write_text(BLOCKER, encoding="utf-8")
    return tmp_path


def run(folder, *lines):
    places = (folder / "blocker", ROOT, ROOT / "export", ROOT / "firmware_sim")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, places))}
    return subprocess.run(
        [sys.executable, "-c", COMMANDS, *MISSING],
        input="\n".join(lines), cwd=folder, env=environment, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip


def test_an_onnx_file_goes_all_the_way(folder):
    done = run(
        folder,
        "quantize m.onnx --calibration xs.npy --stream endless --report -o m.edgernn",
        "info m.edgernn",
        "verify m.edgernn --steps 100 --backends tflite-runtime,onnxruntime",
        "export m.edgernn --to tflite,onnx,c -o build",
        "verify build/m.tflite --model m.edgernn --steps 100 --backends tflite-runtime",
        "verify build/m.onnx --model m.edgernn --steps 100",
        "evaluate m.edgernn --data xs.npy --float m.onnx",
        "sensitivity m.onnx --calibration xs.npy",
        "inspect m.onnx --memory --steps 50",
        "bench m.edgernn --float m.onnx --backends reference,onnxruntime --rounds 1",
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "[]"
    assert parse_metadata((folder / "build" / "m.tflite").read_bytes(), "m.tflite")
    assert list((folder / "build").glob("**/*.h"))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("quantize m.keras --calibration xs.npy -o k.edgernn", "h5py: expected an installed"),
        ("prune m.keras --inputs -o n.keras", "keras: expected an installed package, got none."),
    ],
)
def test_what_needs_keras_says_so(folder, line, text):
    (folder / "m.keras").write_bytes(b"\x89HDF\r\n\x1a\n")
    done = run(folder, line)
    assert done.returncode == 2
    assert text in done.stderr
    assert "[export]" in done.stderr
