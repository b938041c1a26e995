"""A cell with normalizations, in every program: the reference's bits, and the twin's."""

from __future__ import annotations

import ctypes
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgernn.backends import native
from edgernn.backends.native import NativeBackend, isas
from edgernn.backends.onnx import OPTIMIZATIONS
from edgernn.errors import ModelError
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from tests.exactness import test_zero_lsb_onnx, test_zero_lsb_tflite
from tests.exactness.twin.scalar import Metered
from tests.support.models.grid import reference_stream
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_codes
from tests.support.models.networks import residual_network
from tests.support.models.normalized_cell import normalized_models, register, twin_stream
from tests.support.models.normalized_rows import KINDS, WIDTHS, constants, normalized, rows
from tests.support.native.compilers import NATIVE, SANITIZERS, compile_c, require
from tests.support.native.fuzz import REFUSALS, arguments, exercise
from tests.support.native.stream_programs import build, expected, run, write_codes, write_sources
from tests.support.runtimes import RUNTIMES
from tests.support.runtimes import require as require_runtimes

STEPS = 80


@pytest.fixture(autouse=True)
def known(monkeypatch):
    register(monkeypatch)


def test_the_reference_equals_the_twin():
    meter = Metered()
    for name, model in normalized_models().items():
        codes = random_codes(model, STEPS)
        found = reference_stream(model, codes)
        hs, cs = (found[spec.name].tolist() for spec in model.layers[0].states)
        assert list(zip(hs, cs, strict=True)) == twin_stream(model, codes, meter), name
    assert meter.widest < 2**31


def test_files_hold_the_constants(tmp_path):
    for model in normalized_models((24, 256)).values():
        assert IntegerModel.load(model.save(tmp_path / "model.edgernn")) == model
        layer = model.layers[0]
        other = replace(layer.gate_norm, epsilon=layer.gate_norm.epsilon[1:])
        changed = replace(model, layers=(replace(layer, gate_norm=other), *model.layers[1:]))
        assert changed.sha256 != model.sha256
        with pytest.raises(ModelError, match=f"gate_norm: expected {layer.units} elements, got 7"):
            replace(layer, gate_norm=constants(7, 0))


def test_tflite(tmp_path):
    require_runtimes(*RUNTIMES)
    assert test_zero_lsb_tflite.compare(normalized_models(), tmp_path, STEPS) > 30_000


