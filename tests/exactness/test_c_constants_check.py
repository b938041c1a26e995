"""The check of a generated model finds every changed bit of its constants, in every layout."""

import dataclasses
import re
import shutil
import struct
import subprocess
from itertools import product
from pathlib import Path

import pytest

from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn.model.layers import GateActivation
from edgernn.model.storage import Storage
from edgernn_export.writers.c.kernels.files import STORAGE_HEADER
from tests.support.models.grid import dense_chain
from tests.support.models.integer import CELLS, random_model
from tests.support.models.networks import head_network
from tests.support.models.stored import stored
from tests.support.native.compilers import (
    NATIVE,
    SANITIZERS,
    compile_c,
    require,
    require_32_bit,
    write_model,
)
from tests.support.native.variants import PORTABLE, runnable

pytestmark = pytest.mark.sampled(2)

FLIPS = Path(__file__).parents[1] / "support" / "native" / "flips.h"
SMALL = {"inputs": 3, "units": 5}
MODELS = {f"{c}-{p.value}": random_model(c, p, **SMALL) for c, p in product(CELLS, Precision)}
MODELS |= {f"chain-{p.value}": dense_chain(p) for p in Precision}
MODELS |= {
    f"stored-{p.value}": stored(
        random_model("gru_before", p, inputs=9, units=6, stack=2, common=False),
        Storage.SPARSE8,
        Storage.DENSE4,
        Storage.DENSE8,
        Storage.DENSE4,
        Storage.SPARSE8,
    )
    for p in Precision
}
MODELS |= {f"network-{p.value}": head_network(p) for p in Precision}
MODELS["hard"] = random_model("lstm", **SMALL, gate_activation=GateActivation.HARD_SIGMOID)
MODELS["window"] = dataclasses.replace(random_model("lstm", **SMALL), window=Window(steps=6, hop=2))
#: Bodies of the kernels' records by name.
STRUCTS = {
    name: body
    for header in ("edgernn_affine.h", "edgernn_border.h", "edgernn_kernels.h", "edgernn_ops.h")
    for body, name in re.findall(
        r"typedef struct \{\n(.*?)\} (\w+);", (NATIVE / header).read_text(), re.S
    )
}


def entry(name, size):
    return f'    {{"{name}", &{name}, {size}}},'


def members(ctype, name):
    """Every member of a record, as the headers of the kernels have it."""
    for line in STRUCTS[ctype].splitlines():
        found = re.match(r"    (?:const )?(\w+) (\*?)(\w+);", line)
        if found is None:
            assert line.startswith("#"), line
            yield line
        elif found[2] or found[1] not in STRUCTS:
            yield entry(f"{name}.{found[3]}", f"sizeof {name}.{found[3]}")
        else:
            yield from members(found[1], f"{name}.{found[3]}")


