"""Layers in C operation by operation: the reference's bits on the host, its variants and cores."""

from __future__ import annotations

import dataclasses

import pytest

from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn_export.writers.c import layers as c_layers
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from tests.support.models.grid import special
from tests.support.models.hand_made import EACH_CODE, core_named
from tests.support.models.integer import CELLS, random_model
from tests.support.models.own_cell import own_models, register, wide_models
from tests.support.native.compilers import SANITIZERS, require
from tests.support.native.stream_programs import (
    build,
    expected,
    run,
    write_codes,
    write_sources,
)
from tests.support.native.variants import common

STEPS = 150


@pytest.fixture(scope="module")
def patched():
    """The cell of one's own, and no layer with a kernel but Dense and that of ``kernels``."""
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        patch.setattr(c_layers, "KERNELS", {})
        yield


@pytest.fixture(scope="module")
def models(patched):
    return {**own_models(), **wide_models(), **special()}


@pytest.fixture(scope="module")
def sources(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("operations")
    return folder, write_sources(models, folder)


@pytest.fixture(scope="module")
def wanted(models):
    return [expected(model, STEPS).tobytes() for model in models.values()]


@pytest.mark.parametrize("variant", common())
def test_every_variant_of_the_host(variant, sources, models, wanted, tmp_path):
    require(*variant.tools)
    checked = not variant.runner and variant.command[0] == "gcc"
    command = [*variant.command, "-std=c99", "-O2", *(SANITIZERS if checked else ())]
    folder, files = sources
    program = build(command, files, folder, f"operations-{variant.name}")
    write_codes(models, tmp_path / "codes", STEPS)
    got = run(program, tmp_path / "codes", variant.runner)
    names = list(models)
    assert [name for name, g, w in zip(names, got, wanted, strict=True) if g != w] == []
    assert sum(map(len, got)) > 400_000


@pytest.mark.parametrize("core", EACH_CODE)
@pytest.mark.parametrize("precision", Precision, ids=lambda p: p.value)
def test_a_cell_of_ones_own_on_every_core(core, precision, patched, tmp_path):
    model = own_models()[f"own-{precision.value}-hostile-12"]
    result = emulated(model, core, tmp_path)
    assert (result.differing, result.first_difference) == (0, "")
    assert result.compared > 200
    assert result.stack_bytes <= result.static_stack_bytes


@pytest.mark.parametrize("cell", CELLS)
def test_every_layer_on_a_core_without_vectors_and_on_one_with(cell, patched, tmp_path):
    model = random_model(cell, Precision.W8A8, kind="hostile", units=9, common=False)
    for core in ("cortex-m0", "cortex-m55"):
        (tmp_path / core).mkdir()
        assert emulated(model, core, tmp_path / core).differing == 0


def test_windows(patched, tmp_path):
    model = own_models()["own-w8a8-tame-12"]
    model = dataclasses.replace(model, window=Window(steps=4, hop=3))
    assert emulated(model, "cortex-m4", tmp_path).differing == 0


def emulated(model, core, folder, readings=40):
    codes = probe_codes(model, readings, seed=5)
    return emulate(model, write_c(model, golden_vector(model)), core_named(core), codes, folder)


def test_results_take_the_place_of_what_they_are_made_of(patched):
    """No more scratch than the kernels written by hand have, and one copy at most."""
    by_hand = {"simple_rnn": 0, "simple_rnn_relu": 0, "lstm": 4, "gru_before": 3, "gru_after": 4}
    for cell, vectors in by_hand.items():
        layer = random_model(cell, units=8, outputs=0).layers[0]
        made = c_layers.CLayer(index=0, layer=layer, precision=Precision.W8A8, made="y")
        copies = [call for call in made.calls if "copy16" in call]
        assert made.kernel is None
        assert (made.scratch, copies) == (vectors * 8, []), (cell, made.calls)
