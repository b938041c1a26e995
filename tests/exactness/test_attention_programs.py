"""A decoder that attends to what its encoder hands over: the same bits everywhere."""

from __future__ import annotations

import numpy as np
import pytest

import edgernn
from edgernn.model.formats import Precision
from edgernn_export.verification.program_walk import random_walk, walked
from edgernn_export.writers.file_formats import golden_vector
from edgernn_export.writers.tflite.writer import write_tflite_programs
from tests.exactness import test_programs_against_twin, test_programs_c
from tests.support.models.attention import attention_programs
from tests.support.native.compilers import SANITIZERS, require
from tests.support.runtimes import RESOLVERS
from tests.support.runtimes import require as require_runtimes

SETS = {
    f"{kind}-{seed}": attention_programs(kind, list(Precision)[(seed + number) % 2], seed=seed)
    for number, kind in enumerate(("attention", "additive_attention"))
    for seed in (2, 3)
}
EVERY = pytest.mark.parametrize("name", SETS)


@EVERY
def test_reference_and_extension_equal_the_twin(name):
    compared, _ = test_programs_against_twin.walk(SETS[name], 150, seed=1)
    assert compared > 5000


@EVERY
@pytest.mark.slow
def test_c(name, tmp_path):
    require("gcc")
    command = ("gcc", "-std=c99", "-O1", *SANITIZERS)
    program = test_programs_c.built(SETS[name], tmp_path / "c", *command)
    for seed in range(3):
        test_programs_c.assert_walks(program, SETS[name], seed=seed)


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_tflite(resolver, tmp_path):
    require_runtimes("ai_edge_litert")
    for name, programs in SETS.items():
        path = tmp_path / f"{name}.tflite"
        goldens = [golden_vector(model) for model in programs.programs]
        path.write_bytes(write_tflite_programs(programs, goldens))
        walk = random_walk(programs, 60, seed=5)
        q_ys, q_states, _ = walked(edgernn.load_programs(programs, "reference"), walk)
        with edgernn.load_programs(path, resolver=resolver) as session:
            got = walked(session, walk)
        np.testing.assert_array_equal(got[0], q_ys)
        np.testing.assert_array_equal(got[1], q_states)


def test_a_set_is_stored_and_read_again(tmp_path):
    for name, programs in SETS.items():
        programs.save(tmp_path / f"{name}.edgernn")
        assert edgernn.ProgramSet.load(tmp_path / f"{name}.edgernn") == programs