def places(text):
    """Every constant of a generated source."""
    for ctype, name, count in re.findall(r"^static const .*?(\w+) (\w+)(\[.*\])? = {$", text, re.M):
        if not count:
            yield from members(ctype, name)
        elif ctype in STRUCTS:
            for index in range(int(count[1:-1])):
                yield from members(ctype, f"{name}[{index}]")
        else:
            ahead = " - EDGERNN_READ_AHEAD" if "READ_AHEAD" in count else ""
            yield entry(name, f"sizeof {name}{ahead}")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Sources of one program: all models with their constants writable, and the kernels."""
    folder = tmp_path_factory.mktemp("flips")
    shutil.copy(FLIPS, folder)
    files = {folder / "flips_main.c"}
    calls = []
    for index, (name, model) in enumerate(MODELS.items()):
        prefix = f"m{index}"
        files |= {p for p in write_model(model, folder, prefix) if p.name.startswith("edgernn_")}
        text = (folder / f"{prefix}.c").read_text()
        table = "\n".join(places(text))
        assert table.count("_weights, sizeof") == text.count("EDGERNN_READ_AHEAD") > 0
        source = folder / f"{prefix}_flips.c"
        source.write_text(
            f'#include "flips.h"\n{text.replace("static const ", "static ")}\n'
            f"static const place places[] = {{\n{table}\n}};\n"
            f"int {prefix}_flips(void);\nint {prefix}_flips(void)\n{{\n"
            f'    return flips("{name}", places, sizeof places / sizeof places[0], {prefix}_check);'
            "\n}\n"
        )
        source.write_text("#include <stdint.h>\n" + source.read_text())
        files.add(source)
        calls.append(prefix)
    shutil.copy(NATIVE / STORAGE_HEADER, folder)  # for all of them
    declared = "".join(f"int {p}_flips(void);\n" for p in calls)
    missed = "".join(f"    missed += {p}_flips();\n" for p in calls)
    (folder / "flips_main.c").write_text(
        f"{declared}int main(void)\n{{\n    int missed = 0;\n{missed}    return missed != 0;\n}}\n"
    )
    return sorted(files)


def none_missed(command, runner, sources, folder):
    program = folder / "flips"
    options = ["-std=c99", "-O2", "-I", str(sources[0].parent), "-o", str(program)]
    compile_c([*command, *options], sources, folder)
    done = subprocess.run([*runner, program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("variant", runnable(), ids=lambda v: v.name)
def test_no_changed_bit_of_any_constant_is_missed(variant, sources, tmp_path):
    require(*variant.tools)
    checked = not variant.runner and variant.command[0] == "gcc"
    command = [*variant.command, *(SANITIZERS if checked else ())]
    none_missed(command, variant.runner, sources, tmp_path)


def test_no_changed_bit_is_missed_where_pointers_and_enumerations_are_short(sources, tmp_path):
    require_32_bit()
    none_missed(["gcc", "-m32", PORTABLE, "-fshort-enums"], (), sources, tmp_path)


PROGRAM = '#include "model.h"\n\nint main(void)\n{\n    return (int)model_check();\n}\n'
#: How the values of arrays and channels lie in a little-endian image.
PACKED = {
    "int8_t": "b", "uint8_t": "B", "int16_t": "h", "int32_t": "i",
    "edgernn_input_channel": "iiIi", "edgernn_output_channel": "I",
}  # fmt: skip


def images(text):
    """Name and bytes of every array of portable C, without what is too short to be found."""
    head = r"^static const [^\n]*?(\w+) (\w+)\[[^\n]*\] = {\n"
    found = re.findall(rf"{head}(.*?)^}};", text, re.M | re.S)
    for ctype, name, body in found:
        if ctype in PACKED:
            values = [int(v) for v in re.findall(r"(?<!\w)-?\d+", body)]
            form = PACKED[ctype] * (len(values) // len(PACKED[ctype]))
            content = struct.pack(f"<{form}", *values)
            if len(content) >= 12:
                yield name, content


@pytest.mark.parametrize("options", [["-O0"], ["-O3", "-flto"]], ids=" ".join)
@pytest.mark.parametrize("precision", Precision)
def test_a_changed_bit_of_a_program_is_found_when_it_runs(precision, options, tmp_path):
    """The compiler reads the constants where they lie, not what it knows of them."""
    require("gcc")
    model = stored(
        random_model("lstm", precision, inputs=9, units=6, common=False),
        Storage.SPARSE8,
        Storage.DENSE8,
    )
    sources = [p for p in write_model(model, tmp_path) if not p.name.endswith("_self_test.c")]
    (tmp_path / "program.c").write_text(PROGRAM)
    command = ["gcc", "-std=c99", *options, PORTABLE, "-I", str(tmp_path), "-o", "program"]
    compile_c(command, [tmp_path / "program.c", *sources], tmp_path)
    program = (tmp_path / "program").read_bytes()
    names = []
    for name, content in images((tmp_path / "model.c").read_text()):
        if program.count(content) != 1:
            continue
        names.append(name)
        changed = bytearray(program)
        changed[program.index(content) + len(content) // 2] ^= 1
        (tmp_path / name).write_bytes(changed)
        (tmp_path / name).chmod(0o755)
        assert subprocess.run([tmp_path / name], check=False).returncode == 1, name
    assert subprocess.run([tmp_path / "program"], check=False).returncode == 0
    kinds = {name.rpartition("_")[2] for name in names}
    assert kinds >= {"weights", "multiplier", "bias", "index", "channels"}


@pytest.mark.parametrize("program", ["main", "selftest_host"])
def test_the_programs_beside_a_model_fail_where_a_constant_has_changed(program, tmp_path):
    require("gcc")
    sources = write_model(random_model("gru_after"), tmp_path)
    text = (tmp_path / "model.c").read_text()
    # The golden stream has no physical values: it cannot tell.
    text, changes = re.subn(
        r"(output_channels\[2\] = {\n    {)(\d+)", lambda m: f"{m[1]}{int(m[2]) + 1}", text
    )
    assert changes == 1
    (tmp_path / "model.c").write_text(text)
    command = ["gcc", "-std=c99", "-o", "program"]
    compile_c(command, [*sources, tmp_path / f"{program}.c"], tmp_path)
    done = subprocess.run([tmp_path / "program"], capture_output=True, text=True, check=False)
    said = "FAIL: the constants are not those that were exported\n"
    assert (done.returncode, done.stdout) == (1, "" if program == "main" else said)
