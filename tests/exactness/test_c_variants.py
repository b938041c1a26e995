"""Every variant of the kernels: the reference's bits, within its arrays, by its instructions."""

import re
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from edgernn.model.formats import Precision
from edgernn.model.storage import Storage
from tests.exactness.twin import scalar
from tests.support.models.integer import CELLS, random_model, sparse_model
from tests.support.models.stored import stored
from tests.support.native.compilers import NATIVE, PACKAGES, SANITIZERS, compile_c, require
from tests.support.native.stream_programs import (
    build,
    expected,
    run,
    stream_models,
    write_codes,
    write_sources,
)
from tests.support.native.variants import OTHER_COMPILERS, RARE, VARIANTS, parameters, runnable

#: Vectors that end in the middle of every variant's registers.
UNEVEN = {
    f"{cell}-{p.value}-{units}": random_model(cell, p, units=units, inputs=5, kind="hostile")
    for cell, p, units in product(CELLS, Precision, (1, 5, 19))
}
#: More operands than any variant keeps apart.
MANY = {"many-operands": random_model("lstm", Precision.W8A8, units=5, inputs=600)}
#: Every cell with most tiles left out, one and two products a map, full and single tiles.
SPARSE = {
    f"sparse-{cell}-{p.value}-{common}": sparse_model(
        random_model(cell, p, units=19, inputs=21, outputs=5, kind="hostile", common=common), 0.4
    )
    for cell, p, common in product(CELLS, Precision, (True, False))
}
SPARSE |= {
    f"sparse-{p.value}-{density}": sparse_model(
        random_model("lstm", p, units=5, inputs=300, kind="hostile"), density
    )
    for p, density in product(Precision, (0.0, 1.0))
}
#: More tiles than sums have room for, in one of two products.
SPARSE |= {
    f"wide-{p.value}-{x.value}-{h.value}": stored(
        random_model("simple_rnn", p, inputs=600, units=5, common=False), x, h, density=0.95
    )
    for p, (x, h) in product(
        Precision,
        [
            (Storage.SPARSE8, Storage.SPARSE8),
            (Storage.SPARSE8, Storage.DENSE8),
            (Storage.DENSE8, Storage.SPARSE8),
        ],
    )
}
#: Every cell with 4-bit weights; beside others in one map; more columns than sums have room for.
INT4 = {
    f"int4-{cell}-{p.value}": stored(
        random_model(cell, p, units=19, inputs=21, outputs=5, kind="hostile"), Storage.DENSE4
    )
    for cell, p in product(CELLS, Precision)
}
INT4 |= {
    f"mixed-{cell}-{p.value}": stored(
        random_model(cell, p, units=13, inputs=6, stack=2, kind="hostile", common=False),
        Storage.DENSE4,
        Storage.DENSE8,
        Storage.SPARSE8,
        Storage.DENSE4,
        Storage.DENSE4,
    )
    for cell, p in product(("lstm", "gru_after", "gru_before"), Precision)
}
INT4 |= {
    f"int4-many-{p.value}": stored(random_model("lstm", p, units=5, inputs=512), Storage.DENSE4)
    for p in Precision
}
MODELS = {**stream_models(), **UNEVEN, **MANY, **SPARSE, **INT4}
STEPS = 120
LONG_STEPS = 2_000
SUPPORT = Path(__file__).parents[1] / "support" / "native"
EDGES = [SUPPORT / "variant_edges.c", *sorted(NATIVE.glob("*.c"))]
ACTIVATIONS = (
    lambda z: z,
    lambda z: max(z, 0),
    scalar.tanh,
    scalar.sigmoid,
    scalar.hard_sigmoid,
)


def each(variants, rare=OTHER_COMPILERS):
    """Every variant; the rare ones are in `make test-long`."""
    return pytest.mark.parametrize("variant", parameters(variants, rare))


def options(variant):
    """Compiler and options; programs of this machine's own processor check themselves."""
    checked = not variant.runner and variant.command[0] == "gcc"
    return [*variant.command, "-std=c99", "-O2", *(SANITIZERS if checked else ())]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants")
    return folder, write_sources(MODELS, folder)