def test_onnx(tmp_path):
    steps = dict.fromkeys(OPTIMIZATIONS, STEPS) | {"disabled": STEPS // 4}
    assert test_zero_lsb_onnx.compare(normalized_models(), tmp_path, steps) > 15_000


def test_native_on_every_instruction_set():
    pytest.importorskip("edgernn._native", reason="needs the compiled extension")
    compared = 0
    for (name, model), isa in itertools.product(normalized_models((1, 24, 256)).items(), isas()):
        codes = random_codes(model, STEPS)
        wanted = reference_stream(model, codes)
        backend = NativeBackend(model, isa=isa)
        outputs, state = backend.run(codes, backend.interface.initial_state())
        for got, last in zip((outputs[-1], *state), wanted.values(), strict=True):
            assert np.array_equal(got, last[-1]), (name, isa)
        assert np.array_equal(outputs, wanted["y"]), (name, isa)
        compared += outputs.size
    assert compared > 1_000


#: Where the extension takes the normalizations of a layer's step.
NORMS = 7
#: What is changed in the constants of a normalization, and what the extension says of it.
SPOILT = [
    (0, 257, "elements that are normalised: expected 1..256, got 257"),
    (0, 6, "elements of a normalization: expected 0 to 6, got 7"),
    (2, 25, "most bits: expected 16..24, got 25"),
    (2, 18, "elements for these bits: expected 1..4, got 7"),
    (1, 20, "least bits: expected 0..19, got 20"),
    (1, -1, "least bits: expected 0..19, got -1"),
    (1, 3, "epsilon: expected"),
    (3, 9, "square bits: expected 10..14, got 9"),
    (3, 14, "elements for these square bits: expected 1..2, got 7"),
    (4, 32768, "gain: expected 1..32767, got 32768"),
    (5, 0, "normalization shift: expected 1..15, got 0"),
    (6, bytes(4), "epsilon: expected"),
]


@pytest.mark.parametrize(("place", "value", "message"), SPOILT)
def test_native_refuses_constants_that_would_pass_its_bounds(place, value, message):
    pytest.importorskip("edgernn._native", reason="needs the compiled extension")
    model = normalized_models()["normalized-w8a8-7"]
    given = arguments(model, isas()[0])
    layers = given[4]
    step = layers[0][-1]
    first, second = step[NORMS]
    first = (*first[:place], value, *first[place + 1 :])
    if isinstance(value, bytes):
        first = (*first[:6], value + first[6][4:])
    spoilt = (*layers[0][:-1], (*step[:NORMS], (first, second), *step[NORMS + 1 :]))
    with pytest.raises(REFUSALS, match=message):
        native._module().Program(*given[:4], (spoilt, *layers[1:]), *given[5:])
    exercise(native._module().Program(*given), given[2], given[1])


def test_c_on_the_host(tmp_path):
    require("gcc")
    models = normalized_models((1, 7, 256))
    files = write_sources(models, tmp_path)
    program = build(["gcc", "-std=c99", "-O2", *SANITIZERS], files, tmp_path, "normalized")
    write_codes(models, tmp_path / "codes", STEPS)
    model = models["normalized-w8a16-7"]
    alone = write_c(model, golden_vector(model), amalgamate=True)
    (tmp_path / "alone").mkdir()
    for name in ("model.c", "model.h"):
        (tmp_path / "alone" / name).write_bytes(alone[name])
    compile_c(["gcc", "-std=c99", "-O2", "-c"], [Path("model.c")], tmp_path / "alone")
    got = run(program, tmp_path / "codes")
    assert got == [expected(model, STEPS).tobytes() for model in models.values()]


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m55", "rv32imc"])
def test_c_on_cores(core, tmp_path):
    model = normalized_models()["normalized-w8a8-24"]
    codes = probe_codes(model, 40, seed=5)
    result = emulate(model, write_c(model, golden_vector(model)), core_named(core), codes, tmp_path)
    assert (result.differing, result.first_difference) == (0, "")
    assert result.stack_bytes <= result.static_stack_bytes


def test_only_models_that_normalise_bring_its_source():
    for model in (normalized_models()["normalized-w8a8-7"], residual_network()):
        files = write_c(model, golden_vector(model))
        assert "edgernn_ops.c" in files
        found = {"edgernn_norm.c", "edgernn_norm.h"} & files.keys()
        assert len(found) == (2 if model.layers[0].normalizations else 0)


class _Norm(ctypes.Structure):
    """edgernn_norm of edgernn_norm.h."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("least", "most", "square", "gain", "shift")),
        ("epsilon", ctypes.c_void_p),
    ]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    require("gcc")
    folder = tmp_path_factory.mktemp("norm")
    options = ["-std=c99", "-O2", "-shared", "-fPIC", "-fsanitize=undefined"]
    options += ["-fno-sanitize-recover=all", "-o", str(folder / "norm.so")]
    compile_c(["gcc", *options], [NATIVE / "edgernn_norm.c"], folder)
    return ctypes.CDLL(str(folder / "norm.so")).edgernn_normalize


@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("width", WIDTHS)
def test_the_c_function_in_place(kernel, width, kind):
    made, x = constants(width, kind), rows(width, max(40, 8000 // width))
    numbers = made.least_bits, made.most_bits, made.square_bits, made.gain, made.shift
    by = _Norm(*numbers, made.epsilon.ctypes.data)
    got = x.copy()
    for row in got:
        place = ctypes.c_void_p(row.ctypes.data)
        kernel(ctypes.byref(by), place, width, place)
    assert np.array_equal(got, normalized(made, x))
