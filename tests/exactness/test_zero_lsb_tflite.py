"""The .tflite file gives the reference's bits: every output and state of every step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.tflite.writer import write_tflite
from tests.support.models.grid import SEED, grid, reference_stream, special
from tests.support.models.integer import CELLS, random_codes, random_model, step_codes
from tests.support.runtimes import RESOLVERS, RUNTIMES, require, run_files

STEPS = 300
LONG_STEPS = 10_000


def compare(models: dict[str, IntegerModel], folder: Path, steps: int) -> int:
    """Number of values compared; fails with the differing ones per file, runtime and kernels."""
    expected = {}
    for name, model in models.items():
        (folder / f"{name}.tflite").write_bytes(write_tflite(model))
        q_xs = step_codes(model, steps)
        np.savez(folder / f"{name}.npz", q_xs=q_xs)
        expected[name] = reference_stream(model, q_xs)
    differing, compared = {}, 0
    for runtime in RUNTIMES:
        results = run_files(folder, runtime)
        assert len(results) == len(models) * len(RESOLVERS)
        for (name, resolver), stream in results.items():
            assert stream.keys() == expected[name].keys()
            for tensor, values in stream.items():
                assert values.shape == expected[name][tensor].shape
                wrong = int(np.count_nonzero(values != expected[name][tensor]))
                compared += values.size
                if wrong:
                    differing[name, runtime, resolver, tensor] = wrong
    assert differing == {}
    return compared


@pytest.mark.parametrize("models", [grid, special], ids=["grid", "special"])
def test_zero_lsb(models, tmp_path):
    require(*RUNTIMES)
    assert compare(models(), tmp_path, STEPS) > 1_500_000


def test_the_streams_reach_both_signs_and_saturate():
    models = {n: m for n, m in grid().items() if "relu" not in n}
    for name, model in models.items():
        stream = reference_stream(model, random_codes(model, STEPS))
        assert stream["y"].min() < 0 < stream["y"].max(), name
        if "hostile" in name:
            h = stream[model.states[0].name]
            assert (h.min() < -32000, h.max() > 32000) == (True, True), name
    for precision in Precision:
        model = special()[f"lstm-{precision.value}-e14"]
        c = reference_stream(model, random_codes(model, STEPS))["lstm_0.c"]
        assert (c.min(), c.max()) == (-32768, 32767)


# test_zero_lsb_matrix.py has streams of this length in every run.
@pytest.mark.long
@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("cell", CELLS)
def test_zero_lsb_over_long_streams(cell, precision, tmp_path):
    require(*RUNTIMES)
    stem = f"{cell}-{precision.value}"
    models = {n: m for n, m in grid().items() if n.startswith(f"{stem}-")}
    models[f"{stem}-stack3"] = random_model(cell, precision, stack=3, units=16, seed=SEED)
    assert len(models) == 5
    assert compare(models, tmp_path, LONG_STEPS) > 6_000_000
