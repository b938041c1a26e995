"""C of models that read tokens: the reference's bits everywhere, and no memory but its own."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest

from edgernn.container.memory import table_bytes
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_model
from tests.support.models.tokens import token_and_real_network, token_chain, token_models
from tests.support.native.compilers import SANITIZERS, compile_c, require, write_model
from tests.support.native.stream_programs import (
    build,
    expected,
    run,
    write_codes,
    write_sources,
)
from tests.support.native.variants import runnable

STEPS = 500
HOST = [variant for variant in runnable() if not variant.runner]


@pytest.fixture(scope="module")
def models():
    return {name: m for name, m in token_models().items() if m.window is None}


@pytest.fixture(scope="module")
def sources(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    return folder, write_sources(models, folder)


@pytest.fixture(scope="module")
def wanted(models):
    return [expected(model, STEPS).tobytes() for model in models.values()]


@pytest.mark.parametrize("variant", HOST, ids=lambda v: v.name)
def test_every_variant_of_the_host(variant, sources, models, wanted, tmp_path):
    require(*variant.tools)
    checked = variant.command[0] == "gcc"
    command = [*variant.command, "-std=c99", "-O2", *(SANITIZERS if checked else ())]
    folder, files = sources
    program = build(command, files, folder, f"tokens-{variant.name}")
    write_codes(models, tmp_path / "codes", STEPS)
    got = run(program, tmp_path / "codes")
    assert [name for name, g, w in zip(models, got, wanted, strict=True) if g != w] == []
    assert sum(map(len, got)) // 2 > 90_000


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m55", "rv32imc"])
@pytest.mark.parametrize("name", ["network-w8a8", "network-w8a16", "window-w8a8"])
def test_cores(name, core, tmp_path):
    model = token_models()[name]
    codes = probe_codes(model, 40, seed=5)
    sources = write_c(model, golden_vector(model))
    result = emulate(model, sources, core_named(core), codes, tmp_path)
    assert (result.differing, result.first_difference) == (0, "")
    assert result.compared >= 40 * model.output.width
    assert result.sizes.flash_bytes > table_bytes(model.layers[0])


def library(model: IntegerModel, folder):
    """The generated C as a shared library under sanitizers of undefined behaviour."""
    require("gcc")
    files = write_model(model, folder, "model")
    path = folder / "model.so"
    command = ["gcc", "-std=c99", "-O1", "-fPIC", "-shared", "-fsanitize=undefined"]
    command += ["-fno-sanitize-recover=all", "-I", str(folder), "-o", str(path)]
    compile_c(command, [f for f in files if not f.name.endswith("_self_test.c")], folder)
    return ctypes.CDLL(str(path))


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


@pytest.mark.parametrize("precision", Precision)
def test_what_is_no_token_is_the_nearest_one(precision, tmp_path):
    """In the step, whose table is the size it is, and where readings become codes."""
    model = token_and_real_network(precision)
    module = library(model, tmp_path)
    hostile = np.array([[-1, 300, 32_767], [-32_768, 7, 5], [301, -5, -1]], np.int16)
    q_xs = np.zeros((3, 6), np.int16)
    q_xs[:, [2, 4, 5]] = hostile
    nearest = q_xs.copy()
    nearest[:, [2, 4, 5]] = np.clip(hostile, 0, [299, 6, 4])
    # Of the last channel too the table has 7 rows: in the step, its rows are what counts.
    nearest[:, 5] = np.clip(hostile[:, 2], 0, 6)
    wide = replace(model, input=replace(model.input, vocabulary=(0, 0, 300, 0, 7, 7)))
    wanted, _ = Reference(wide).run(nearest)
    state = np.zeros(4096, np.int16)
    module.model_init(pointer(state))
    for q_x, q_y in zip(q_xs, wanted, strict=True):
        y = np.zeros(2, np.int16)
        module.model_step(pointer(state), pointer(q_x), pointer(y))
        assert np.array_equal(y, q_y)
    x = np.array([0, 1 << 20, 2**31 - 1, 0, -(2**31), 4], np.int32)
    codes, counts = np.zeros(6, np.int16), np.zeros(6, np.uint32)
    module.model_quantize_input(pointer(x), pointer(codes))
    module.model_count_clipped(pointer(x), pointer(counts))
    assert codes[[2, 4, 5]].tolist() == [299, 0, 4]
    assert counts[[2, 4, 5]].tolist() == [1, 1, 0]
    assert module.model_check() == 0


@pytest.mark.parametrize("precision", Precision)
def test_tokens_pass_into_codes_and_reals_are_coded_as_ever(precision, tmp_path):
    model = token_and_real_network(precision)
    text = write_c(model, golden_vector(model))["model.h"].decode()
    assert "typedef int16_t model_input_t;" in text
    assert "/* x2 []: a token, 0 to 299, which is its own code. */" in text
    bits = [
        int(text.split(f"#define MODEL_INPUT_{i}_FRAC_BITS (")[1].split(")")[0]) for i in (0, 2)
    ]
    assert bits[1] == 0
    module = library(model, tmp_path)
    rng = np.random.default_rng(3)
    for _ in range(200):
        reading = rng.uniform(-2, 2, 6)
        reading[[2, 4, 5]] = rng.integers(0, [300, 7, 5])
        x = np.rint(reading * 2.0 ** np.array([bits[0]] * 2 + [0] + [bits[0]] + [0, 0]))
        codes = np.zeros(6, np.int16)
        module.model_quantize_input(pointer(x.astype(np.int32)), pointer(codes))
        assert np.array_equal(codes, model.interface().quantize(reading))


def test_the_files_of_tokens_come_with_tokens_alone():
    for model, brought in ((token_chain(), True), (random_model("lstm"), False)):
        files = write_c(model, golden_vector(model))
        assert ("edgernn_tokens.c" in files) is brought
        assert ("edgernn_tokens.h" in files) is brought
        assert "edgernn_ops.c" not in files
