"""The Arduino library compiles as a board's tools compile it, and its sketch streams right."""

import re
import subprocess
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import edgernn
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel
from edgernn.model.interface import InputSpec
from edgernn_firmware_sim.reference.reference import Reference
from tests.support.models.integer import random_model
from tests.support.native.compilers import ROOT, SANITIZERS, WARNINGS, compile_c, require, symbols
from tests.support.native.package_folders import (
    STAND_INS,
    expect_another_output,
    run,
    write_package,
)

BOARD = STAND_INS / "arduino"
CXX = ("g++", *SANITIZERS, *WARNINGS, "-I", str(BOARD))
#: What an integer sketch needs of the compiler's library on a core without a divider: division of
#: 32 bits, and the jump tables of small code.
INTEGER_HELPERS = re.compile(r"__aeabi_u?idiv(mod)?|__gnu_thumb1_case_\w+")
#: What it needs of the board.
CORE = re.compile(r"\w*HardwareSerial\w*|Serial|\w*(analogRead|millis|delay)\w*")


def odd_model():
    """Channels whose fixed point has far more than 31 fractional bits, and fewer than none."""
    model = random_model("lstm", Precision.W8A16)
    spec = InputSpec(
        names=("tiny", "huge", "far"), units=("F", "Hz", "K"),
        scale=np.array([1e-30, 3e7, 2.0**-7]), offset=np.array([0.0, 1e9, 300.0]),
    )  # fmt: skip
    return replace(model, input=spec)


MODELS = {
    "demo": IntegerModel.load(ROOT / "edgernn" / "data" / "demo.edgernn"),
    "w8a8": random_model("gru_before", Precision.W8A8),
    "odd": odd_model(),
}


def build(folder, standard="c++11"):
    """Compile every source in src/, as Arduino does, and the sketch; return the program."""
    compile_c(["gcc", "-c", "-std=c99", *SANITIZERS], sorted(folder.rglob("src/**/*.c")), folder)
    sketch = folder / "examples" / "ReadSensor" / "ReadSensor.ino"
    command = [
        *CXX, f"-std={standard}", "-I", "src", "-include", "Arduino.h", "-x", "c++", str(sketch),
        str(BOARD / "board.cpp"), "-x", "none", *map(str, folder.glob("*.o")), "-o", "sketch",
    ]  # fmt: skip
    run(command, folder)
    return folder / "sketch"


def outputs(model, x):
    """Output codes of a stream of physical readings, by the reference."""
    q_x = np.stack([model.interface().quantize(reading) for reading in x])
    return Reference(model).run(q_x)[0]


def stream(program, model, counts):
    """Output codes that the sketch prints for a stream of counts."""
    text = "".join(f"{' '.join(map(str, row))}\n" for row in counts)
    lines = run([str(program)], program.parent, text=text).splitlines()
    printed = np.array([[float(cell) for cell in line.split(",")] for line in lines])
    return np.round(printed / model.output.scale).astype(int)


def ends(model):
    low, high = model.precision.input_low, model.precision.input_high
    return [model.input.offset + q * model.input.scale for q in (low, high)]


@pytest.fixture(autouse=True)
def _tools():
    require("gcc", "g++")


@pytest.mark.parametrize("standard", ["c++11", "c++17"])
@pytest.mark.parametrize("name", MODELS)
def test_the_sketch_prints_the_outputs_of_the_reference(tmp_path, name, standard):
    model = MODELS[name]
    program = build(write_package(model, tmp_path, "arduino"), standard)
    counts = np.random.default_rng(0).integers(0, 1024, (60, model.input.width))
    counts[:2] = [[0], [1023]]
    low, high = ends(model)
    wanted = outputs(model, low + (high - low) * counts / 1023)
    assert len(np.unique(wanted)) > 20
    assert stream(program, model, counts).tolist() == wanted.tolist()


