"""C for one core, in files of its own and in one: 0 LSB, and the code of every core's export."""

import pytest

from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from tests.support.models.hand_made import core_named
from tests.support.models.kernel_cases import MODELS

pytestmark = pytest.mark.sampled(2)

#: One for each set of kernels.
CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55", "rv32imc")


def emulated(name, emulated_core, folder, **form):
    folder.mkdir()
    model = MODELS[name]
    sources = write_c(model, golden_vector(model), **form)
    result = emulate(
        model, sources, core_named(emulated_core), probe_codes(model, 20, seed=5), folder
    )
    assert (result.differing, result.first_difference) == (0, "")
    return result


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", MODELS)
def test_one_source_gives_the_reference_s_bits(name, core, tmp_path):
    emulated(name, core, tmp_path / "one", core=core, amalgamate=True)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", list(MODELS)[::2])
def test_a_core_s_own_export_is_the_same_program(name, core, tmp_path):
    own = emulated(name, core, tmp_path / "own", core=core)
    every = emulated(name, core, tmp_path / "every")
    assert own == every
    images = [(tmp_path / form / "firmware.elf").read_bytes() for form in ("own", "every")]
    assert images[0] == images[1]


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m55"])
def test_one_source_for_every_core_gives_the_reference_s_bits(core, tmp_path):
    emulated("sparse-int4-gru_after-w8a8", core, tmp_path / "one", amalgamate=True)
