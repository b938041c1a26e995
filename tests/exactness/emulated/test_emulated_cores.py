"""The generated firmware on every emulated core: 0 LSB, every output and state of every step."""

import shutil
from functools import cache

import pytest

from edgernn.model.formats import Precision
from edgernn_export.writers.c.kernels.files import STORAGE_HEADER, storage_header
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate, reference_trace
from tests.support.models.hand_made import CORES, EACH_CODE, core_named
from tests.support.models.integer import CELLS, random_model, sparse_model
from tests.support.native.compilers import NATIVE, compile_c, require

PRECISIONS = [pytest.param(p, id=p.value) for p in Precision]
#: Combinations that `make test-long` adds.
LONG = pytest.mark.long


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
    # Loads, pairs and rounding of so few columns are at least one instruction per product.
    assert model.macs < result.instructions.least <= result.instructions.median
    assert result.sizes.rodata_bytes > sum(
        term.weights.nbytes for cl in model.layers for a in cl.affines.values() for term in a.terms
    )
    assert result.struct_bytes >= model.state_bytes
    assert 0 < result.stack_bytes <= result.static_stack_bytes < 1024


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_core_gives_the_reference_s_bits(cell, precision, core, tmp_path):
    model, result = emulated(core, tmp_path, cell, precision, 200)
    check(model, result, 200)


@pytest.mark.slow
@pytest.mark.parametrize(
    "core", [core if core == "cortex-m4" else pytest.param(core, marks=LONG) for core in CORES]
)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_long_streams_into_saturated_gates(cell, precision, core, tmp_path):
    model, result = emulated(core, tmp_path, cell, precision, 2000, kind="hostile", common=False)
    check(model, result, 2000)


@pytest.mark.slow
@pytest.mark.parametrize("core", EACH_CODE)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_stack_without_dense(precision, core, tmp_path):
    model, result = emulated(core, tmp_path, "lstm", precision, 2000, stack=3, outputs=0)
    check(model, result, 2000)


@pytest.mark.parametrize("core", EACH_CODE)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_rows_and_columns_that_fill_no_block(precision, core, tmp_path):
    # 21 columns start at every alignment and 3 of 63 rows are left over; so are 5 and 26 columns.
    model = random_model("gru_after", precision, inputs=5, units=21, common=False)
    q_xs = probe_codes(model, 100, seed=5)
    wanted = reference_trace(model, q_xs)
    sources = write_c(model, golden_vector(model))
    result = emulate(model, sources, core_named(core), q_xs, tmp_path, wanted)
    assert (result.differing, result.first_difference) == (0, "")


def sparse_result(core, folder, precision, density, **options):
    model = random_model(precision=precision, kind="hostile", **options)
    model = sparse_model(model, density)
    q_xs = probe_codes(model, 40, seed=5)
    wanted = reference_trace(model, q_xs)
    sources = write_c(model, golden_vector(model))
    return emulate(model, sources, core_named(core), q_xs, folder, wanted)


@pytest.mark.parametrize("core", EACH_CODE)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_block_sparse_weights(precision, core, tmp_path):
    # Maps of two products and of one; rows and columns that fill no tile.
    shape = {"inputs": 9, "units": 21, "common": False}
    result = sparse_result(core, tmp_path, precision, 0.4, cell="gru_after", **shape)
    assert (result.differing, result.first_difference) == (0, "")
    assert 0 < result.stack_bytes <= result.static_stack_bytes < 1024


@pytest.mark.parametrize("core", EACH_CODE)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_more_sparse_tiles_than_sums_hold_columns(precision, core, tmp_path):
    shape = {"inputs": 520, "units": 4}
    result = sparse_result(core, tmp_path, precision, 1.0, cell="simple_rnn", **shape)
    assert (result.differing, result.first_difference) == (0, "")


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m55", "rv32imc"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_tiles_that_are_left_out_take_no_time(precision, core, tmp_path):
    model = random_model("gru_after", precision, inputs=32, units=64)
    medians = {}
    for name, m in {"dense": model, "sparse": sparse_model(model, 0.3)}.items():
        folder = tmp_path / name
        folder.mkdir()
        q_xs = probe_codes(m, 3, seed=5)
        result = emulate(m, write_c(m, golden_vector(m)), core_named(core), q_xs, folder)
        assert result.differing == 0
        medians[name] = result.instructions.median
    least = 1.15 if core == "cortex-m55" else 1.5
    assert medians["dense"] > least * medians["sparse"]


