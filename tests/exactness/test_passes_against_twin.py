"""Passes over a chunk: reference, native extension and scalar twin agree (clause 6.11)."""

from __future__ import annotations

import numpy as np
import pytest

import edgernn
from edgernn.model.formats import Precision
from edgernn.model.program_sets.passes import operand_codes
from tests.exactness.twin.passes import chunk_answer, operand
from tests.support.models.passes import as_lists, chunk_codes, random_passes, with_ports
from tests.support.native.programs import require_native

pytestmark = pytest.mark.device


@pytest.mark.parametrize("precision", Precision, ids=lambda p: p.value)
@pytest.mark.parametrize("backend", ["reference", "native"])
def test_random_passes(precision, backend):
    if backend == "native":
        require_native()
    compared = 0
    for seed in range(4):
        programs = random_passes(precision, seed, sequence=bool(seed % 2))
        if seed > 1:
            programs = with_ports(programs)
        with edgernn.load_chunks(programs, backend) as session:
            for steps in (1, 2, 9):
                q_xs = chunk_codes(programs, steps, seed=seed + steps)
                wanted = chunk_answer(programs, q_xs.tolist())
                assert as_lists(session.pass_codes(q_xs)) == wanted
                answer = session.run_codes(q_xs).tolist()
                # The last pass goes forward: its last step is that of the chunk.
                assert answer == (wanted[-1] if seed % 2 else wanted[-1][-1])
                compared += sum(len(row) for one in wanted for row in one)
    assert compared == 4 * 12 * 6


@pytest.mark.parametrize("precision", Precision, ids=lambda p: p.value)
def test_all_operand_codes(precision):
    values = np.arange(-32768, 32768).astype(np.int16)
    wide = precision is Precision.W8A16
    wanted = [operand(v, wide) for v in values.tolist()]
    assert operand_codes(values, precision).tolist() == wanted
    assert min(wanted) >= precision.input_low
    assert max(wanted) <= precision.input_high
    assert not any(code % precision.input_step for code in wanted)
