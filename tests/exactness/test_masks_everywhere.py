"""Masked steps are left out, and the last output stands, on every back-end (clause 6.13)."""

from __future__ import annotations

import numpy as np
import pytest

import edgernn
from edgernn.backends.native import is_available
from edgernn_export import export
from edgernn_export.verification.compiled_c import c_sources, run_self_test, run_stream
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector
from edgernn_firmware_sim.emulator import emulate
from edgernn_firmware_sim.reference.reference import Reference
from tests.exactness.twin.masked import masked_run, masked_windows
from tests.support.models.hand_made import core_named
from tests.support.models.masked import masked_codes, masked_models
from tests.support.native.compilers import require

STEPS = 40
MODELS = masked_models()
FILES = ["gru_after-w8a16", "merges", "tokens", "window-3-2"]
IN_C = ["gru_after-w8a16", "tokens", "window-3-2"]


def wanted(model, codes):
    """Outputs [T, O] by the twin; masked where there is none yet."""
    if model.window is None:
        return np.ma.array(masked_run(model, codes.tolist()))
    rows, unknown, last = [], [], None
    for y in masked_windows(model, codes.tolist()):
        last = last if y is None else y
        rows.append(last or [0] * model.output.width)
        unknown.append([last is None] * model.output.width)
    return np.ma.array(rows, mask=unknown)


@pytest.mark.parametrize("name", MODELS)
def test_the_output_before_the_first_step_is_that_of_zeros(name):
    model = MODELS[name]
    assert Reference(model).masked_output() == model.output.masked


@pytest.mark.parametrize("backend", ["reference", *["native"] * is_available()])
@pytest.mark.parametrize("name", MODELS)
def test_python(name, backend):
    model = MODELS[name]
    codes = masked_codes(model, STEPS)
    want = wanted(model, codes)
    with edgernn.load(model, backend) as session:
        got = session.run_codes(codes)
        assert np.array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(want))
        assert np.array_equal(np.ma.filled(got, 0), want.filled(0))
        session.reset()
        one_by_one = [np.ma.filled(session.step_codes(q_x), 0) for q_x in codes]
        assert np.array_equal(one_by_one, want.filled(0))


@pytest.mark.parametrize("name", FILES)
def test_files(name, tmp_path):
    model = MODELS[name]
    codes = masked_codes(model, STEPS, seed=3)
    want = wanted(model, codes).filled(0)
    for backend, path in export(model, tmp_path, ("tflite", "onnx")).items():
        with edgernn.load(path, backend) as session:
            assert session.interface.input.mask == model.input.mask
            assert np.array_equal(np.ma.filled(session.run_codes(codes), 0), want)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in IN_C)) for name in MODELS]
)
def test_c_on_this_computer(name, tmp_path):
    require("cc")
    model = MODELS[name]
    sources = c_sources(export(model, tmp_path, ("c",))["c"])
    tested = run_self_test(sources)
    assert (tested.status, tested.differing) == ("ran", 0)
    found = run_stream(sources, model, masked_codes(model, STEPS, seed=4))
    assert found.passed and found.outcomes[1].compared > STEPS * model.output.width


@pytest.mark.slow
@pytest.mark.parametrize("name", ["merges", "window-4-1"])
def test_c_on_a_cortex_m4(name, tmp_path):
    model = MODELS[name]
    codes = masked_codes(model, 20, seed=5)
    sources = write_c(model, golden_vector(model))
    result = emulate(model, sources, core_named("cortex-m4"), codes, tmp_path)
    assert (result.differing, result.first_difference) == (0, "")
