"""Decoding in C on the host, under sanitizers: the tokens and costs of Python."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from edgernn.model.formats import Precision
from edgernn_export.writers.c.programs.source import write_c_programs
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector
from tests.support.models.integer import random_model
from tests.support.models.writers_of_text import translator, writer_of_text
from tests.support.native.compilers import NATIVE, SANITIZERS, compile_c, require
from tests.support.native.decoding import MAIN, answers, requests, sources

MODELS = {
    "gru": writer_of_text(),
    "lstm": writer_of_text(Precision.W8A16, cell="lstm", tokens=40, scale=2.0**-14, seed=1),
    "two": writer_of_text(tokens=2, seed=4),
    "scales of tokens": writer_of_text(scales_apart=True, seed=6),
    "sharp": writer_of_text(tokens=200, scale=2.0**-5, seed=5),
}


def run(files, folder, asked, command):
    for name, content in {**files, "main.c": MAIN.encode()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    sources = [name for name in (*files, "main.c") if name.endswith(".c")]
    compile_c([*command, "-std=c99", "-o", "run"], sources, folder)
    done = subprocess.run(
        [str(folder / "run")], input=asked.astype("<i2").tobytes(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return np.frombuffer(done.stdout, "<i2").reshape(len(asked), -1)


@pytest.mark.parametrize(
    "name",
    [*(pytest.param(n, marks=[pytest.mark.slow] * (n != "scales of tokens")) for n in MODELS)],
)
def test_c_gives_the_tokens_and_costs_of_python(name, tmp_path):
    require("gcc")
    model = MODELS[name]
    asked = requests(model.output.width, 60)
    wanted = answers(model, asked)
    got = run(sources(model), tmp_path, asked, ["gcc", "-O1", *SANITIZERS])
    np.testing.assert_array_equal(got, wanted)
    assert len(np.unique(wanted, axis=0)) > 20


TABLES = """\
#include <stdio.h>
#include "edgernn_decode.c"
int main(void)
{
    int32_t x, sum = 0;
    uint32_t hash = 2166136261u;
    for (x = 0; x <= MOST_DISTANCE; ++x) {
        hash = (hash ^ (uint32_t)weight(x)) * 16777619u;
    }
    printf("%lu", (unsigned long)hash);
    for (x = 1; x <= 20000; ++x) {
        sum += lg_of(x) % 1000;
    }
    printf(" %ld %ld\\n", (long)sum, (long)lg_of(2147483647));
    return 0;
}
"""


def test_every_weight_and_logarithms(tmp_path):
    require("gcc")
    from tests.exactness.twin import decoding as twin

    (tmp_path / "tables.c").write_text(TABLES)
    compile_c(
        ["gcc", "-O1", "-std=c99", *SANITIZERS, f"-I{NATIVE}", "-o", "run"], ["tables.c"], tmp_path
    )
    done = subprocess.run([str(tmp_path / "run")], capture_output=True, check=True)
    digest = 2166136261
    for x in range(122_881):
        digest = (digest ^ twin.weight(x)) * 16777619 % 2**32
    logs = sum(twin.lg(x) % 1000 for x in range(1, 20_001))
    assert done.stdout.decode().split() == [str(digest), str(logs), str(twin.lg(2**31 - 1))]


@pytest.mark.slow
def test_the_largest_vocabulary(tmp_path):
    require("gcc")
    model = writer_of_text(tokens=32_768, scale=2.0**-16, units=2, seed=7)
    asked = np.array([(5, 1000, 0, 3, 9, 4), (5, 2000, 30_000, 4, 9, 4), (5, 0, 2, 0, 9, 3)])
    wanted = answers(model, asked)
    np.testing.assert_array_equal(run(sources(model), tmp_path, asked, ["gcc", "-O1"]), wanted)


def test_only_models_that_score_tokens_have_it():
    files = write_c(MODELS["gru"], golden_vector(MODELS["gru"]))
    assert "edgernn_decode.c" in files
    header = files["model.h"].decode()
    assert "extern const edgernn_scoring model_scoring;" in header
    assert "#define MODEL_SCORES_FIRST 0" in header
    plain = random_model("gru_after")
    assert not any("decode" in name for name in write_c(plain, golden_vector(plain)))
    joined = write_c(MODELS["gru"], golden_vector(MODELS["gru"]), amalgamate=True)
    assert "edgernn_likeliest" not in joined["model.c"].decode()


def test_programs_have_it():
    pair = translator()
    goldens = [golden_vector(model) for model in pair.programs]
    files = write_c_programs(pair, goldens)
    assert "edgernn_decode.h" in files
    assert "extern const edgernn_scoring model_decode_scoring;" in files["model.h"].decode()
    assert "const edgernn_scoring model_encode_scoring = {7, " in files["model.c"].decode()