@pytest.mark.parametrize("level", [pytest.param("-O0", marks=LONG), "-Os", "-O3"])
@pytest.mark.parametrize("core", EACH_CODE)
def test_registers_suffice_at_every_level(core, level, tmp_path):
    core = core_named(core)
    command = [core.compiler, *core.flags, "-std=c99", "-ffreestanding", level, "-c"]
    compile_c(command, sorted(NATIVE.glob("*.c")), tmp_path)


@pytest.mark.parametrize(
    "level",
    ["-O2", *(pytest.param(level, marks=LONG) for level in ("-O0", "-Og", "-Os", "-O3"))],
)
@pytest.mark.parametrize("abi", [pytest.param("softfp", marks=LONG), "hard"])
@pytest.mark.parametrize(
    "fpu",
    [
        "-mcpu=cortex-m4 -mfpu=fpv4-sp-d16",
        "-mcpu=cortex-m7 -mfpu=fpv5-d16",
        "-mcpu=cortex-m33 -mfpu=fpv5-sp-d16",
        "-mcpu=cortex-m55",
    ],
)
def test_registers_suffice_beside_an_fpu(fpu, abi, level, tmp_path):
    # As makers' projects are built; GCC then hands out fewer registers.
    require("arm-none-eabi-gcc")
    command = ["arm-none-eabi-gcc", "-mthumb", *fpu.split(), f"-mfloat-abi={abi}", "-std=c99"]
    command += ["-ffreestanding", level, "-c"]
    compile_c(command, sorted(NATIVE.glob("*.c")), tmp_path)
    # Where all weights are dense, maps have loops of their own.
    kernels = tmp_path / "dense"
    shutil.copytree(NATIVE, kernels)
    header = kernels / STORAGE_HEADER
    text = storage_header(header.read_text("ascii"), frozenset())
    header.write_text(text, "ascii")
    compile_c(command, [kernels / "edgernn_affine.c"], tmp_path)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_pairs_are_multiplied_where_the_core_can(precision, tmp_path):
    model = random_model("gru_after", precision, inputs=32, units=32)
    q_xs = probe_codes(model, 5, seed=5)
    sources = write_c(model, golden_vector(model))
    wanted = reference_trace(model, q_xs)
    medians = {}
    for name in ("cortex-m3", "cortex-m4"):
        folder = tmp_path / name
        folder.mkdir()
        result = emulate(model, sources, core_named(name), q_xs, folder, wanted)
        assert result.differing == 0
        medians[name] = result.instructions.median
    assert medians["cortex-m4"] < 0.8 * medians["cortex-m3"]


@pytest.mark.parametrize("core", EACH_CODE)
def test_counts_are_the_same_in_every_run(core, tmp_path):
    results = []
    for run in ("first", "second"):
        folder = tmp_path / run
        folder.mkdir()
        results.append(emulated(core, folder, "gru_after", Precision.W8A8, 200)[1])
    assert results[0] == results[1]
    counts = [(tmp_path / run / "addresses.txt").read_bytes() for run in ("first", "second")]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("core", EACH_CODE)
def test_weights_of_another_model_are_seen(core, tmp_path):
    model, sources, q_xs, wanted = case("gru_after", Precision.W8A8, 200)
    other = random_model("gru_after", inputs=3, units=8, seed=1)
    strange = write_c(other, golden_vector(other))
    assert set(strange) == set(sources)
    result = emulate(model, strange, core_named(core), q_xs, tmp_path, wanted)
    assert result.differing > 0
    assert result.first_difference.startswith("step ")
