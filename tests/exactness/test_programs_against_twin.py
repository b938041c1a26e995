"""Sets of programs: reference, native extension and scalar twin agree over random walks (6.10)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import edgernn
from edgernn.model.formats import Precision
from edgernn.model.interface import Port
from edgernn.model.program_sets.handovers import Handover, handed_over
from edgernn.model.program_sets.program_set import ProgramSet
from tests.exactness.twin.programs import TwinPrograms
from tests.exactness.twin.scalar import R, sat16
from tests.support.models.integer import CELLS, random_codes
from tests.support.models.programs import pair, program, random_programs, shared
from tests.support.native.programs import require_native

pytestmark = pytest.mark.device

BACKENDS = ("reference", "native")
SEEDS = range(8)


def walk(programs: ProgramSet, steps: int, seed: int) -> tuple[int, TwinPrograms]:
    """Random begins and steps of all programs on every backend beside the twin.

    Returns:
        How many values were compared: the outputs of every step and all states after it.
    """
    require_native()
    rng = np.random.default_rng(seed)
    twin = TwinPrograms(programs)
    sessions = [edgernn.load(programs, backend) for backend in BACKENDS]
    codes = {m.name: random_codes(m, steps, seed=seed + i) for i, m in enumerate(programs.programs)}
    begun = {name for name in programs.names if not programs.handovers_to(name)}
    compared = 0

    def can_begin(name: str) -> bool:
        return all(
            programs.output_slice(h) is None or h.source in twin.outputs
            for h in programs.handovers_to(name)
        )

    for t in range(steps):
        name = str(rng.choice(programs.names))
        if can_begin(name) and (name not in begun or rng.random() < 0.2):
            twin.begin(name)
            begun.add(name)
            for session in sessions:
                session.begin(name)
        elif name in begun:
            q_x = codes[name][t]
            wanted = twin.step(name, q_x.tolist())
            for session in sessions:
                assert session.step_codes(name, q_x).tolist() == wanted
            compared += len(wanted)
        for session in sessions:
            state = session.state
            assert {k: v.tolist() for k, v in state.items()} == twin.states
            compared += sum(map(len, state.values()))
    for session in sessions:
        session.close()
    assert begun == set(programs.names)
    return compared, twin


@pytest.mark.parametrize("precision", Precision)
def test_random_sets(precision):
    shifts: set[int] = set()
    compared = 0
    for seed in SEEDS:
        values, twin = walk(random_programs(precision, seed), steps=60, seed=seed)
        compared += values
        shifts |= twin.shifts
    assert compared > 10_000
    assert {-1, 0, 1} <= {int(np.sign(k)) for k in shifts}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("make", [pair, shared])
def test_every_cell_is_handed_over_and_shared(cell, make):
    compared, _ = walk(make(Precision.W8A8, cell), steps=25, seed=3)
    assert compared > 300


def test_a_port_is_handed_over():
    ports = (Port(name="rest", width=2), Port(name="context", width=6))
    encode = program("encode", "lstm", Precision.W8A16, layer="enc", seed=1, outputs=8, bits=12)
    scale = np.array([0.3] * 2 + [2.0**-12] * 6)
    output = dataclasses.replace(encode.output, ports=ports, scale=scale)
    decode = program("decode", "gru_after", Precision.W8A8, layer="dec", seed=2)
    handover = Handover(program="decode", state="dec.h", source="encode", value="context")
    programs = ProgramSet(
        name="port",
        programs=(dataclasses.replace(encode, output=output), decode),
        handovers=(handover,),
    )
    compared, twin = walk(programs, steps=30, seed=1)
    assert compared > 300
    assert twin.shifts == {12 - 15}


@pytest.mark.parametrize("shift", [-30, -16, -3, -1, 0, 1, 2, 3, 8, 15, 16, 30])
def test_all_codes_of_a_handover(shift):
    codes = np.arange(-32768, 32768).astype(np.int16)
    wanted = [sat16(R(v, shift)) if shift >= 0 else sat16(v * 2**-shift) for v in codes.tolist()]
    got = handed_over(codes, shift)
    assert got.dtype == np.int16
    assert got.tolist() == wanted
