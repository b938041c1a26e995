"""Passes over a chunk as firmware: the reference's bits on cores of every kind."""

import pytest

from edgernn.model.formats import Precision
from edgernn_firmware_sim.emulator import emulate
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_model
from tests.support.models.passes import random_passes
from tests.support.native.chunk_runs import chunk_runs, sources

#: Stands for what runs chunks; its size is of no account here.
RUNNER = random_model("simple_rnn")


@pytest.mark.parametrize(
    ("core", "options"),
    [
        ("cortex-m0", {}),
        ("cortex-m4", {"core": "cortex-m4", "amalgamate": True}),
        ("cortex-m55", {}),
        ("rv32imc", {}),
    ],
)
def test_chunks_of_all_lengths(core, options, tmp_path):
    programs = random_passes(Precision.W8A8, seed=1, sequence=core == "cortex-m0")
    read, wanted = chunk_runs(programs, [9, 1, 4], seed=2)
    files = sources(programs, **options)
    result = emulate(RUNNER, files, core_named(core), read, tmp_path, wanted)
    assert (result.differing, result.compared) == (0, wanted.size)
