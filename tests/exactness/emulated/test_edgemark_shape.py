"""EdgeMark's LSTM (26,912 parameters; TFLM INT8: 770 kB of flash, 258 kB of RAM) as firmware.

EdgeMark, docs/source/results/RNN_LSTM_GRU.md: LSTM-64 over 32 inputs and a Dense layer of 32, the
only shape that gives its three parameter counts (SimpleRNN 8,288, LSTM 26,912, GRU 20,896).
"""

import pytest

from edgernn.model.formats import Precision
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from edgernn_firmware_sim.emulator.tools import beside, execute
from tests.support.models.hand_made import EACH_CODE, core_named
from tests.support.models.integer import random_model

SHAPE = {"inputs": 32, "units": 64, "outputs": 32}
FLASH_BYTES = 40_000
RAM_BYTES = 2_000


def parameters(model):
    """Weights, and one bias for each row of a gate or an output."""
    layers = model.layers
    weights = sum(
        t.weights.size for layer in layers for a in layer.affines.values() for t in a.terms
    )
    return weights + sum(a.rows for layer in layers for a in layer.affines.values())


def section_bytes(core, image):
    listing = execute(core.name, [beside(core.compiler, "size"), "-A", "-d", image.name],
                      image.parent)  # fmt: skip
    rows = [line.split() for line in listing.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 3 and row[1].isdigit()}


def test_the_shape_has_the_published_number_of_parameters():
    assert parameters(random_model("lstm", Precision.W8A8, **SHAPE)) == 26_912
    assert parameters(random_model("simple_rnn", Precision.W8A8, **SHAPE)) == 8_288


@pytest.mark.parametrize("core", EACH_CODE)
@pytest.mark.parametrize("precision", Precision)
def test_40_kb_of_flash_and_2_kb_of_ram_hold_all_of_it(precision, core, tmp_path):
    core = core_named(core)
    model = random_model("lstm", precision, **SHAPE)
    sources = write_c(model, golden_vector(model))
    result = emulate(model, sources, core, probe_codes(model, 20, seed=5), tmp_path)
    assert result.differing == 0
    sections = section_bytes(core, tmp_path / "firmware.elf")
    flash = sum(sections[name] for name in (".harness", ".text", ".rodata"))
    assert result.sizes.flash_bytes < flash <= FLASH_BYTES
    assert result.ram_bytes < RAM_BYTES
    print(f"{core.name} {precision.value}: flash {flash:,}, RAM {result.ram_bytes:,} bytes")
