"""The generated firmware on every emulated core: 0 LSB, every output and state of every step."""

from functools import cache

import pytest

from edgernn.formats import Precision
from edgernn_export.probe import golden_vector, probe_codes
from edgernn_export.writers.c_source import write_c
from edgernn_firmware_sim.emulator import emulate, reference_trace
from tests.emulated.hand_made import CORES, core_named
from tests.integer_models import CELLS, random_model

PRECISIONS = [pytest.param(p, id=p.value) for p in Precision]


@cache
def case(cell, precision, steps, **options):
    """Model, generated sources, stream and reference trace, shared by all cores."""
    model = random_model(cell, precision, inputs=3, units=8, **options)
    q_xs = probe_codes(model, steps, seed=5)
    sources = write_c(model, golden_vector(model))
    return model, sources, q_xs, reference_trace(model, q_xs)


def emulated(core_name, folder, cell, precision, steps, **options):
    core = core_named(core_name)
    model, sources, q_xs, wanted = case(cell, precision, steps, **options)
    return model, emulate(model, sources, core, q_xs, folder, wanted)


def check(model, result, steps):
    assert (result.differing, result.first_difference) == (0, "")
    per_step = model.output.width + sum(spec.units for spec in model.states)
    assert result.compared == steps * per_step
    assert result.instructions.steps == steps
    # Each multiply-accumulate of the portable kernels is at least one instruction.
    assert model.macs < result.instructions.least <= result.instructions.median
    assert result.sizes.rodata_bytes > sum(
        term.weights.nbytes for cl in model.layers for a in cl.affines.values() for term in a.terms
    )
    assert result.struct_bytes >= model.state_bytes
    assert 0 < result.stack_bytes < 1024


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_core_gives_the_reference_s_bits(cell, precision, core, tmp_path):
    model, result = emulated(core, tmp_path, cell, precision, 200)
    check(model, result, 200)


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_long_streams_into_saturated_gates(cell, precision, core, tmp_path):
    model, result = emulated(core, tmp_path, cell, precision, 2000, kind="hostile", common=False)
    check(model, result, 2000)


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_stack_without_dense(precision, core, tmp_path):
    model, result = emulated(core, tmp_path, "lstm", precision, 2000, stack=3, outputs=0)
    check(model, result, 2000)


@pytest.mark.parametrize("core", CORES)
def test_counts_are_the_same_in_every_run(core, tmp_path):
    results = []
    for run in ("first", "second"):
        folder = tmp_path / run
        folder.mkdir()
        results.append(emulated(core, folder, "gru_after", Precision.W8A8, 200)[1])
    assert results[0] == results[1]
    counts = [(tmp_path / run / "counts.txt").read_bytes() for run in ("first", "second")]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("core", CORES)
def test_weights_of_another_model_are_seen(core, tmp_path):
    model, sources, q_xs, wanted = case("gru_after", Precision.W8A8, 200)
    other = random_model("gru_after", inputs=3, units=8, seed=1)
    strange = write_c(other, golden_vector(other))
    assert set(strange) == set(sources)
    result = emulate(model, strange, core_named(core), q_xs, tmp_path, wanted)
    assert result.differing > 0
    assert result.first_difference.startswith("step ")
