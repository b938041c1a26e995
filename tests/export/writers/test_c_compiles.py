"""The C sources: no warnings anywhere, no library, no writable data, no symbols but ours."""

import re
import subprocess

import pytest

from edgernn.model.formats import Precision
from tests.support.models.grid import dense_chain
from tests.support.models.integer import random_model
from tests.support.native.compilers import (
    NATIVE,
    SANITIZERS,
    compile_c,
    require,
    require_32_bit,
    symbols,
    write_model,
)

pytestmark = pytest.mark.sampled(2)

CELLS = ("simple_rnn", "lstm", "gru_before", "gru_after")
MATRIX = [
    [compiler, f"-std={standard}", bits]
    for compiler in ("gcc", "clang")
    for standard in ("c99", "c11")
    for bits in ("-m32", "-m64")
] + [["g++", "-x", "c++", f"-std={standard}"] for standard in ("c++11", "c++17")]
#: Small cores that lack a divider, a 64-bit multiplier, or both.
TARGETS = [
    ["gcc", "-m64"],
    ["gcc", "-m32"],
    ["clang", "--target=arm-none-eabi", "-mcpu=arm7tdmi", "-mthumb"],
    ["clang", "--target=arm-none-eabi", "-march=armv6", "-mthumb"],
    ["clang", "--target=thumbv6m-none-eabi"],
    ["clang", "--target=thumbv7em-none-eabi"],
    ["clang", "--target=thumbv7em-none-eabi", "-munaligned-access"],
    ["clang", "--target=riscv32", "-march=rv32imc"],
    ["clang", "--target=aarch64"],
]


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Sources of models that together use every kernel in both precisions."""
    folder = tmp_path_factory.mktemp("sources")
    sources = set()
    for p in Precision:
        for cell in CELLS:
            sources.update(write_model(random_model(cell, p), folder, f"{cell}_{p.value}"))
        sources.update(write_model(dense_chain(p), folder, f"chain_{p.value}"))
    return folder, sorted(sources)


def compile_objects(command, sources, folder):
    require(command[0], "nm")
    compile_c([*command, "-O2", "-c"], sources, folder)
    return [folder / f"{source.stem}.o" for source in sources]


@pytest.mark.parametrize("command", MATRIX, ids=" ".join)
def test_no_compiler_has_anything_to_say(command, generated, tmp_path):
    if "-m32" in command:
        require_32_bit()
    folder, sources = generated
    programs = [folder / "main.c", folder / "selftest_host.c"]
    objects = compile_objects(command, [*sources, *programs], tmp_path)
    assert all(path.stat().st_size > 0 for path in objects)


@pytest.mark.parametrize("target", TARGETS, ids=" ".join)
def test_nothing_is_needed_and_nothing_is_written_to(target, generated, tmp_path):
    # Addresses in position-independent constants would be written once, by the loader.
    command = [*target, "-std=c99", "-ffreestanding", "-fno-pie"]
    undefined, external, writable = symbols(compile_objects(command, generated[1], tmp_path))
    assert (undefined, writable) == (set(), set())
    names = "|".join(f"{cell}_{p.value}" for cell in (*CELLS, "chain") for p in Precision)
    assert [n for n in external if not re.match(rf"edgernn_|(?:{names})_", n)] == []
    assert {"edgernn_lstm8_step", "edgernn_gru_after16_step", "chain_w8a8_step"} <= external


def test_symbols_are_told_apart(tmp_path):
    require("gcc", "nm")
    source = tmp_path / "planted.c"
    source.write_text("int puts(const char *);\nextern int x;\nint x = 1;\nint f(void);\n")
    with source.open("a") as file:
        file.write('int f(void)\n{\n    return puts("") + x;\n}\n')
    objects = compile_objects(["gcc", "-fno-pie"], [source], tmp_path)
    assert symbols(objects) == ({"puts"}, {"f", "x"}, {"x"})


def test_the_kernels_name_no_library_and_no_wide_or_real_type():
    forbidden = r"\b(?:u?int64_t|long|float|double|malloc|printf|mem(?:cpy|set))\b"
    intrinsics = r"arm_mve\.h>|arm_neon\.h>|immintrin\.h>"
    forbidden += rf"|#include <(?!stdint\.h>|{intrinsics})"
    code = {path.relative_to(NATIVE).as_posix(): _code(path) for path in NATIVE.rglob("*.[ch]")}
    # Where registers have 512 bits, 64-bit words cost nothing.
    for name in ("isa/avx512/affine.h", "isa/avx512/rows8.h"):
        code[name] = re.sub(r"\buint64_t\b|#include <stddef\.h>", "", code[name])
    assert {name: re.findall(forbidden, text) for name, text in code.items()} == {
        name: [] for name in code
    }
    assert "static const uint16_t table" in code["common/curves.h"]


def _code(path):
    return re.sub(r"/\*.*?\*/", "", path.read_text(encoding="ascii"), flags=re.S)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("99", "expected EDGERNN_VARIANT to be EDGERNN_PORTABLE or another name of"),
        ("EDGERNN_DSP", "expected a little-endian core with the Arm DSP extension"),
        ("EDGERNN_THUMB1", "expected a compiler that may use the instructions of EDGERNN_VARIANT."),
        ("EDGERNN_RISCV", "expected a compiler that may use the instructions of EDGERNN_VARIANT."),
    ],
)
def test_a_variant_that_cannot_be_built_is_refused(variant, message):
    require("gcc")
    done = subprocess.run(
        ["gcc", f"-DEDGERNN_VARIANT={variant}", "-fsyntax-only", NATIVE / "edgernn_affine.c"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert message in done.stderr


#: What only the products of one variant have in their assembly.
SIGNS = {
    "EDGERNN_DSP": "smlad",
    "EDGERNN_THUMB1": "add\tr10, r6\n\tadd\tr11, r4",
    "EDGERNN_RISCV": "#APP\n\tli\t",
}
PORTABLE = "-DEDGERNN_VARIANT=EDGERNN_PORTABLE"


@pytest.mark.parametrize(
    ("options", "variant"),
    [
        ("--target=thumbv7em-none-eabi -munaligned-access", "EDGERNN_DSP"),
        ("--target=thumbv7em-none-eabi -mno-unaligned-access", "EDGERNN_DSP"),
        (f"--target=thumbv7em-none-eabi {PORTABLE}", None),
        ("--target=thumbebv7em-none-eabi", None),
        ("--target=thumbv7m-none-eabi", None),
        ("--target=armv6-none-eabi", None),
        ("--target=arm-none-eabi -mcpu=arm7tdmi -mthumb", None),
        ("--target=arm-none-eabi -march=armv6 -mthumb", "EDGERNN_THUMB1"),
        ("--target=thumbv6m-none-eabi", "EDGERNN_THUMB1"),
        (f"--target=thumbv6m-none-eabi {PORTABLE}", None),
        ("--target=thumbebv6m-none-eabi", None),
        ("--target=riscv32 -march=rv32imc", "EDGERNN_RISCV"),
        ("--target=riscv32 -march=rv32ic", None),
        (f"--target=riscv32 -march=rv32imc {PORTABLE}", None),
    ],
)
@pytest.mark.parametrize("level", ["-O0", "-Os", "-O2"])
def test_the_variant_follows_the_core(level, options, variant, tmp_path):
    require("clang")
    command = ["clang", *options.split(), "-std=c99", "-ffreestanding", level]
    compile_c([*command, "-S", "-o", "affine.s"], [NATIVE / "edgernn_affine.c"], tmp_path)
    assembly = (tmp_path / "affine.s").read_text()
    assert [name for name, sign in SIGNS.items() if sign in assembly] == [variant] * bool(variant)


@pytest.mark.parametrize("precision", Precision)
def test_the_self_test_passes_and_can_fail(precision, tmp_path):
    require("gcc")
    sources = write_model(random_model("lstm", precision), tmp_path)
    command = ["gcc", "-std=c99", *SANITIZERS]
    for program in ("main", "selftest_host"):
        compile_c([*command, "-o", program], [*sources, tmp_path / f"{program}.c"], tmp_path)
    assert subprocess.run([tmp_path / "main"], capture_output=True).stdout == b""
    assert _output(tmp_path) == (0, "PASS: 0 differing values\n")

    vectors = tmp_path / "model_test_vectors.h"
    text = vectors.read_text()
    for name in ("golden_y", "golden_layer0_lstm_0_c"):
        text = re.sub(rf"({name}\[\d+\] = {{\n +)(-?\d+)", lambda m: f"{m[1]}{int(m[2]) ^ 1}", text)
    vectors.write_text(text)
    for program in ("main", "selftest_host"):
        compile_c([*command, "-o", program], [*sources, tmp_path / f"{program}.c"], tmp_path)
    assert subprocess.run([tmp_path / "main"]).returncode == 1
    assert _output(tmp_path) == (1, "FAIL: 2 differing values\n")


def _output(folder):
    done = subprocess.run([folder / "selftest_host"], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout
