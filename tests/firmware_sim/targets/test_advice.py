"""Advice for a model that does not fit: every change it names is built and measured here."""

from dataclasses import replace

import numpy as np
import pytest

from edgernn.container.memory import weight_memory
from edgernn.model.formats import Precision
from edgernn.model.storage import Storage
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate, footprint
from edgernn_firmware_sim.reference.reference import Reference
from edgernn_firmware_sim.targets import boards
from edgernn_firmware_sim.targets.advice import advise, needs, weights_bytes
from edgernn_firmware_sim.targets.reduced_models import in_w4, in_w8a8, narrower, widest
from tests.support.models.general import GENERAL_CELLS, WIDENED, general_model
from tests.support.models.hand_made import core_named
from tests.support.models.integer import CELLS, random_model
from tests.support.models.networks import random_network, residual_network
from tests.support.models.stored import stored

W8A16 = Precision.W8A16
CORE = "cortex-m3"


def board(flash_bytes, ram_bytes):
    return replace(boards()["bluepill"], flash_bytes=flash_bytes, ram_bytes=ram_bytes)


def known(model):
    return weights_bytes(model), model.state_bytes


def linked(folder):
    """A measure that links every model in a folder of its own."""

    def measure(model):
        own = folder / str(len(list(folder.iterdir())))
        own.mkdir()
        size = footprint(core_named(CORE), write_c(model, golden_vector(model)), own)
        return size.flash_bytes, size.ram_bytes

    return measure


def advice_for(model, place, measure, measured=True):
    flash, ram = measure(model)
    pair = needs(place, flash_bytes=flash, ram_bytes=ram, measured=measured)
    return advise(model, place, pair, measure)


def fits(place, size):
    return size[0] <= place.flash_bytes and size[1] <= place.ram_bytes


@pytest.mark.parametrize("precision", [pytest.param(p, id=p.value) for p in Precision])
@pytest.mark.parametrize("common", (True, False))
@pytest.mark.parametrize("cell", CELLS)
def test_a_narrower_model_has_the_sizes_of_one_that_was_made_so(cell, common, precision):
    shape = {"inputs": 5, "stack": 2, "common": common}
    wide = random_model(cell, precision, units=12, **shape)
    cut, made = narrower(wide, 7), random_model(cell, precision, units=7, **shape)
    assert known(cut) == known(made)
    assert (widest(cut), cut.macs) == (7, made.macs)
    Reference(cut).run(probe_codes(cut, 5, 1))


@pytest.mark.parametrize("kind", GENERAL_CELLS)
def test_a_narrower_model_keeps_curves_and_cuts_leaks(kind):
    options = {"wide": True} if kind in WIDENED else {}
    cut, made = (
        general_model(kind, W8A16, seed=4, units=units, common=True, **options) for units in (12, 7)
    )
    cut = narrower(cut, 7)
    assert known(cut) == known(made)
    first = cut.layers[0]
    held = sum(table.entries.nbytes for table in first.curves.values())
    assert weight_memory([first]).scale_bytes == held + 3 * 2 * 7 * (kind == "leaky_rnn")
    Reference(cut).run(probe_codes(cut, 5, 1))


def test_a_narrower_model_keeps_the_first_units_of_every_gate():
    wide = random_model("lstm", W8A16, inputs=2, units=5, outputs=0, common=True)
    cut = narrower(wide, 3)
    rows = [gate * 5 + unit for gate in range(4) for unit in range(3)]
    term, old = cut.layers[0].gates.terms[0], wide.layers[0].gates.terms[0]
    assert np.array_equal(term.weights, old.weights[rows][:, [0, 1, 2, 3, 4]])
    assert np.array_equal(term.bias, old.bias[rows])
    assert cut.output.names == wide.output.names[:3]
    assert np.array_equal(narrower(wide, 5).layers[0].gates.terms[0].weights, old.weights)


def test_a_narrower_second_layer_reads_the_units_that_are_left():
    wide = random_model("simple_rnn", W8A16, inputs=2, units=5, outputs=1, stack=2, common=True)
    cut = narrower(wide, 3)
    columns = [0, 1, 2, 5, 6, 7]  # of 5 inputs and 5 hidden units
    term, old = cut.layers[1].gates.terms[0], wide.layers[1].gates.terms[0]
    assert np.array_equal(term.weights, old.weights[:3][:, columns])
    dense, old = cut.layers[2].out.terms[0], wide.layers[2].out.terms[0]
    assert np.array_equal(dense.weights, old.weights[:, :3])


def test_layers_shrink_by_one_factor_and_never_to_nothing():
    small = random_model("lstm", inputs=2, units=2, outputs=0)
    large = random_model("lstm", inputs=2, units=20, outputs=3)
    layers = (small.layers[0], replace(large.layers[0], name="b"), *large.layers[1:])
    both = replace(large, layers=layers)
    assert [layer.units for layer in narrower(both, 15).layers] == [1, 15, 3]
    assert [layer.units for layer in narrower(both, 5).layers] == [1, 5, 3]


