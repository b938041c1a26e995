"""Generated C of window models on the host: every answer is the session's, and so is none."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess

import numpy as np
import pytest

import edgernn
from edgernn.model.formats import Precision
from edgernn.model.interface import Window
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector
from tests.support.models.integer import CELLS, random_codes, random_model
from tests.support.native.compilers import SANITIZERS, compile_c, require, write_model

WINDOWS = [Window(steps=1), Window(steps=6), Window(steps=5, hop=3), Window(steps=2, hop=7)]
READINGS = 40
#: Prints, per reading, whether there was an answer and the outputs; "pad" begins with the first.
HARNESS = """\
#include <stdio.h>
#include <string.h>

#include "model.h"

int main(int count, char **arguments)
{
    static model_state_t state;
    model_input_t x[MODEL_INPUTS];
    int16_t y[MODEL_OUTPUTS] = {0};
    int first = 1;
    int i;
    (void)arguments;
    memset(&state, 0xA5, sizeof state);
    model_init(&state);
    while (fread(x, sizeof x, 1, stdin) == 1) {
        int32_t answered;
        if (first && count > 1) {
            model_pad(&state, x);
        }
        first = 0;
        answered = model_step(&state, x, y);
        printf("%d", (int)answered);
        for (i = 0; i < MODEL_OUTPUTS; ++i) {
            printf(" %d", y[i]);
        }
        printf("\\n");
    }
    return (int)model_self_test(&state);
}
"""


def compiled(model, folder, *options):
    require("gcc")
    sources = write_model(model, folder)
    (folder / "harness.c").write_text(HARNESS)
    command = ["gcc", "-O2", "-std=c99", *options, "-I", str(folder), "-o", str(folder / "run")]
    compile_c(command, [folder / "harness.c", *sources], folder)
    return folder / "run"


def run(program, codes, padded):
    arguments = [str(program), *["pad"] * padded]
    done = subprocess.run(arguments, input=codes.tobytes(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return np.array([line.split() for line in done.stdout.decode().splitlines()], dtype=int)


def wanted(model, codes, padded):
    """Whether each reading is answered (NUMERICS.md 6.5), and the outputs that then stand."""
    warm_up = "pad" if padded else "nothing"
    with edgernn.load(model, "reference", warm_up=warm_up) as session:
        q_ys = np.ma.filled(session.run_codes(codes), 0)
    first = 1 if padded else model.window.steps
    count = np.arange(1, len(codes) + 1)
    answered = (count >= first) & ((count - first) % model.window.hop == 0)
    return np.column_stack([answered, q_ys])


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("precision", Precision)
def test_every_reading_is_answered_as_by_a_session(precision, window, tmp_path):
    for index, (cell, outputs) in enumerate(zip(CELLS, itertools.cycle((0, 2)), strict=False)):
        model = random_model(cell, precision, stack=2, outputs=outputs)
        model = dataclasses.replace(model, window=window)
        program = compiled(model, tmp_path / str(index), *SANITIZERS)
        codes = random_codes(model, READINGS)
        for padded in (False, True):
            np.testing.assert_array_equal(run(program, codes, padded), wanted(model, codes, padded))


def test_the_self_test_finds_another_network(tmp_path):
    model = dataclasses.replace(random_model("lstm"), window=Window(steps=6, hop=2))
    other = dataclasses.replace(random_model("lstm", seed=5), window=model.window)
    program = compiled(model, tmp_path)
    vectors = write_c(other, golden_vector(other))["model_test_vectors.h"]
    (tmp_path / "model_test_vectors.h").write_bytes(vectors)
    compile_c(
        ["gcc", "-O2", "-I", str(tmp_path), "-o", str(program)],
        [tmp_path / "harness.c", *sorted(tmp_path.glob("model*.c")), *tmp_path.glob("edgernn_*.c")],
        tmp_path,
    )
    done = subprocess.run([str(program)], input=b"", capture_output=True, check=False)
    assert done.returncode > 0


def test_an_endless_model_has_no_window_in_its_c():
    sources = write_c(random_model("lstm"), golden_vector(random_model("lstm")))
    assert b"WINDOW" not in sources["model.h"]
    assert b"void model_step(" in sources["model.h"]
    assert b"window" not in sources["model.c"]
