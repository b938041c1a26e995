"""Models that are larger than the first memory of an emulated machine."""

from dataclasses import replace
from pathlib import Path

from edgernn_export.simulation.board_cost import cost_of_report
from edgernn_export.simulation.simulator import simulate_targets
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_model


def test_a_model_above_512_kib_has_the_bits_of_the_reference_on_cortex_m55():
    core_named("cortex-m55")
    model = random_model("gru_after", inputs=64, units=400)
    codes = probe_codes(model, 4, 0)
    reports = simulate_targets(
        model, ["cortex-m55", "corstone-300"], emulate=True, q_xs=codes, advice=False
    )
    core, board = map(cost_of_report, reports)
    assert core.flash_bytes > 512 * 1024
    assert (core.exact, board.exact) == (True, True)
    assert board.instructions_per_step == core.instructions_per_step > model.macs / 16
    # The board has the machine's first memory alone.
    assert (core.fits, board.fits) == (None, False)
    assert board.note == "emulated with its constants in the second memory of mps3-an547"
    report = reports[0]
    assert report.record()["emulation"]["sizes"]["constants_apart"] is True
    assert "constants in the machine's second memory: the first is too small" in report.text()


def test_the_second_memory_changes_no_instruction(tmp_path: Path):
    core = core_named("cortex-m55")
    model = random_model("gru_after", units=24)
    sources = write_c(model, golden_vector(model), network_only=True)
    codes = probe_codes(model, 20, 0)
    runs = []
    for flash_bytes in (core.flash_bytes, 5500):
        folder = tmp_path / str(flash_bytes)
        folder.mkdir()
        place = replace(core, flash_bytes=flash_bytes)
        runs.append(emulate(model, sources, place, codes, folder))
    near, far = runs
    assert (near.sizes.constants_apart, far.sizes.constants_apart) == (False, True)
    assert (near.differing, far.differing) == (0, 0)
    assert far.instructions == near.instructions
    assert far.work.functions == near.work.functions
    assert far.sizes.flash_bytes == near.sizes.flash_bytes
