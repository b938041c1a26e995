"""Calibration over many streams and steps: statistics as step by step, in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from edgernn.model.formats import FloatArray
from edgernn_export.calibration.statistics import KEEP, calibrate
from edgernn_export.float_model import float_run
from edgernn_export.float_model.model import FloatModel
from tests.support.models.float import FLOAT_CELLS, float_model, stream

OPERANDS = {"x", "h_in", "r*h"}


def every_row(model: FloatModel, xs: FloatArray) -> dict[tuple[int, str], FloatArray]:
    """All tensors of one stream, step by step."""
    rows: dict[tuple[int, str], list[FloatArray]] = {}
    state = float_run.initial_state(model, 1)
    for x in xs:
        _, state = float_run.run(
            model, x[None, None], state, lambda i, n, v: rows.setdefault((i, n), []).append(v[0])
        )
    return {key: np.concatenate(values) for key, values in rows.items()}


def numbered(streams: int, steps: int) -> FloatArray:
    """Two channels that tell the stream and the step of a row."""
    grid = np.meshgrid(np.arange(streams), np.arange(steps), indexing="ij")
    return np.stack(grid, axis=-1).astype(np.float64)


@pytest.mark.parametrize("cell", FLOAT_CELLS)
def test_statistics_are_those_of_every_step(cell: str) -> None:
    model = float_model(cell, stack=2)
    streams = [stream(40, 3), stream(40, 3, seed=2), stream(25, 3, seed=3)]
    found = calibrate(model, [np.stack(streams[:2]), streams[2][None]])
    each = [every_row(model, xs) for xs in streams]
    for key, statistics in found.items():
        rows = np.concatenate([one[key] for one in each])
        assert np.allclose(statistics.low, rows.min(axis=0), rtol=0, atol=1e-12)
        assert np.allclose(statistics.high, rows.max(axis=0), rtol=0, atol=1e-12)
        rms = np.sqrt(np.square(rows).mean(axis=0))
        assert np.allclose(statistics.rms, rms, rtol=0, atol=1e-12)
        assert statistics.spread.size == 0
        if key[1] in OPERANDS | {KEEP}:
            assert np.allclose(statistics.sample, rows, rtol=0, atol=1e-12)
        else:
            assert statistics.sample.size == 0


def test_samples_of_all_operands_are_of_the_same_steps() -> None:
    """The second layer's input is the first one's state, one step after its carried state."""
    model = float_model("gru_before", inputs=2, units=4, stack=2)
    found = calibrate(model, [numbered(1, 35_000)[..., ::-1] / 35_000])
    steps = np.rint(found[0, "x"].sample[:, 0] * 35_000).astype(int)
    assert np.all(np.diff(steps) == 2)
    assert 1 << 14 <= len(steps) < 1 << 15
    rows = every_row(model, numbered(1, 30)[0, :, ::-1] / 35_000)
    for key, wanted in rows.items():
        if key[1] in OPERANDS:
            assert len(found[key].sample) == len(steps)
            assert np.allclose(found[key].sample[:15], wanted[::2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 60, 64])
def test_the_sample_of_many_windows_has_every_step_of_them(steps: int) -> None:
    windows = 240_000 // steps
    model = float_model("simple_rnn", inputs=2, units=2)
    sample = calibrate(model, [numbered(windows, steps)])[0, "x"].sample
    assert 1 << 13 <= len(sample) < 1 << 15
    _, counts = np.unique(sample[:, 1], return_counts=True)
    assert len(counts) == steps
    assert counts.max() <= 1.1 * counts.min() + 2
    assert len(np.unique(sample[:, 0])) > 0.5 * min(windows, len(sample))


def test_tensors_with_ranges_are_sampled_more_finely_where_asked_for() -> None:
    block = numbered(50, 3000)
    found = calibrate(float_model("lstm", inputs=2, units=4), [block], spread=True)
    assert np.array_equal(found[0, "x"].spread, block.reshape(-1, 2))
    assert len(found[0, "c"].spread) == 150_000
    assert len(found[0, "x"].sample) < 1 << 15
    assert {name for (_, name), seen in found.items() if seen.spread.size} == {"x", "h", "c", "y"}


def test_memory_does_not_grow_with_the_length_of_streams() -> None:
    model = float_model("lstm", inputs=2, units=64)
    peaks = []
    for steps in (500, 2000):
        block = np.zeros((64, steps, 2))
        tracemalloc.start()
        calibrate(model, [block])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 60e6
    assert peaks[1] < 1.1 * peaks[0]


def test_progress_counts_every_step_of_every_stream() -> None:
    done: list[int] = []
    model = float_model("gru_after")
    calibrate(model, [np.zeros((3000, 7, 3)), np.zeros((1, 500, 3))], done.append)
    assert sum(done) == 3000 * 7 + 500
    assert len(done) > 2
