"""Programs that share states in C: the reference's bits over random walks, on the host."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess

import numpy as np
import pytest

from edgernn.cli import main
from edgernn.errors import EdgeRnnError
from edgernn.model.formats import Precision
from edgernn_export.writers.c.programs.source import write_c_programs
from edgernn_export.writers.file_formats import golden_vector
from tests.exactness.twin.scalar import R, sat16
from tests.support.models.integer import CELLS
from tests.support.models.programs import pair, random_programs, shared
from tests.support.native.compilers import NATIVE, SANITIZERS, compile_c, require
from tests.support.native.program_walks import sources, walk

RANDOM = {
    f"random-{seed}-{p.value}": random_programs(p, seed) for p in Precision for seed in (3, 4)
}
HARNESS = """\
#include <stdio.h>
#include <string.h>

#include "model.h"

int main(void)
{
    static model_state_t state;
    model_input_t x[MODEL_INPUTS];
    int16_t y[MODEL_OUTPUTS];
    memset(&state, 0xA5, sizeof state);
    if (set_check() != 0 || set_self_test(&state) != 0) {
        return 1;
    }
    memset(&state, 0xA5, sizeof state);
    model_init(&state);
    while (fread(x, sizeof x, 1, stdin) == 1) {
        model_step(&state, x, y);
        fwrite(y, sizeof y, 1, stdout);
        fwrite(&state, 1, MODEL_STATE_BYTES, stdout);
    }
    return 0;
}
"""


def built(programs, folder, *command, **options):
    """The program that walks through a set."""
    folder.mkdir(parents=True)
    files = {**sources(programs, **options), "harness.c": HARNESS.encode()}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    texts = [folder / name for name in files if name.endswith(".c")]
    compile_c([*command, "-I", str(folder), "-o", str(folder / "walk")], texts, folder)
    return folder / "walk"


def assert_walks(program, programs, steps=120, seed=1):
    read, wanted = walk(programs, steps, seed)
    done = subprocess.run([str(program)], input=read.tobytes(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    got = np.frombuffer(done.stdout, np.int16).reshape(wanted.shape)
    np.testing.assert_array_equal(got, wanted)
    assert wanted.any()


@pytest.mark.parametrize("name", RANDOM)
def test_random_sets(name, tmp_path):
    require("gcc")
    program = built(RANDOM[name], tmp_path / "c", "gcc", "-std=c99", "-O1", *SANITIZERS)
    for seed in range(3):
        assert_walks(program, RANDOM[name], seed=seed)


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_is_handed_over_and_shared(cell, tmp_path):
    require("gcc")
    for make in (pair, shared):
        programs = make(Precision.W8A8, cell)
        program = built(programs, tmp_path / make.__name__, "gcc", "-std=c99", "-O1")
        assert_walks(program, programs, steps=40)


@pytest.mark.parametrize(
    ("compiler", "options"),
    [
        ("clang", {}),
        ("g++", {}),
        ("gcc", {"amalgamate": True}),
        ("clang", {"amalgamate": True, "core": "cortex-m3"}),
    ],
)
def test_compilers_and_forms(compiler, options, tmp_path):
    require(compiler)
    programs = RANDOM["random-4-w8a16"]
    command = [compiler, *(["-x", "c++"] if compiler == "g++" else ["-std=c99"]), "-O2"]
    if options.get("core"):
        command.append("-DEDGERNN_VARIANT=EDGERNN_PORTABLE")
    assert_walks(built(programs, tmp_path / "c", *command, **options), programs)


def test_what_programs_have_in_common_is_there_once():
    programs = shared()
    files = write_c_programs(programs, [golden_vector(m) for m in programs.programs])
    header, source = files["model.h"].decode(), files["model.c"].decode()
    assert header.count("int16_t layer0_cell_h[6];") == 1
    assert "#define MODEL_STATE_BYTES 12 " in header
    assert source.count("edgernn_gru_after8 layer0_cell = {") == 1
    assert source.count("edgernn_gru_after8_step(&layer0_cell, ") == 2
    assert "edgernn_hand_over" not in source
    handed = write_c_programs(pair(), [golden_vector(m) for m in pair().programs])["model.c"]
    begin = handed.decode().partition("void model_decode_begin")[2].partition("}")[0]
    assert begin.count("edgernn_hand_over(state->layer0_enc_") == 2
    assert "edgernn_zero16" not in begin


def test_names_that_make_one_macro_are_refused():
    programs = shared()
    first, second = programs.programs
    both = dataclasses.replace(programs, programs=(first, dataclasses.replace(second, name="Warm")))
    with pytest.raises(EdgeRnnError, match="differ in capitals, too, got several that make MODEL_"):
        write_c_programs(both, [golden_vector(m) for m in both.programs])


def test_the_self_test_finds_another_output(tmp_path):
    require("gcc")
    goldens = [golden_vector(m) for m in pair().programs]
    files = write_c_programs(pair(), goldens)
    vectors = files["model_test_vectors.h"].decode()
    vectors, count = re.subn(r"(golden_decode_y\[\d*\] = \{\s*)", r"\g<1>1 + ", vectors)
    assert count == 1
    files["model_test_vectors.h"] = vectors.encode()
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    texts = [p for p in tmp_path.glob("*.c") if p.name != "main.c"]
    compile_c(["gcc", "-std=c99", "-I", str(tmp_path), "-o", "test"], texts, tmp_path)
    done = subprocess.run([tmp_path / "test"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "FAIL: 1 differing values\n")


def test_a_folder_of_programs_is_verified(tmp_path, capsys):
    require("gcc")
    model = str(pair().save(tmp_path / "pair.edgernn"))
    assert main(["export", model, "--to", "c", "--prefix", "pair"]) == 0
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "pair_c"), "--model", model, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    (golden,) = record["golden"]
    # 12 steps of each program with 2 outputs each, and four states of 6.
    assert (golden["status"], golden["compared"], golden["differing"]) == ("ran", 72, 0)
    assert (
        record["not_verified"][0]
        == "results for other inputs than the golden ones in the self-test."
    )


@pytest.mark.parametrize("optimization", ["-O0", "-O2"])
def test_all_codes_and_shifts_of_a_handover(optimization, tmp_path):
    require("gcc")
    (tmp_path / "main.c").write_text("""\
#include <stdio.h>
#include "edgernn_programs.h"
int main(void)
{
    static int16_t of[65536];
    static int16_t to[65536];
    int32_t i;
    int32_t shift;
    for (i = 0; i < 65536; ++i) { of[i] = (int16_t)(i - 32768); }
    for (shift = -30; shift <= 30; ++shift) {
        edgernn_hand_over(of, 65536, shift, to);
        fwrite(to, sizeof to, 1, stdout);
    }
    return 0;
}
""")
    command = ["gcc", "-std=c99", optimization, *SANITIZERS, "-I", str(NATIVE), "-o", "all"]
    compile_c(command, [tmp_path / "main.c", NATIVE / "edgernn_programs.c"], tmp_path)
    done = subprocess.run([tmp_path / "all"], capture_output=True, check=True)
    got = np.frombuffer(done.stdout, np.int16).reshape(61, 65536)
    codes = range(-32768, 32768)
    for shift, row in zip(range(-30, 31), got, strict=True):
        wanted = [sat16(R(v, shift)) if shift >= 0 else sat16(v << -shift) for v in codes]
        assert row.tolist() == wanted, shift
