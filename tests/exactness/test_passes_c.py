"""Passes over a chunk in C: the reference's bits over chunks of all lengths, on the host."""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest

from edgernn.model.formats import Precision
from edgernn.model.program_sets.passes import operand_codes
from edgernn_export.writers.c.programs.source import write_c_programs
from edgernn_export.writers.file_formats import golden_vector
from tests.exactness.test_programs_c import HARNESS
from tests.support.models.passes import random_passes, with_ports
from tests.support.native.chunk_runs import chunk_runs, sources
from tests.support.native.compilers import NATIVE, SANITIZERS, compile_c, require


def built(programs, folder, *command, **options):
    """The program that answers chunks."""
    folder.mkdir(parents=True)
    files = {**sources(programs, **options), "harness.c": HARNESS.encode()}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    texts = [folder / name for name in files if name.endswith(".c")]
    compile_c([*command, "-I", str(folder), "-o", str(folder / "run")], texts, folder)
    return folder / "run"


def assert_runs(program, programs, seed=1):
    read, wanted = chunk_runs(programs, [9, 1, 2, 5, 9, 3], seed)
    done = subprocess.run([str(program)], input=read.tobytes(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    got = np.frombuffer(done.stdout, np.int16).reshape(wanted.shape)
    np.testing.assert_array_equal(got, wanted)
    assert wanted.any()


@pytest.mark.parametrize("precision", Precision, ids=lambda p: p.value)
@pytest.mark.parametrize("seed", [1, 2])
def test_random_passes(precision, seed, tmp_path):
    require("gcc")
    programs = random_passes(precision, seed, sequence=bool(seed % 2))
    if seed == 2:
        programs = with_ports(programs)
    program = built(programs, tmp_path / "c", "gcc", "-std=c99", "-O1", *SANITIZERS)
    assert_runs(program, programs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compiler", "options"), [("clang", {}), ("g++", {}), ("gcc", {"amalgamate": True})]
)
def test_compilers_and_forms(compiler, options, tmp_path):
    require(compiler)
    programs = random_passes(Precision.W8A8, 3)
    command = [compiler, *(["-x", "c++"] if compiler == "g++" else ["-std=c99"]), "-O2"]
    assert_runs(built(programs, tmp_path / "c", *command, **options), programs)


def test_the_memory_of_a_chunk_and_the_head_that_runs_once():
    programs = random_passes(Precision.W8A8, 1)
    files = write_c_programs(programs, [golden_vector(m) for m in programs.programs])
    header, source = files["model.h"].decode(), files["model.c"].decode()
    kept = re.findall(r"int8_t kept\d\[(.+)\];", header)
    # The first pass is read at every step by the third one, and last by the second.
    assert kept == ["MODEL_MAX_STEPS * 2", "MODEL_MAX_STEPS * 2"]
    assert "#define MODEL_MAX_STEPS 9" in header
    final = source.partition("static void pass_three")[2].partition("int32_t model_chunk")[0]
    assert final.count("model_three_layers(") == 1
    assert "if (n == steps - 1) {\n            model_three_head(" in final


def test_all_codes_between_passes(tmp_path):
    require("gcc")
    (tmp_path / "main.c").write_text("""\
#include <stdio.h>
#include "edgernn_passes.h"
int main(void)
{
    static int16_t of[65536];
    static int8_t narrow[65536];
    static int16_t wide[65536];
    int32_t i;
    for (i = 0; i < 65536; ++i) { of[i] = (int16_t)(i - 32768); }
    edgernn_pass_codes8(of, 65536, narrow);
    edgernn_pass_read8_16(narrow, 65536, wide);
    fwrite(wide, sizeof wide, 1, stdout);
    edgernn_pass_codes16(of, 65536, wide);
    fwrite(wide, sizeof wide, 1, stdout);
    return 0;
}
""")
    command = ["gcc", "-std=c99", "-O1", *SANITIZERS, "-I", str(NATIVE), "-o", "all"]
    compile_c(command, [tmp_path / "main.c", NATIVE / "edgernn_passes.c"], tmp_path)
    done = subprocess.run([tmp_path / "all"], capture_output=True, check=True)
    got = np.frombuffer(done.stdout, np.int16).reshape(2, 65536)
    values = np.arange(-32768, 32768).astype(np.int16)
    for row, precision in zip(got, Precision, strict=True):
        np.testing.assert_array_equal(row, operand_codes(values, precision))
