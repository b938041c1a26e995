"""Runs .tflite files in a process of their own: the TFLite runtimes cannot share one.

As a script (`runtimes.py FOLDER RUNTIME`) it runs every FOLDER/*.tflite over the codes in the
.npz beside it, with every kind of kernels, and writes what came out at every step.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from importlib import util
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNTIMES = ("tflite_runtime", "ai_edge_litert")
RESOLVERS = ("default", "no_delegate", "reference")

#: "y" and every state by name, int16 [T, width].
Stream = dict[str, npt.NDArray[np.int16]]


def require(*runtimes: str) -> None:
    """Skip the test where a runtime is missing."""
    for runtime in runtimes:
        if util.find_spec(runtime) is None:
            pytest.skip(f"needs {runtime}: pip install {runtime.replace('_', '-')}")


@lru_cache(maxsize=1)
def official_schema() -> ModuleType:
    """The generated TFLite schema that runtimes ship as one file, without importing a runtime."""
    inside = (("ai_edge_litert", "."), ("tensorflow", "lite/python"))
    for package, folder in inside:
        found = util.find_spec(package)
        for root in (found.submodule_search_locations or ()) if found else ():
            path = Path(root) / folder / "schema_py_generated.py"
            spec = util.spec_from_file_location("official_tflite_schema", path)
            if path.is_file() and spec and spec.loader:
                module = util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    pytest.skip("needs the TFLite schema: pip install ai-edge-litert")


def run_python(*arguments: str, timeout: float = 600) -> str:
    """Run this interpreter in a fresh process that sees the source tree; return its stdout."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    env["PYTHONPATH"] = os.pathsep.join(str(ROOT / p) for p in ("", "export", "firmware_sim"))
    done = subprocess.run(
        [sys.executable, *arguments],
        env=env, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout


def run_files(folder: Path, runtime: str, timeout: float = 600) -> dict[tuple[str, str], Stream]:
    """Streams of every FOLDER/*.tflite by (file stem, resolver)."""
    run_python(str(Path(__file__)), str(folder), runtime, timeout=timeout)
    results = {}
    for path in sorted(folder.glob("*.tflite")):
        for resolver in RESOLVERS:
            with np.load(folder / f"{path.stem}.{resolver}.out.npz") as arrays:
                results[path.stem, resolver] = dict(arrays)
    return results


def _main(folder: Path, runtime: str) -> None:
    from edgernn.backends.tflite import open_tflite

    for path in sorted(folder.glob("*.tflite")):
        q_xs = np.load(path.with_suffix(".npz"))["q_xs"]
        for resolver in RESOLVERS:
            backend = open_tflite(path, runtime, resolver)
            states = backend.interface.states
            record = {s.name: np.empty((len(q_xs), s.units), np.int16) for s in states}
            q_ys = np.empty((len(q_xs), backend.interface.output.width), np.int16)
            state = backend.interface.initial_state()
            for t, q_x in enumerate(q_xs):
                q_ys[t], state = backend.step(q_x, state)
                for array, vector in zip(record.values(), state, strict=True):
                    array[t] = vector
            again, last = backend.run(q_xs, backend.interface.initial_state())
            assert np.array_equal(again, q_ys), f"{path.stem}: run is not repeated step"
            assert all(np.array_equal(a, b) for a, b in zip(last, state, strict=True))
            np.savez(folder / f"{path.stem}.{resolver}.out.npz", y=q_ys, **record)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
