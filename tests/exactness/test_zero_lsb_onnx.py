"""The exact .onnx file gives the reference's bits: every output and state of every step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgernn.backends.onnx import OPTIMIZATIONS, open_onnx
from edgernn.model.affine import Affine8
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.onnx.writer import write_onnx_exact
from tests.support.models.grid import SEED, grid, reference_stream, special
from tests.support.models.integer import CELLS, random_codes, random_model, step_codes
from tests.support.runtimes import Stream

STEPS = 300
LONG_STEPS = 10_000
#: Without optimization every step computes the lookup tables anew, in 30 times the time;
#: test_zero_lsb_matrix.py has long streams of that level too.
UNOPTIMIZED_STEPS = 60
LONG_UNOPTIMIZED_STEPS = 1_000


def shifts() -> dict[str, IntegerModel]:
    """Every `w8a8` shift: those that leave room for saturation and those that do not."""
    models = {}
    for cell in CELLS:
        base = random_model(cell, kind="hostile", seed=SEED)
        for shift in (1, 3, 13, 14, 15, 16, 17, 18, 22, 28):
            layers = []
            for layer in base.layers:
                changed = {}
                for name, affine in layer.affines.items():
                    assert isinstance(affine, Affine8)
                    changed[name] = replace(affine, shift=shift)
                layers.append(replace(layer, **changed))
            models[f"{cell}-w8a8-shift{shift}"] = replace(base, layers=tuple(layers))
    return models


def compare(models: dict[str, IntegerModel], folder: Path, steps: dict[str, int]) -> int:
    """Number of values compared; fails with the differing ones per file and optimization.

    Args:
        models: by name.
        folder: for the files.
        steps: length of the stream by optimization level.
    """
    differing, compared = {}, 0
    for name, model in models.items():
        path = folder / f"{name}.onnx"
        path.write_bytes(write_onnx_exact(model))
        q_xs = step_codes(model, max(steps.values()))
        expected = reference_stream(model, q_xs)
        for optimization, count in steps.items():
            got = backend_stream(path, optimization, q_xs[:count])
            for tensor, values in got.items():
                assert values.shape == expected[tensor][:count].shape
                compared += values.size
                wrong = int(np.count_nonzero(values != expected[tensor][:count]))
                if wrong:
                    differing[name, optimization, tensor] = wrong
    assert differing == {}
    return compared


def backend_stream(path: Path, optimization: str, q_xs: np.ndarray) -> Stream:
    """Output and state at every step; `run` over the first steps must give the same."""
    backend = open_onnx(path, optimization)
    interface = backend.interface
    stream: Stream = {"y": np.empty((len(q_xs), interface.output.width), np.int16)}
    for spec in interface.states:
        stream[spec.name] = np.empty((len(q_xs), spec.units), np.int16)
    state = interface.initial_state()
    for t, q_x in enumerate(q_xs):
        q_y, state = backend.step(q_x, state)
        for array, values in zip(stream.values(), (q_y, *state), strict=True):
            array[t] = values
    head = min(len(q_xs), STEPS)
    again, last = backend.run(q_xs[:head], interface.initial_state())
    for name, values in zip(stream, (again[-1], *last), strict=True):
        assert np.array_equal(values, stream[name][head - 1]), f"{path.stem}: run of {name}"
    assert np.array_equal(again, stream["y"][:head]), f"{path.stem}: run is not repeated step"
    backend.close()
    return stream


@pytest.mark.parametrize(
    "models",
    [
        pytest.param(grid, marks=pytest.mark.long),  # test_zero_lsb_matrix.py has the like
        special,
        shifts,
    ],
    ids=["grid", "special", "shifts"],
)
def test_zero_lsb(models, tmp_path):
    steps = dict.fromkeys(OPTIMIZATIONS, STEPS) | {"disabled": UNOPTIMIZED_STEPS}
    assert compare(models(), tmp_path, steps) > 500_000


@pytest.mark.parametrize("precision", Precision, ids=[p.value for p in Precision])
@pytest.mark.parametrize("cell", CELLS)
def test_the_definition_of_the_operators_gives_the_same_bits(cell, precision):
    from onnx import load_from_string
    from onnx.reference import ReferenceEvaluator

    model = random_model(cell, precision, kind="hostile", seed=SEED)
    evaluator = ReferenceEvaluator(load_from_string(write_onnx_exact(model)))
    q_xs = random_codes(model, 20)
    expected = reference_stream(model, q_xs)
    state = {spec.name: np.zeros((1, spec.units), np.int16) for spec in model.states}
    for t in range(len(q_xs)):
        q_y, *new = evaluator.run(None, {"x": q_xs[t : t + 1], **state})
        state = dict(zip(state, new, strict=True))
        assert np.array_equal(q_y[0], expected["y"][t])
        for name, values in state.items():
            assert (values.dtype, values.tolist()) == (np.int16, [expected[name][t].tolist()])


# test_zero_lsb_matrix.py has streams of this length in every run.
@pytest.mark.long
@pytest.mark.parametrize("cell", CELLS)
def test_zero_lsb_over_long_streams(cell, tmp_path):
    models = {n: m for n, m in grid().items() if n.rsplit("-", 3)[0] == cell}
    for p in Precision:
        models[f"{cell}-{p.value}-stack3"] = random_model(cell, p, stack=3, units=16, seed=SEED)
    assert len(models) == 10
    steps = dict.fromkeys(OPTIMIZATIONS, LONG_STEPS) | {"disabled": LONG_UNOPTIMIZED_STEPS}
    assert compare(models, tmp_path, steps) > 6_000_000