def test_the_sketch_takes_sensors_that_reach_beyond_the_network_and_fall(tmp_path):
    model = random_model("gru_after", Precision.W8A16)
    folder = write_package(model, tmp_path, "arduino")
    sketch = folder / "examples" / "ReadSensor" / "ReadSensor.ino"
    low, high = ends(model)
    sensors = [(40 * high[0], 50 * low[0]), (low[1] / 8, high[1] / 7), (1e7, -1e7)]
    text = sketch.read_text()
    for i, (zero, full) in enumerate(sensors):
        text, changed = re.subn(rf"sensor\(A{i}, .*?, .*?,", f"sensor(A{i}, {zero}, {full},", text)
        assert changed == 1
    sketch.write_text(text.replace("FULL_COUNTS = 1023", "FULL_COUNTS = 4095"))
    counts = np.random.default_rng(1).integers(0, 4096, (80, 3))
    counts[:, 0] = np.clip(counts[:, 0], 1780, 1860)
    zero, full = np.array(sensors, dtype=float).T
    wanted = outputs(model, zero + (full - zero) * counts / 4095)
    assert stream(build(folder), model, counts).tolist() == wanted.tolist()


def test_the_sketch_stops_where_the_self_test_fails(tmp_path):
    folder = write_package(MODELS["w8a8"], tmp_path, "arduino")
    expect_another_output(folder)
    done = subprocess.run(
        [build(folder)], input="1 2 3\n", capture_output=True, text=True, check=False
    )
    printed = "FAIL: this build does not compute the network's bits\n"
    assert (done.returncode, done.stdout) == (3, printed)


def test_the_sketch_stops_where_a_constant_has_changed(tmp_path):
    folder = write_package(MODELS["w8a8"], tmp_path, "arduino")
    source = folder / "src" / "model.c"
    text, count = re.subn(r"(output_channels\[2\] = {\n    {)\d+", r"\g<1>7", source.read_text())
    assert count == 1
    source.write_text(text)
    done = subprocess.run(
        [build(folder)], input="1 2 3\n", capture_output=True, text=True, check=False
    )
    printed = "FAIL: the constants in flash are not those that were exported\n"
    assert (done.returncode, done.stdout) == (3, printed)


def test_the_library_and_its_sketch_compile_for_a_small_core_without_floating_point(tmp_path):
    require("arm-none-eabi-gcc", "nm")
    folder = write_package(MODELS["demo"], tmp_path, "arduino")
    board = ["-mcpu=cortex-m0plus", "-mthumb", "-Os", "-ffreestanding", "-c"]
    compile_c(["arm-none-eabi-gcc", *board], sorted(folder.rglob("src/**/*.c")), folder)
    sketch = folder / "examples" / "ReadSensor" / "ReadSensor.ino"
    command = [
        "arm-none-eabi-g++", *board, "-std=gnu++11", "-fno-exceptions", *WARNINGS,
        "-I", str(BOARD), "-I", "src", "-include", "Arduino.h", "-x", "c++", str(sketch),
    ]  # fmt: skip
    run(command, folder)
    missing, _, _ = symbols(folder.glob("*.o"))
    assert any(CORE.fullmatch(name) for name in missing)
    assert [n for n in missing if not (CORE.fullmatch(n) or INTEGER_HELPERS.fullmatch(n))] == []


def test_two_libraries_join_one_program(tmp_path):
    # With dot_a_linkage every library becomes an archive, as PlatformIO makes them anyway.
    for name, prefix in (("w8a8", "one"), ("odd", "two")):
        folder = write_package(MODELS[name], tmp_path, "arduino", name=prefix, prefix=prefix)
        assert "dot_a_linkage=true\n" in (folder / "library.properties").read_text()
        compile_c(["gcc", "-c"], sorted((folder / "src").glob("*.c")), folder)
        run(["ar", "rcs", "lib.a", *(p.name for p in folder.glob("*.o"))], folder)
    calls = " + ".join(f"{p}_self_test(&{p}_state)" for p in ("one", "two"))
    (tmp_path / "main.cc").write_text(
        '#include "one.h"\n#include "two.h"\n'
        "static one_state_t one_state;\nstatic two_state_t two_state;\n"
        f"int main() {{ return {calls}; }}\n"
    )
    includes = ["-I", "one_edgernn/src", "-I", "two_edgernn/src"]
    archives = ["one_edgernn/lib.a", "two_edgernn/lib.a"]
    run(["g++", *WARNINGS, *includes, "main.cc", *archives, "-o", "both"], tmp_path)
    run([str(tmp_path / "both")], tmp_path)


