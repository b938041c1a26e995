"""Models that answer every R readings give the reference's bits on every backend (clause 6.9)."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

import edgernn
from edgernn.backends.native import isas
from edgernn.backends.onnx import OPTIMIZATIONS
from edgernn.backends.step_graph import step_ports
from edgernn.model.formats import Precision
from edgernn_export import export
from edgernn_export.verification.comparison import verify
from edgernn_export.verification.compiled_c import c_sources, run_self_test, run_stream
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from edgernn_firmware_sim.emulator.runner import reference_trace
from tests.exactness import test_zero_lsb_onnx, test_zero_lsb_tflite
from tests.exactness.twin.cells import Twin
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_codes
from tests.support.models.rates import RATES, strided_models, strided_network, windowed
from tests.support.native.compilers import SANITIZERS
from tests.support.native.compilers import require as require_tools
from tests.support.native.stream_programs import build, run, write_codes, write_sources
from tests.support.native.variants import runnable
from tests.support.runtimes import RUNTIMES, require

pytestmark = pytest.mark.sampled(2)

READINGS = 60
MODELS = strided_models()
WINDOWS = {k: m for model in MODELS.values() for k, m in windowed(model).items()}
PORTED = [name for name in MODELS if name.endswith("ports")]
ONNX_STEPS = dict.fromkeys(OPTIMIZATIONS, 30) | {"disabled": 4}
#: Each of the grid in one precision.
IN_C = {k: m for i, (k, m) in enumerate(MODELS.items()) if i % 2 == i * 2 // len(MODELS)}
#: The host with sanitizers, and another processor.
VARIANTS = [v for v in runnable() if v.name in ("portable", "neon")]


def answers_of_twin(model, codes):
    twin = Twin(model)
    answers = twin.answers if model.window is None else twin.window_answers
    return answers(codes.tolist())


def rated(model):
    """Values of states, and codes of a step."""
    return sum(spec.units for spec in model.states) + model.step_width


def test_tflite(tmp_path):
    require(*RUNTIMES)
    assert test_zero_lsb_tflite.compare(MODELS, tmp_path, 100) > 250_000


def test_onnx(tmp_path):
    assert test_zero_lsb_onnx.compare(MODELS, tmp_path, ONNX_STEPS) > 40_000


def test_every_instruction_set_of_the_native_backend():
    compared = 0
    for (name, model), isa in itertools.product((MODELS | WINDOWS).items(), isas()):
        codes = random_codes(model, READINGS)
        with (
            edgernn.load(model, "native", isa=isa) as session,
            edgernn.load(model, "reference") as reference,
        ):
            wanted = reference.run_codes(codes)
            got = session.run_codes(codes)
            assert np.array_equal(np.ma.filled(got, 0), np.ma.filled(wanted, 0)), (name, isa)
            assert np.array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(wanted))
            assert all(
                np.array_equal(a, b)
                for a, b in zip(session.state.values(), reference.state.values(), strict=True)
            )
            compared += wanted.size
    assert compared > 10_000


@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_sessions_over_files(form, tmp_path):
    """The twin's answers by way of a file: its inputs have the readings of a step each."""
    for name in (*PORTED, "strided-2-7-gru_before-w8a16", "strided-tokens-w8a8"):
        for index, model in enumerate((MODELS[name], *windowed(MODELS[name]).values())):
            path = export(model, tmp_path, [form], name=f"{name}-{index}")[form]
            codes = random_codes(model, 40)
            wanted = answers_of_twin(model, codes)
            answered = [t for t, y in enumerate(wanted) if y is not None]
            with edgernn.load(path) as session:
                assert session.interface.rate == model.rate
                got = session.run_codes(codes)
                assert got[answered].tolist() == [wanted[t] for t in answered]
                session.reset()
                steps = [session.step_codes(q_x) for q_x in codes]
                assert [steps[t].tolist() for t in answered] == got[answered].tolist()


def test_the_tensors_of_several_inputs_hold_the_readings_of_a_step():
    ports = step_ports(MODELS[PORTED[0]])
    assert [(t.name, t.width, t.place) for t in ports.inputs] == [
        ("b", 4, slice(0, 4)), ("a", 2, slice(4, 6)),
    ]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_c_on_every_variant_of_the_host(variant, tmp_path):
    """Outputs and all that is carried, after every reading."""
    require_tools(*variant.tools)
    checked = not variant.runner and variant.command[0] == "gcc"
    command = [*variant.command, "-std=c99", "-O2", *(SANITIZERS if checked else ())]
    program = build(command, write_sources(IN_C, tmp_path), tmp_path, variant.name)
    write_codes(IN_C, tmp_path / "codes", READINGS)
    got = run(program, tmp_path / "codes", variant.runner)
    differing = []
    for (name, model), given in zip(IN_C.items(), got, strict=True):
        wanted = reference_trace(model, random_codes(model, READINGS))
        words = wanted.shape[1] - model.step_width
        row = [("words", "<i2", (words,)), ("codes", model.code_dtype, (model.step_width,))]
        rows = np.frombuffer(given, np.dtype(row))
        assert len(rows) == READINGS
        found = np.concatenate([rows["words"], rows["codes"]], axis=1)
        if not np.array_equal(found, wanted):
            differing.append(name)
    assert differing == []