@pytest.fixture(scope="module")
def programs(sources):
    """Stream programs by variant, each built once."""
    built = {}

    def of(variant):
        require(*variant.tools)
        if variant not in built:
            folder, files = sources
            built[variant] = build(options(variant), files, folder, variant.name)
        return built[variant]

    return of


@pytest.fixture(scope="module")
def wanted():
    return {name: expected(model, STEPS).tobytes() for name, model in MODELS.items()}


@pytest.fixture(scope="module")
def wanted_long():
    return {name: expected(model, LONG_STEPS).tobytes() for name, model in MODELS.items()}


def differing(got, wanted):
    return [name for name, codes in zip(wanted, got, strict=True) if codes != wanted[name]]


@each(runnable(), RARE)
def test_zero_lsb(variant, programs, wanted, tmp_path):
    write_codes(MODELS, tmp_path / "codes", STEPS)
    got = run(programs(variant), tmp_path / "codes", variant.runner)
    assert differing(got, wanted) == []


@pytest.mark.long
@each(runnable())
def test_zero_lsb_over_long_streams(variant, programs, wanted_long, tmp_path):
    write_codes(MODELS, tmp_path / "codes", LONG_STEPS)
    got = run(programs(variant), tmp_path / "codes", variant.runner)
    assert differing(got, wanted_long) == []


def edges(variant, folder, *arguments):
    require(*variant.tools)
    program = folder / "edges"
    compile_c([*options(variant), "-I", str(NATIVE), "-o", str(program)], EDGES, folder)
    return subprocess.run([*variant.runner, program, *arguments], capture_output=True, check=False)


@pytest.mark.sampled(2)
@each(runnable())
def test_every_small_length_within_its_arrays(variant, tmp_path):
    done = edges(variant, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@each(runnable())
def test_all_codes_through_activations_and_operands(variant, tmp_path):
    done = edges(variant, tmp_path, "codes")
    assert (done.returncode, done.stderr) == (0, b"")
    *activations, operands8, operands16 = np.frombuffer(done.stdout, np.int16).reshape(7, -1)
    codes = range(-32768, 32768)
    for got, function in zip(activations, ACTIVATIONS, strict=True):
        assert got.tolist() == [function(z) for z in codes]
    assert operands8.tolist() == [min(scalar.R(v, 8), 127) for v in codes]
    assert operands16.tolist() == [4 * scalar.R(v, 3) for v in codes]


@each(VARIANTS)
def test_products_are_the_instructions_of_the_variant(variant, tmp_path):
    require(variant.command[0])
    command = [*variant.command, "-std=c99", "-O2", "-S", "-o", "affine.s"]
    compile_c(command, [NATIVE / "edgernn_affine.c"], tmp_path)
    found = set(re.findall(r"^\s+([a-z][\w.]*)", (tmp_path / "affine.s").read_text(), re.M))
    every = {name for v in VARIANTS for name in v.instructions}
    assert found & every == set(variant.instructions)


@pytest.mark.sampled(2)
@each(VARIANTS)
@pytest.mark.parametrize("level", ["-O0", "-O3"])
def test_no_compiler_has_anything_to_say_about_a_variant(variant, level, tmp_path):
    require(variant.command[0])
    compile_c([*variant.command, "-std=c99", level, "-c"], sorted(NATIVE.glob("*.c")), tmp_path)


@pytest.mark.sampled(2)
@each([v for v in VARIANTS if not v.runner and v.command[0] == "gcc"])
def test_a_variant_is_cpp_too(variant, tmp_path):
    require("g++")
    command = ["g++", *variant.command[1:], "-x", "c++", "-O2", "-c"]
    compile_c(command, sorted(NATIVE.glob("*.c")), tmp_path)


def test_a_variant_that_the_compiler_may_not_use_is_refused():
    require("gcc")
    for name in ("EDGERNN_AVX2", "EDGERNN_AVX512", "EDGERNN_NEON", "EDGERNN_DOT"):
        done = subprocess.run(
            ["gcc", f"-DEDGERNN_VARIANT={name}", "-fsyntax-only", NATIVE / "edgernn_affine.c"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "expected a compiler that may use the instructions of EDGERNN_VARIANT" in done.stderr


def test_every_tool_has_a_package():
    assert {tool for v in VARIANTS for tool in v.tools} <= set(PACKAGES)