@pytest.mark.parametrize("cell", CELLS)
def test_the_advised_units_fit_and_one_more_does_not(cell):
    shape = {"inputs": 6, "stack": 2}
    model = random_model(cell, W8A16, units=40, **shape)
    place = board(known(model)[0] // 3, 4096)
    advice = advice_for(model, place, known, measured=False)
    (_, before, after), (_, _, second) = advice.units
    assert (before, after) == (40, second)
    size = known(random_model(cell, W8A16, units=after, **shape))
    assert size == (advice.narrower.flash_bytes, advice.narrower.ram_bytes)
    assert fits(place, size)
    assert not fits(place, known(random_model(cell, W8A16, units=after + 1, **shape)))


@pytest.mark.parametrize("precision", Precision)
def test_narrower_networks_are_not_tried_and_other_changes_are(precision):
    model = random_network(precision, seed=1)
    flash, ram = known(model)
    advice = advice_for(model, board(flash - 1, ram), known, measured=False)
    assert (advice.units, advice.narrower) == (None, None)
    said = advice.sentences()
    assert (
        said[0]
        == "fewer units were not tried: the widths of a branched network depend on each other"
    )
    weights = weight_memory(model.layers)
    assert advice.w4.flash_bytes == weights.stored_bytes // 2 + weights.scale_bytes
    assert (advice.w8a8 is None) == (precision is Precision.W8A8)
    Reference(in_w8a8(in_w4(model))).run(probe_codes(in_w8a8(model), 5, 1))


def test_weights_include_what_scales_vectors():
    model = residual_network(units=8)
    (merge,) = (layer for layer in model.layers if layer.kind == "merge")
    vectors = sum(1 + scale.has_bias for scale in merge.terms)
    assert weights_bytes(model) - 2 * 8 * vectors == weight_memory(model.layers).stored_bytes
    assert weight_memory(model.layers).scale_bytes == 2 * 8 * vectors > 0


def test_no_number_of_units_is_missed():
    model = random_model("simple_rnn", units=24)
    for units in range(1, 24):
        place = board(*known(random_model("simple_rnn", units=units)))
        assert advice_for(model, place, known).units == (("simple_rnn_0", 24, units),)


@pytest.mark.parametrize("over", ("flash", "ram"))
def test_advice_from_linked_firmware_holds_for_linked_and_running_firmware(over, tmp_path):
    core = core_named(CORE)
    model = random_model("gru_after", W8A16, inputs=4, units=32)
    measure = linked(tmp_path)
    flash, ram = measure(model)
    place = board(flash * 2 // 3, ram) if over == "flash" else board(flash, ram * 2 // 3)
    advice = advice_for(model, place, measure)
    ((name, before, after),) = advice.units
    assert (name, before) == ("gru_after_0", 32) and 1 <= after < 32
    other = random_model("gru_after", W8A16, inputs=4, units=after)
    folder = tmp_path / "run"
    folder.mkdir()
    sources = write_c(other, golden_vector(other))
    result = emulate(other, sources, core, probe_codes(other, 20, 5), folder)
    assert result.differing == 0
    # Sizes of immediates and alignment depend on the numbers themselves, by a few bytes.
    assert abs(result.sizes.flash_bytes - advice.narrower.flash_bytes) <= 16
    assert result.ram_bytes == advice.narrower.ram_bytes
    assert fits(place, (advice.narrower.flash_bytes, advice.narrower.ram_bytes))
    assert not fits(place, measure(narrower(model, after + 1)))


def test_a_footprint_is_what_emulation_measures(tmp_path):
    core = core_named(CORE)
    model = random_model("lstm", inputs=4, units=9)
    sources = write_c(model, golden_vector(model))
    (tmp_path / "linked").mkdir()
    (tmp_path / "run").mkdir()
    size = footprint(core, sources, tmp_path / "linked")
    result = emulate(model, sources, core, probe_codes(model, 20, 5), tmp_path / "run")
    assert (size.sizes, size.struct_bytes) == (result.sizes, result.struct_bytes)
    assert size.static_stack_bytes == result.static_stack_bytes
    assert (size.flash_bytes, size.ram_bytes) == (result.sizes.flash_bytes, result.ram_bytes)


def test_a_footprint_knows_no_limit_of_the_machine(tmp_path):
    core = replace(core_named("cortex-m0"), flash_bytes=2048, ram_bytes=2048)
    model = random_model("lstm", inputs=4, units=32)
    size = footprint(core, write_c(model, golden_vector(model)), tmp_path)
    assert size.flash_bytes > weights_bytes(model) > core.flash_bytes


def test_w8a8_is_advised_where_it_fits(tmp_path):
    model = random_model("lstm", W8A16, inputs=60, units=8)
    measure = linked(tmp_path)
    same = random_model("lstm", Precision.W8A8, inputs=60, units=8)
    eight, sixteen = measure(same), measure(model)
    assert eight[1] < sixteen[1]
    place = board(max(eight[0], sixteen[0]), (eight[1] + sixteen[1]) // 2)
    advice = advice_for(model, place, measure)
    assert advice.w8a8.fits
    assert advice.w8a8.ram_bytes == eight[1]
    assert abs(advice.w8a8.flash_bytes - eight[0]) <= 16
    assert any(line.startswith("w8a8 instead of w8a16 would fit: ") for line in advice.sentences())
    assert in_w8a8(model).precision is Precision.W8A8
    tighter = advice_for(model, replace(place, ram_bytes=8), measure)
    assert not tighter.w8a8.fits
    assert tighter.narrower is None
    assert tighter.sentences()[0] == "no number of units would fit"


def test_four_bit_weights_are_advised_where_they_fit(tmp_path):
    model = random_model("lstm", inputs=64, units=24)
    measure = linked(tmp_path)
    flash, ram = measure(model)
    # A program with 4-bit weights has more code and stack, and saves half of the weights' bytes.
    place = board(flash - weights_bytes(model) // 6, ram + 1000)
    advice = advice_for(model, place, measure)
    assert advice.w4.fits
    assert any(line.startswith("4-bit weights would fit: ") for line in advice.sentences())
    four = in_w4(model)
    assert (four.precision_label, four.macs) == ("w4a8", model.macs)
    assert (advice.w4.flash_bytes, advice.w4.ram_bytes) == measure(four)
    core, folder = core_named(CORE), tmp_path / "run"
    folder.mkdir()
    sources = write_c(four, golden_vector(four))
    assert emulate(four, sources, core, probe_codes(four, 10, 5), folder).differing == 0
    # Nothing to say where flash has room, or no weight has more bits.
    assert advice_for(model, replace(place, flash_bytes=flash, ram_bytes=8), measure).w4 is None
    assert advice_for(four, board(1000, 20_000), measure).w4 is None


def test_advice_names_the_precision_of_the_weights():
    model = stored(random_model("lstm", W8A16, inputs=8, units=16), Storage.DENSE4)
    advice = advice_for(model, board(200, 20_000), known)
    assert any(line.startswith("w4a8 instead of w4a16 would") for line in advice.sentences())
    assert in_w8a8(model).storages == {Storage.DENSE4}


def test_a_narrower_sparse_model_stays_sparse():
    model = stored(random_model("gru_after", inputs=9, units=12), Storage.SPARSE8)
    cut = narrower(model, 7)
    assert cut.storages == {Storage.SPARSE8}
    assert weights_bytes(cut) < weights_bytes(model)


@pytest.mark.parametrize("rest", (0, 700))
def test_the_share_of_the_weights_fits_exactly(rest):
    model = random_model("lstm", inputs=8, units=16)
    weights = weights_bytes(model)
    place = board(rest + weights * 437 // 1000, 4096)
    advice = advice_for(model, place, lambda m: (weights_bytes(m) + rest, m.state_bytes))
    percent = advice.weights_percent
    assert rest + weights * percent / 100 <= place.flash_bytes
    assert rest + weights * (percent + 1) / 100 > place.flash_bytes
    assert percent == 43


def test_no_share_of_the_weights_fits_where_code_is_over_already():
    model = random_model("lstm", inputs=8, units=16)
    advice = advice_for(model, board(1000, 4096), lambda m: (weights_bytes(m) + 1001, 0))
    assert advice.weights_percent == 0
    assert any("smaller weights would not help" in line for line in advice.sentences())


def test_boards_with_room_are_those_whose_memories_hold_it():
    model = random_model("lstm", inputs=8, units=16)
    advice = advice_for(model, board(65_536, 20_480), lambda m: (300_000, 100_000))
    assert advice.boards == (
        "corstone-300",
        "esp32",
        "esp32-c3",
        "esp32-s3",
        "nano-33-ble",
        "nrf52840-dk",
        "nucleo-f446",
        "nucleo-f767",
        "nucleo-h743",
        "pico",
        "pico2",
        "pico2-riscv",
    )
    nowhere = advice_for(model, board(65_536, 20_480), lambda m: (50_000_000, 1))
    assert nowhere.boards == ()
    assert "boards with room for the unchanged model: none" in nowhere.sentences()


def test_ram_alone_over_asks_for_no_smaller_weights():
    model = random_model("lstm", inputs=8, units=16)
    advice = advice_for(model, board(65_536, 40), known)
    assert advice.weights_percent is None
    assert advice.w8a8 is None  # it is already
    assert advice.units == (("lstm_0", 16, 10),)


def test_a_model_that_fits_gets_no_advice():
    model = random_model("lstm", inputs=8, units=16)
    assert advice_for(model, board(65_536, 4096), known) is None
