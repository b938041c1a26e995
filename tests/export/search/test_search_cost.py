"""Costs are those of the firmware: what simulate says, before training and after it."""

import dataclasses

import pytest

from edgernn.errors import BackendMismatch, BackendUnavailable
from edgernn_export.search import Configuration, find_hardware, measure, search
from edgernn_export.search import hardware_cost as hardware_module
from edgernn_export.search.candidates import trained, untrained
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector
from edgernn_firmware_sim.emulator import footprint
from tests.support.training.search_trainers import TinyTrainer, tiny_settings

PLACE = find_hardware("cortex-m0")


def configuration(**changes):
    base = {"cell": "GRU", "units": 16, "layers": 1, "precision": "w8a8", "density": 1.0}
    return Configuration(**(base | {"learning_rate": None} | changes))


@pytest.mark.parametrize("precision", ["w8a8", "w8a16"])
def test_untrained_cost_is_a_lower_bound_of_the_trained(precision):
    trainer, wanted = TinyTrainer(), configuration(precision=precision)
    before = measure(untrained(trainer, wanted, "8x4"), PLACE)
    model = trained(trainer, wanted, TinyTrainer(seed=3).network(wanted))
    after = measure(model, PLACE)
    assert before.flash_bytes <= after.flash_bytes <= 1.1 * before.flash_bytes
    assert before.instructions <= 1.01 * after.instructions
    assert before.ram_bytes <= after.ram_bytes


def test_bytes_are_those_of_the_linked_image(tmp_path):
    model = untrained(TinyTrainer(), configuration(), "8x4")
    linked = footprint(PLACE.core, write_c(model, golden_vector(model)), tmp_path)
    cost = measure(model, PLACE)
    assert (cost.flash_bytes, cost.ram_bytes) == (linked.flash_bytes, linked.ram_bytes)
    assert cost.low_ms < cost.high_ms
    # The high end: instructions at no more than 4 cycles each, and no fewer than 1.
    assert 1 < cost.high_ms * PLACE.clock_hz / 1e3 / cost.instructions < 4


def test_pruned_shapes_have_the_density_in_blocks():
    model = untrained(TinyTrainer(), configuration(units=32, density=0.25), "8x4")
    terms = [term for affine in model.layers[0].affines.values() for term in affine.terms]
    kept = [
        term.weights[:, -32:].reshape(-1, 8, 8, 4).any(axis=(1, 3))
        for term in terms
        if term.weights.shape[1] >= 32
    ]
    # Of a gate's 4 + 32 blocks 9 stay, 5 : 12 of them in the recurrent kernel.
    assert sum(blocks.sum() for blocks in kept) == 3 * 6
    assert sum(blocks.size for blocks in kept) == 3 * 4 * 8


def test_clock_and_board_scale_the_estimate_alone():
    model = untrained(TinyTrainer(), configuration(units=4), "8x4")
    slow, fast = (measure(model, find_hardware("cortex-m0", mhz)) for mhz in (8, 16))
    assert slow.high_ms == pytest.approx(2 * fast.high_ms)
    assert slow.instructions == fast.instructions


def test_too_large_to_emulate_is_linked_only():
    place = dataclasses.replace(PLACE, core=dataclasses.replace(PLACE.core, flash_bytes=1024))
    model = untrained(TinyTrainer(), configuration(units=4), "8x4")
    cost, whole = measure(model, place), measure(model, PLACE)
    assert cost.instructions is None
    assert cost.high_ms == float("inf")
    assert (cost.flash_bytes, cost.ram_bytes) == (whole.flash_bytes, whole.ram_bytes)


def test_firmware_that_differs_is_no_cost(monkeypatch):
    model = untrained(TinyTrainer(), configuration(units=4), "8x4")
    other = untrained(TinyTrainer(seed=9), configuration(units=4), "8x4")
    monkeypatch.setattr(
        hardware_module, "write_c", lambda m, g, **_: write_c(other, golden_vector(other))
    )
    with pytest.raises(BackendMismatch, match="expected the values of the reference, got"):
        measure(model, PLACE)


def test_missing_tools_are_named_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(TinyTrainer, "train", None)
    with pytest.raises(BackendUnavailable, match=r"apt-get install gcc .*gcc-arm-none-eabi"):
        search(tiny_settings(tmp_path), tmp_path / "out", progress=False)
