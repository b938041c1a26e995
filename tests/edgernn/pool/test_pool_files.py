"""Pools over files for other runtimes, and the memory of a key."""

import dataclasses
import os
import random
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from edgernn import ClippedReadingsWarning, StreamPool
from edgernn.model.interface import Window
from tests.edgernn.pool.test_pool_lives import LIMITS, Life
from tests.support.models.integer import random_model
from tests.support.native.programs import require_native
from tests.support.runtimes import run_python

KEYS = 300_000


@pytest.mark.tf
@pytest.mark.parametrize("backend", ["tflite", "onnx"])
def test_lives_on_files_of_other_runtimes(tmp_path, backend):
    from edgernn_export import export

    endless = random_model("lstm")
    for seed, model in enumerate([endless, dataclasses.replace(endless, window=Window(steps=3))]):
        path = export(model, tmp_path, [backend], name=f"m{seed}")[backend]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ClippedReadingsWarning)
            limits = LIMITS[3] if seed else {}
            Life(random.Random(seed), model, backend, "hold", path, **limits).lead(25)


def overhead_bytes(**limits: int) -> float:
    """Resident bytes of a key, without its state and the object itself."""
    model = random_model("gru_after", inputs=8, units=32, outputs=1)
    keys, x = [f"sensor/{i:07d}" for i in range(KEYS)], np.zeros((1000, 8))

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    pool = StreamPool(model, "native", **limits)
    pool.step_many(["first"], x[:1])
    before = resident()
    for start in range(0, KEYS, 1000):
        pool.step_many(keys[start : start + 1000], x)
    return (resident() - before) / KEYS - pool.interface.state_bytes


@pytest.mark.device
@pytest.mark.parametrize("limit", ["none", "capacity"])
def test_memory_of_a_key(limit):
    require_native()
    # 56 bytes, 64 with a limit; resident memory is a few hundred kilobytes off.
    assert 32 < float(run_python(__file__, limit)) < 68


if __name__ == "__main__":
    print(overhead_bytes(**({"capacity": KEYS + 1} if sys.argv[1] == "capacity" else {})))
