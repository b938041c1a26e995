"""Networks with delays give the reference's bits in TFLite, ONNX, C and the native backend."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from edgernn.backends.native import NativeBackend, isas
from edgernn.backends.onnx import OPTIMIZATIONS
from edgernn.graph.lowering import lowered_model
from edgernn.graph.ops import CodesOf, InputOperand
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from tests.exactness import test_zero_lsb_onnx, test_zero_lsb_tflite
from tests.support.models.convolutions import (
    convolution_chain,
    convolutions,
    random_convolutions,
    sparse_convolutions,
)
from tests.support.models.grid import reference_stream
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_codes
from tests.support.native.compilers import SANITIZERS
from tests.support.native.compilers import require as require_tools
from tests.support.native.stream_programs import (
    build,
    expected,
    run,
    write_codes,
    write_sources,
)
from tests.support.native.variants import runnable
from tests.support.runtimes import RUNTIMES, require

STEPS = 150
TFLITE_STEPS = 450
#: The host with sanitizers, its widest vectors, and another processor.
VARIANTS = [v for v in runnable() if v.name in ("portable", "avx512", "neon")]
ONNX_STEPS = dict.fromkeys(OPTIMIZATIONS, 60) | {"disabled": 6}
CORES = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")


def test_the_models_hold_codes_and_values():
    reached = {type(op) for model in convolutions().values() for op in lowered_model(model).ops}
    assert reached >= {CodesOf, InputOperand}
    starts = [bool(spec.start) for model in convolutions().values() for spec in model.states]
    assert len(set(starts)) == 2


def test_tflite(tmp_path):
    require(*RUNTIMES)
    assert test_zero_lsb_tflite.compare(convolutions(), tmp_path, TFLITE_STEPS) > 10**6


def test_onnx(tmp_path):
    assert test_zero_lsb_onnx.compare(convolutions(), tmp_path, ONNX_STEPS) > 70_000


def test_every_instruction_set_of_the_native_backend():
    pytest.importorskip("edgernn._native", reason="needs the compiled extension")
    compared, differing = 0, []
    for (name, model), isa in itertools.product(convolutions().items(), isas()):
        codes = random_codes(model, STEPS)
        wanted = [*reference_stream(model, codes).values()]
        stream = NativeBackend(model, isa=isa).new_stream()
        for _ in range(2):  # after a reset it begins anew
            for t, row in enumerate(codes):
                got = [stream.advance(row[None])[0], *stream.state]
                compared += sum(array.size for array in got)
                if any(not np.array_equal(g, w[t]) for g, w in zip(got, wanted, strict=True)):
                    differing.append((name, isa, t))
            stream.reset()
        assert np.array_equal(stream.copy().advance(codes), wanted[0])
    assert differing == []
    assert compared > 300_000


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_c_on_every_variant_of_the_host(variant, tmp_path):
    require_tools(*variant.tools)
    checked = not variant.runner and variant.command[0] == "gcc"
    command = [*variant.command, "-std=c99", "-O2", *(SANITIZERS if checked else ())]
    models = convolutions()
    program = build(command, write_sources(models, tmp_path), tmp_path, variant.name)
    write_codes(models, tmp_path / "codes", STEPS)
    got = run(program, tmp_path / "codes", variant.runner)
    wanted = [expected(model, STEPS).tobytes() for model in models.values()]
    assert [name for name, g, w in zip(models, got, wanted, strict=True) if g != w] == []
    assert sum(map(len, got)) > 100_000


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["w8a8", "w8a16", "sparse"])
def test_c_on_every_core(core, name, tmp_path):
    if name == "sparse":
        model = sparse_convolutions(Precision.W8A8)
    else:
        model = random_convolutions(Precision(name), seed=3, kind="hostile", dilation=3)
    result = emulated(model, core, tmp_path)
    assert (result.differing, result.first_difference) == (0, "")
    assert result.compared > 200
    assert result.stack_bytes <= result.static_stack_bytes


def test_windows_in_c(tmp_path):
    model = replace(convolution_chain(Precision.W8A8), window=Window(steps=7, hop=2))
    assert emulated(model, "cortex-m4", tmp_path).differing == 0


def emulated(model, core, folder, readings=40):
    codes = probe_codes(model, readings, seed=5)
    return emulate(model, write_c(model, golden_vector(model)), core_named(core), codes, folder)
