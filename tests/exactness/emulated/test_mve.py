"""The Helium kernels in whole models: shapes that fill no vector, every level of optimization."""

import os
import shutil
from dataclasses import replace

import pytest

from edgernn.model.formats import Precision
from edgernn.model.layers import GateActivation
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import build, emulate, reference_trace
from edgernn_firmware_sim.emulator.tools import execute
from tests.support.models.hand_made import core_named
from tests.support.models.integer import CELLS, random_model
from tests.support.native.compilers import NATIVE, compile_c, require

pytestmark = pytest.mark.sampled(2)

PRECISIONS = [pytest.param(p, id=p.value) for p in Precision]
#: inputs, units, outputs: one tile, parts of a tile, whole blocks of 16 columns, and one over.
SHAPES = [(1, 1, 1), (3, 2, 5), (5, 3, 2), (17, 5, 3), (12, 16, 4), (1, 21, 3), (5, 33, 1)]
CLANG = ("--target=thumbv8.1m.main-none-eabi", "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard")

#: Stands in for gcc: objects of the model are clang's, all else, call graphs too, is gcc's.
GCC_THEN_CLANG = """#!/bin/sh
{gcc} "$@" || exit 1
case "$PWD" in */model) ;; *) exit 0 ;; esac
for word; do
    shift
    case "$word" in -fstack-usage | -fcallgraph-info=su) ;; *) set -- "$@" "$word" ;; esac
done
exec clang {target} "$@"
"""


def helium(*flags):
    """The core, with more flags for the compiler."""
    core = core_named("cortex-m55")
    return replace(core, flags=(*core.flags, *flags))


def run(model, core, folder, steps=40):
    """Run a model against the reference; return what was measured."""
    q_xs = probe_codes(model, steps, seed=5)
    folder.mkdir(exist_ok=True)
    sources = write_c(model, golden_vector(model))
    result = emulate(model, sources, core, q_xs, folder, reference_trace(model, q_xs))
    assert (result.differing, result.first_difference) == (0, "")
    return result


@pytest.mark.parametrize("common", [True, False], ids=["common", "apart"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_shapes_that_fill_no_vector(cell, precision, common, tmp_path):
    inputs, units, outputs = SHAPES[(CELLS.index(cell) + 2 * common) % len(SHAPES)]
    options = {"inputs": inputs, "units": units, "outputs": outputs, "common": common}
    run(random_model(cell, precision, kind="hostile", **options), helium(), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("common", [True, False], ids=["common", "apart"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_all_shapes(cell, precision, common, shape, tmp_path):
    inputs, units, outputs = shape
    options = {"inputs": inputs, "units": units, "outputs": outputs, "common": common}
    run(random_model(cell, precision, kind="hostile", **options), helium(), tmp_path, steps=300)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_hard_gates_and_every_cell_exponent(precision, tmp_path):
    for exponent in range(10, 15):
        model = random_model(
            "lstm", precision, inputs=3, units=7, kind="hostile",
            cell_exponent=exponent, gate_activation=GateActivation.HARD_SIGMOID,
        )  # fmt: skip
        run(model, helium(), tmp_path / str(exponent))


@pytest.mark.parametrize("level", ["-O0", "-Os", "-O3"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_level_of_optimization_gives_the_same_bits(precision, level, monkeypatch, tmp_path):
    command = tuple(level if word == "-O2" else word for word in build._COMPILE)
    assert level in command
    monkeypatch.setattr(build, "_COMPILE", command)
    monkeypatch.setattr(build, "STACK_BYTES", 8192)  # -O0 keeps every vector on the stack
    model = random_model("gru_before", precision, inputs=5, units=21, kind="hostile")
    run(model, helium(), tmp_path)


@pytest.mark.parametrize(
    "level",
    ["-O2", *(pytest.param(level, marks=pytest.mark.long) for level in ("-O0", "-Os", "-O3"))],
)
def test_clang_compiles_it_too(level, tmp_path):
    require("clang")
    command = ["clang", *CLANG, "-std=c99", "-ffreestanding", level, "-c"]
    compile_c(command, sorted(NATIVE.glob("*.c")), tmp_path)


@pytest.mark.parametrize("cell", ["gru_before", "lstm"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_clang_gives_the_same_bits(precision, cell, monkeypatch, tmp_path):
    require("clang")
    programs = tmp_path / "programs"
    programs.mkdir()
    script = programs / "arm-none-eabi-gcc"
    gcc = shutil.which("arm-none-eabi-gcc")
    script.write_text(GCC_THEN_CLANG.format(gcc=gcc, target=CLANG[0]))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    model = random_model(cell, precision, inputs=5, units=21, kind="hostile")
    run(model, helium(), tmp_path / "firmware")
    objects = (tmp_path / "firmware" / "model").glob("*.o")
    assert all(b"clang version" in path.read_bytes() for path in objects)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_vectors_are_used_and_pay(precision, tmp_path):
    # 128 units: the most common shape of the benchmarks, 16 columns a product.
    model = random_model("gru_after", precision, inputs=64, units=128, outputs=4)
    counts = {}
    for name, flags in (("mve", ()), ("dsp", ("-DEDGERNN_VARIANT=EDGERNN_DSP",))):
        result = run(model, helium(*flags), tmp_path / name, steps=5)
        listing = execute(
            "objdump",
            ["arm-none-eabi-objdump", "-d", "-marmv8.1-m.main", "firmware.elf"],
            tmp_path / name,
        )
        assert ("vmlava.s8" in listing) == (name == "mve")
        assert ("smlad" in listing) == (name == "dsp")
        counts[name] = result.instructions.median
    assert counts["mve"] < 0.45 * model.macs
    assert counts["mve"] < 0.4 * counts["dsp"]


def test_instructions_of_the_benchmarks_networks(tmp_path):
    # The measured counts of gcc 12, and a tenth more for other compilers.
    networks = {("gru_after", 32, 8): 2297, ("gru_after", 128, 64): 16598, ("lstm", 64, 8): 6326}
    for (cell, units, inputs), measured in networks.items():
        model = random_model(cell, inputs=inputs, units=units, outputs=4)
        result = run(model, helium(), tmp_path / f"{cell}-{units}", steps=5)
        assert result.instructions.most <= 1.1 * measured
