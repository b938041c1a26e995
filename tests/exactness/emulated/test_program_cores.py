"""Programs that share states as firmware: the reference's bits on cores of every kind."""

import pytest

from edgernn.model.formats import Precision
from edgernn_firmware_sim.emulator import emulate
from tests.support.models.hand_made import core_named
from tests.support.models.integer import random_model
from tests.support.models.programs import random_programs
from tests.support.native.program_walks import sources, walk

#: Stands for what walks; its size is of no account here.
WALKER = random_model("simple_rnn")


@pytest.mark.parametrize(
    ("core", "options"),
    [
        ("cortex-m0", {}),
        ("cortex-m4", {"core": "cortex-m4", "amalgamate": True}),
        ("cortex-m55", {}),
        ("rv32imc", {}),
    ],
)
def test_a_walk_through_programs(core, options, tmp_path):
    programs = random_programs(Precision.W8A16, seed=3)
    read, wanted = walk(programs, 60, seed=2)
    files = sources(programs, **options)
    result = emulate(WALKER, files, core_named(core), read, tmp_path, wanted)
    assert (result.differing, result.compared) == (0, wanted.size)
    assert wanted.shape[1] * 2 > programs.state_bytes