def test_c_says_which_readings_it_answers(tmp_path):
    """Of windows too; with the self-test of each."""
    require_tools("gcc")
    for name in ("strided-2-7-gru_before", "strided-4-6-None"):
        endless = MODELS[f"{name}-w8a8"]
        for key, model in (windowed(endless) | {name: endless}).items():
            sources = c_sources(export(model, tmp_path, ["c"], name=key)["c"])
            tested = run_self_test(sources)
            codes = random_codes(model, 40)
            assert (tested.status, tested.differing) == ("ran", 0), tested.message
            found = run_stream(sources, model, codes)
            assert (found.differing, found.passed) == (0, True)
            answered = sum(y is not None for y in answers_of_twin(model, codes))
            window = model.window
            carried = 2 + (window.steps * model.input.width if window else rated(model))
            assert found.outcomes[1].compared == (40 + answered * model.output.width + 40 * carried)


@pytest.mark.parametrize("rate", RATES[2:4], ids=str)
def test_the_self_test_finds_another_network(rate, tmp_path):
    require_tools("gcc")
    model = strided_network(Precision.W8A8, rate)
    other = strided_network(Precision.W8A8, rate, seed=5)
    folder = export(model, tmp_path, ["c"], name="one")["c"]
    tested = run_self_test(c_sources(folder))
    answers = rate.answers(max(8 * rate.readings, rate.first + 2 * rate.readings))
    assert (tested.differing, tested.compared) == (0, 2 * answers)
    vectors = write_c(other, golden_vector(other))["model_test_vectors.h"]
    (folder / "model_test_vectors.h").write_bytes(vectors)
    assert run_self_test(c_sources(folder)).differing > 0


@pytest.mark.parametrize("core", ["cortex-m4", "rv32imc"])
@pytest.mark.parametrize("name", ["strided-2-7-gru_before-w8a8", "strided-4-6-None-w8a16"])
def test_c_on_emulated_cores(core, name, tmp_path):
    window = next(iter(windowed(MODELS[name]).values()))
    for index, model in enumerate((MODELS[name], window)):
        folder = tmp_path / str(index)
        folder.mkdir()
        codes = probe_codes(model, READINGS, seed=5)
        sources = write_c(model, golden_vector(model))
        result = emulate(model, sources, core_named(core), codes, folder)
        assert (result.differing, result.first_difference) == (0, "")
        assert result.macs == model.macs * model.answer_steps
        assert result.struct_bytes >= model.state_bytes
        assert result.stack_bytes <= result.static_stack_bytes
        assert result.instructions.least < 100  # a reading that only goes into the step


def test_the_check_of_constants_has_the_row_before_the_stream(tmp_path):
    require_tools("gcc")
    model = MODELS["strided-2-1-lstm-w8a8"]
    folder = export(model, tmp_path, ["c"], name="one")["c"]
    text = (folder / "model.c").read_text()
    changed = text.replace("before_start[3] = {\n    -40,", "before_start[3] = {\n    -41,")
    assert changed != text
    (folder / "model.c").write_text(changed)
    assert "constants" in run_self_test(c_sources(folder)).message


def test_verify_compares_steps_and_what_the_model_answers():
    require("tflite_runtime")
    model = MODELS[PORTED[0]]
    found = verify(model, random_codes(model, 41), ["native", "tflite-runtime"])
    assert found.passed
    assert found.steps == 20
    states = sum(spec.units for spec in model.states)
    for outcome in found.outcomes:
        assert outcome.compared == 20 * (2 + states) + 41 * 2, outcome
    with pytest.raises(edgernn.EdgeRnnError, match="at least 2 readings, got 1"):
        verify(model, random_codes(model, 1), ["native"])


def test_a_model_that_answers_every_reading_has_no_rate_in_its_c():
    model = dataclasses.replace(strided_network(Precision.W8A8, RATES[3]), rate=None)
    sources = write_c(model, golden_vector(model))
    assert b"RATE" not in sources["model.h"]
    assert b"void model_step(" in sources["model.h"]
    rated = write_c(MODELS["strided-2-7-gru_before-w8a8"], golden_vector(model))["model.h"]
    for line in (
        b"#define MODEL_RATE_READINGS 2 ", b"#define MODEL_RATE_FIRST 7 ",
        b"#define MODEL_RATE_LATENCY 1 ", b"int32_t model_step(",
    ):  # fmt: skip
        assert line in rated


@pytest.mark.parametrize("package", [None, "arduino"])
def test_packages_compile_and_say_when_there_is_an_answer(package, tmp_path):
    require_tools("gcc")
    model = MODELS["strided-3-3-gru_after-w8a8"]
    path = export(model, tmp_path, ["c"], name="one", package=package, amalgamate=True)["c"]
    tested = run_self_test(c_sources(path))
    assert (tested.status, tested.differing) == ("ran", 0), tested.message
    if package:
        said = (path / "README.md").read_text()
        assert "one answer every 3 readings, the first after 3" in said
        assert "_step(&state, q_x, q_y) == 0)" in said
