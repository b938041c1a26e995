"""Costs of one model on several targets: exact figures, shared emulations, estimates."""

import pytest

from edgernn.errors import ImageTooLargeError
from edgernn.model.formats import Precision
from edgernn_export.simulation import board_costs, firmware_runs, simulate, simulator
from edgernn_export.simulation.cost_table import cost_table
from edgernn_export.writers.file_formats import probe_codes
from edgernn_firmware_sim.targets import boards, cores
from edgernn_firmware_sim.targets.advice import weights_bytes
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_model


@pytest.fixture
def model():
    return random_model("gru_after", Precision.W8A8)


def test_boards_with_one_core_share_one_emulation(model, monkeypatch):
    core_named("cortex-m4")
    runs = []
    genuine = firmware_runs.emulate

    def counted(*arguments):
        runs.append(arguments[2].name)
        return genuine(*arguments)

    monkeypatch.setattr(firmware_runs, "emulate", counted)
    stages = []
    names = ["nucleo-f446", "nrf52840-dk", "esp32", "uno-r4"]
    codes = probe_codes(model, 20, 3)
    costs = board_costs(model, names, q_xs=codes, progress=stages.append)
    assert runs == ["cortex-m4"] and stages[0] == "reference"
    fast, nordic, xtensa, uno = costs
    assert [cost.target for cost in costs] == names
    report = simulate(model, "nucleo-f446", emulate=True, q_xs=codes)
    assert fast.instructions_per_step == report.emulation.instructions.median
    assert fast.flash_bytes == report.emulation.sizes.flash_bytes
    assert fast.stack_bytes == report.emulation.static_stack_bytes
    assert {(c.instructions_per_step, c.low_cycles, c.ram_bytes) for c in (fast, nordic, uno)} == {
        (fast.instructions_per_step, fast.low_cycles, fast.ram_bytes)
    }
    assert fast.exact and fast.fits and fast.measured
    # The same cycles at 180, 64 and 48 MHz.
    assert nordic.low_ms / fast.low_ms == pytest.approx(180 / 64)
    assert uno.high_ms / fast.high_ms == pytest.approx(180 / 48)
    # 3.3 mA at 3 V are 9.9 mW.
    assert nordic.low_uj == pytest.approx(9.9 * nordic.low_ms)
    assert nordic.energy_source.startswith("estimate: datasheet power × estimated cycles (nRF52840")
    assert (fast.low_uj, fast.energy_source) == (None, "")
    assert (xtensa.instructions_per_step, xtensa.low_ms, xtensa.exact) == (None, None, None)
    assert (xtensa.flash_bytes, xtensa.ram_bytes) == (weights_bytes(model), model.state_bytes)
    assert (
        not xtensa.measured and xtensa.fits is None and "no emulator for xtensa-lx6" in xtensa.note
    )
    lines = cost_table(costs)
    assert len({line.index("µJ") for line in lines[:1]}) == 1
    row = next(line for line in lines if line.startswith("esp32")).split()
    assert row[1:4] == ["xtensa-lx6", "–", "–"] and row[-1] == "–"
    assert "µJ: estimate: datasheet power × estimated cycles, of the chip alone." in lines


def test_without_emulation_there_are_bytes_alone(model):
    (cost,) = board_costs(model, ["pico"], emulate=False)
    assert (cost.flash_bytes, cost.measured) == (weights_bytes(model), False)
    assert cost.fits is None
    assert cost.note.startswith("not emulated")
    assert cost.record()["low_ms"] is None


def test_a_machine_that_is_too_small_leaves_a_note_in_a_table_and_is_an_error_alone(
    model, monkeypatch
):
    core_named("cortex-m0")

    def too_large(*_):
        raise ImageTooLargeError("too large")

    monkeypatch.setattr(firmware_runs, "emulate", too_large)
    place = cores()["cortex-m0"], boards()["pico"]
    monkeypatch.setattr(simulator, "find", lambda name: place)
    (cost,) = board_costs(model, ["pico"], q_xs=probe_codes(model, 2, 0))
    assert (cost.exact, cost.instructions_per_step, cost.measured) == (None, None, True)
    assert cost.flash_bytes > weights_bytes(model)
    assert cost.note == "too large for the emulated machine (microbit): linked, not run"
    with pytest.raises(ImageTooLargeError):
        simulate(model, "pico", emulate=True, q_xs=probe_codes(model, 2, 0))
