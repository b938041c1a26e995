"""Attention as TFLite and ONNX files, in C, on emulated cores, in the extension: the same bits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from edgernn.backends.native import NativeBackend, isas
from edgernn.backends.onnx import OPTIMIZATIONS
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from tests.exactness import test_zero_lsb_onnx, test_zero_lsb_tflite
from tests.support.models.attention import KINDS, attention_models, attention_network
from tests.support.models.grid import reference_stream
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_codes
from tests.support.native.compilers import SANITIZERS, require
from tests.support.native.stream_programs import build, expected, run, write_codes, write_sources
from tests.support.native.variants import runnable
from tests.support.runtimes import RESOLVERS, RUNTIMES
from tests.support.runtimes import require as require_runtimes

#: Values of every kind that each runtime, kind of kernels and optimization is compared in.
VALUES = 100_000
STEPS = 100
CORES = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def models_of(kind):
    models = {n: m for n, m in attention_models().items() if n.startswith(f"{kind}-")}
    width = sum(m.output.width + sum(s.units for s in m.states) for m in models.values())
    return models, -(-VALUES // width)


@EVERY_KIND
def test_tflite(kind, tmp_path):
    require_runtimes(*RUNTIMES)
    models, count = models_of(kind)
    compared = test_zero_lsb_tflite.compare(models, tmp_path, count)
    assert compared >= len(RUNTIMES) * len(RESOLVERS) * VALUES


@pytest.mark.slow
@EVERY_KIND
def test_onnx(kind, tmp_path):
    models, count = models_of(kind)
    steps = dict.fromkeys(OPTIMIZATIONS, count) | {"disabled": 10}
    compared = test_zero_lsb_onnx.compare(models, tmp_path, steps)
    assert compared >= (len(OPTIMIZATIONS) - 1) * VALUES


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(v, marks=pytest.mark.slow if v.name == "portable" else pytest.mark.long)
        for v in runnable()
    ],
    ids=lambda v: v.name,
)
def test_every_variant_of_c_on_the_host(variant, tmp_path):
    require(*variant.tools)
    models = attention_models()
    checked = not variant.runner and variant.command[0] == "gcc"
    command = [*variant.command, "-std=c99", "-O2", *(SANITIZERS if checked else ())]
    program = build(command, write_sources(models, tmp_path), tmp_path, "attention")
    write_codes(models, tmp_path / "codes", STEPS)
    got = run(program, tmp_path / "codes", variant.runner)
    compared, differing = Counter(), []
    for (name, model), answers in zip(models.items(), got, strict=True):
        wanted = expected(model, STEPS)
        compared[name.partition("-")[0]] += wanted.size
        if answers != wanted.tobytes():
            differing.append(name)
    assert differing == []
    assert min(compared[kind.partition("-")[0]] for kind in KINDS) > 10**5


@pytest.mark.parametrize(
    "core", [CORES[0], *(pytest.param(core, marks=pytest.mark.slow) for core in CORES[1:])]
)
def test_cores(core, tmp_path):
    for kind, size in (("attention", {}), ("additive_attention", {"rows": 16, "width": 20})):
        (tmp_path / kind).mkdir()
        model = attention_network(kind, seed=3, **size)
        codes = probe_codes(model, 30, seed=5)
        files = write_c(model, golden_vector(model))
        result = emulate(model, files, core_named(core), codes, tmp_path / kind)
        assert (result.differing, result.first_difference) == (0, "")
        assert result.stack_bytes <= result.static_stack_bytes


@pytest.mark.parametrize("isa", isas())
def test_the_extension(isa):
    compared = Counter()
    for name, model in attention_models().items():
        codes = random_codes(model, 2 * STEPS)
        wanted = reference_stream(model, codes)
        stream = NativeBackend(model, isa).new_stream()
        got = stream.advance(codes)
        assert np.array_equal(got, wanted["y"]), name
        for spec, state in zip(model.states, stream.state, strict=True):
            assert np.array_equal(state, wanted[spec.name][-1]), (name, spec.name)
        compared[name.partition("-")[0]] += got.size
    assert min(compared.values()) > 1000


def test_packages_hold_what_they_call():
    model = attention_network("attention", seed=1)
    files = write_c(model, golden_vector(model))
    assert {"edgernn_attention.c", "edgernn_attention.h"} <= {f.rpartition("/")[2] for f in files}