def test_the_properties_are_those_arduino_asks_for(tmp_path):
    folder = write_package(MODELS["w8a8"], tmp_path, "arduino", name="_Air 2", prefix="gas")
    lines = (folder / "library.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    assert properties.keys() == {
        "name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url",
        "architectures", "includes", "dot_a_linkage",
    }  # fmt: skip
    assert all(properties.values())
    assert properties["name"] == folder.name == "Air_2_edgernn"
    assert properties["version"] == edgernn.__version__
    assert properties["category"] == "Data Processing"
    assert (folder / "src" / properties["includes"]).is_file()
    examples = [p.name for p in (folder / "examples").rglob("*.ino")]
    assert examples == [f"{p.name}.ino" for p in (folder / "examples").iterdir()]


# ---------------------------------------------------------------- fixed_point.h


def fixed_point(tmp_path, lines):
    """What the functions of the sketch's header answer, line by line."""
    package = write_package(MODELS["w8a8"], tmp_path, "arduino")
    header = package / "examples" / "ReadSensor"
    sources = [str(BOARD / name) for name in ("fixed_point_main.cpp", "board.cpp")]
    run([*CXX, "-std=c++11", "-I", str(header), *sources, "-o", "fixed"], tmp_path)
    return run([str(tmp_path / "fixed")], tmp_path, text="\n".join(lines)).splitlines()


def test_fixed_point_numbers_are_printed_with_six_digits(tmp_path):
    values = [0, 1, -1, 5, 999999, 1000000, 123456789, -(2**31), 2**31 - 1, 2**30]
    cases = [(v, bits) for v in values for bits in (-90, -31, -1, 0, 1, 3, 20, 27, 31, 40, 120)]
    printed = fixed_point(tmp_path, [f"print {v} {bits}" for v, bits in cases])
    for (value, bits), text in zip(cases, printed, strict=True):
        wanted = Fraction(value) / Fraction(2) ** bits
        assert re.fullmatch(r"-?\d+(\.\d*[1-9]|e-?\d+)?", text)
        assert abs(Fraction(text) - wanted) <= abs(wanted) * Fraction(56, 10**7)
    assert "-0.5" in printed and "0.125" in printed


def test_counts_become_readings_without_overflow(tmp_path):
    rng = np.random.default_rng(2)
    edges = [-(2**30), 2**30, 0, -1, 1]
    cases = [(a, b, 0, n, f) for a in edges for b in edges for f in (1, 255, 65535) for n in (0, f)]
    for _ in range(3000):
        a, b = (int(v) for v in rng.integers(-(2**30), 2**30 + 1, 2))
        full = int(rng.choice([1023, 4095, 65535]))
        cases.append((a, b, int(rng.choice([0, 1, 7, 40])), int(rng.integers(0, full + 9)), full))
    printed = fixed_point(tmp_path, [f"read {' '.join(map(str, case))}" for case in cases])
    for (zero, full, shift, counts, scale), text in zip(cases, printed, strict=True):
        exact = zero + Fraction((full - zero) * min(counts, scale), scale)
        if shift == 0:
            assert abs(int(text) - exact) <= Fraction(1, 2)
        near = [n * 2**shift for n in (int(exact) - 1, int(exact), int(exact) + 1)]
        limit = 2**31 - 1
        assert int(text) in [n if abs(n) <= limit else limit * (1 if n > 0 else -1) for n in near]
