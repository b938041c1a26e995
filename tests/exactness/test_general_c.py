"""General cells, leaky ones, curves and slopes in C, wide or not: the bits of the reference."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from tests.support.models.general import (
    GENERAL_CELLS,
    GENERAL_LAYERS,
    WIDENED,
    general_model,
    general_models,
    general_network,
)
from tests.support.models.hand_made import core_named
from tests.support.native.compilers import SANITIZERS, require
from tests.support.native.stream_programs import build, expected, run, write_codes, write_sources
from tests.support.native.variants import common

STEPS = 100
CORES = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")
KINDS = (*GENERAL_CELLS, *GENERAL_LAYERS)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("general")
    return folder, write_sources(general_models(), folder)


@pytest.mark.parametrize("variant", common())
def test_every_variant_of_the_host(variant, sources, tmp_path):
    require(*variant.tools)
    checked = not variant.runner and variant.command[0] == "gcc"
    command = [*variant.command, "-std=c99", "-O2", *(SANITIZERS if checked else ())]
    folder, files = sources
    program = build(command, files, folder, f"general-{variant.name}")
    models = general_models()
    write_codes(models, tmp_path / "codes", STEPS)
    got = run(program, tmp_path / "codes", variant.runner)
    names = list(models)
    wanted = [expected(model, STEPS).tobytes() for model in models.values()]
    assert [name for name, g, w in zip(names, got, wanted, strict=True) if g != w] == []


def test_many_streams(sources, tmp_path):
    """Of every kind a hundred thousand values and more: the reference takes all streams at once."""
    require("gcc")
    folder, files = sources
    models = general_models()
    program = build(["gcc", "-std=c99", "-O2", *SANITIZERS], files, folder, "general-many")
    write_codes(models, tmp_path / "codes", 40 * STEPS)
    got = run(program, tmp_path / "codes", every=STEPS)
    compared, differing = Counter(), []
    for (name, model), answers in zip(models.items(), got, strict=True):
        wanted = expected(model, 40 * STEPS, every=STEPS)
        compared[name.partition("-")[0]] += wanted.size
        if answers != wanted.tobytes():
            differing.append(name)
    assert differing == []
    assert set(compared) == {*KINDS, "network"}
    assert min(compared.values()) > 10**5
    assert compared.total() > 3 * 10**6


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("precision", Precision, ids=lambda p: p.value)
def test_networks_of_all_kinds_on_cores(core, precision, tmp_path):
    for seed in (1, 2):  # wide, and not
        (tmp_path / str(seed)).mkdir()
        result = emulated(general_network(precision, seed=seed), core, tmp_path / str(seed))
        assert result.compared > 200
        assert result.stack_bytes <= result.static_stack_bytes


@pytest.mark.parametrize("kind", WIDENED)
def test_fine_gates_on_cores(kind, tmp_path):
    model = general_model(kind, wide=True, gate_function="sigmoid", cell_function="tanh")
    for core in CORES:
        (tmp_path / core).mkdir()
        emulated(model, core, tmp_path / core)


def test_windows(tmp_path):
    model = general_network(seed=1)
    model = dataclasses.replace(model, window=Window(steps=4, hop=3))
    emulated(model, "cortex-m4", tmp_path)


def emulated(model, core, folder, readings=40):
    codes = probe_codes(model, readings, seed=5)
    files = write_c(model, golden_vector(model))
    result = emulate(model, files, core_named(core), codes, folder)
    assert (result.differing, result.first_difference) == (0, "")
    return result


def test_packages_hold_the_kernels_that_they_call():
    """No table of the fine gate without a wide state, and nothing new in models of before."""
    wide = general_model("general_lstm", wide=True, gate_function="sigmoid", cell_function="tanh")
    bent = general_model("pointwise")
    plain = dataclasses.replace(bent, layers=(bent.layers[0], bent.layers[-1]))
    held = {name: write_c(model, golden_vector(model)) for name, model in
            {"wide": wide, "bent": bent, "plain": plain}.items()}  # fmt: skip
    for file, models in {"edgernn_wide": {"wide"}, "edgernn_curve": {"bent"}}.items():
        for suffix in (".c", ".h"):
            found = {name for name, files in held.items() if any(file + suffix in f for f in files)}
            assert found == models, file
