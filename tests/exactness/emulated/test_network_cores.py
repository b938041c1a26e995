"""Networks as firmware: the reference's bits on cores of every kind, and what they take there."""

import dataclasses

import pytest

from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from tests.support.models.hand_made import core_named
from tests.support.models.networks import head_network, random_network, two_input_network

CORES = ("cortex-m0", "cortex-m4", "cortex-m55", "rv32imc")


def emulated(name, model, folder, **options):
    codes = probe_codes(model, 60, seed=5)
    sources = write_c(model, golden_vector(model), **options)
    result = emulate(model, sources, core_named(name), codes, folder)
    assert (result.differing, result.first_difference) == (0, "")
    assert result.stack_bytes <= result.static_stack_bytes
    return result


@pytest.mark.parametrize("core", CORES)
def test_a_network_of_every_kind_of_layer(core, tmp_path):
    for precision in Precision:
        (tmp_path / precision.value).mkdir()
        model = random_network(precision, seed=1, kind="hostile")
        result = emulated(core, model, tmp_path / precision.value)
        assert result.compared == 60 * (model.output.width + sum(s.units for s in model.states))
        assert result.struct_bytes >= model.state_bytes
        assert {"edgernn_scale", "model_step"} <= result.work.functions.keys()


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m55"])
def test_kernels_of_one_core_alone_in_one_file(core, tmp_path):
    model = two_input_network(Precision.W8A8)
    emulated(core, model, tmp_path, core=core, amalgamate=True)


def test_a_window_whose_head_reads_the_input(tmp_path):
    model = head_network(Precision.W8A8)
    model = dataclasses.replace(model, window=Window(steps=4, hop=3))
    emulated("cortex-m4", model, tmp_path)
