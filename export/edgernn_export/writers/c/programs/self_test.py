"""The self-test of programs that share states: a golden walk, which begins and steps all of them.

First every program begins and reads its golden stream, then each takes some steps from where it
is, then each begins again from the current states of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgernn.model.formats import Int16Array, OperandArray
from edgernn.model.interface import Golden
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.session.chunk_session import ChunkSession
from edgernn.session.program_session import ProgramSession
from edgernn_export.writers.c.constants import array
from edgernn_export.writers.c.programs.layout import CProgram
from edgernn_export.writers.c.self_test import DIFFERENCES, programs_of_a_self_test
from edgernn_firmware_sim.reference.backend import ReferenceBackend

#: Steps that a program takes after its golden stream, in each of the two rounds.
_MORE_STEPS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """A program that may begin, and then steps.

    Attributes:
        program: its name.
        begins: whether it begins.
        first: number of its first step.
        last: number of the step behind its last one.
    """

    program: str
    begins: bool
    first: int
    last: int


def self_test_files(
    programs: ProgramSet, goldens: Sequence[Golden], made: Sequence[CProgram], prefix: str
) -> dict[str, str]:
    """Contents by file name.

    Args:
        programs: the set.
        goldens: what each program reads.
        made: the programs in C.
        prefix: of symbols and files.
    """
    readings = {
        model.name: np.concatenate([golden.q_x, golden.q_x[: 2 * _MORE_STEPS]])
        for model, golden in zip(programs.programs, goldens, strict=True)
    }
    moves = _walk(programs, readings)
    return {
        f"{prefix}_test_vectors.h": _vectors(programs, goldens, readings, moves, made, prefix),
        f"{prefix}_self_test.c": _self_test(programs, goldens, moves, made, prefix),
        **programs_of_a_self_test(prefix),
    }


def _walk(programs: ProgramSet, readings: dict[str, OperandArray]) -> list[_Move]:
    """What the self-test does; a program begins behind those whose outputs it takes over."""
    order: list[str] = []
    while len(order) < len(programs.names):
        order += [
            name
            for name in programs.names
            if name not in order and _sources_of_outputs(programs, name) <= {*order}
        ]
    moves: list[_Move] = []
    for begins, steps in ((True, None), (False, _MORE_STEPS), (True, _MORE_STEPS)):
        for name in order:
            first = sum(move.last - move.first for move in moves if move.program == name)
            count = len(readings[name]) - 2 * _MORE_STEPS if steps is None else steps
            moves.append(_Move(program=name, begins=begins, first=first, last=first + count))
    return moves


def _sources_of_outputs(programs: ProgramSet, program: str) -> set[str]:
    handovers = programs.handovers_to(program)
    return {h.source for h in handovers if programs.output_slice(h) is not None}


def _vectors(
    programs: ProgramSet,
    goldens: Sequence[Golden],
    readings: dict[str, OperandArray],
    moves: Sequence[_Move],
    made: Sequence[CProgram],
    prefix: str,
) -> str:
    backends = {model.name: ReferenceBackend(model) for model in programs.programs}
    answers: dict[str, list[Int16Array]] = {name: [] for name in programs.names}
    with ProgramSession(programs.interfaces(), backends) as session:
        for move in moves:
            if move.begins:
                session.begin(move.program)
            codes = readings[move.program][move.first : move.last]
            answers[move.program].append(session.run_codes(move.program, codes))
        state = session.state
    blocks, values = [], 0
    for program in made:
        name = program.model.name
        q_ys = np.concatenate(answers[name])
        blocks.append(array(f"{program.prefix}_input_t", f"golden_{name}_x", readings[name]))
        blocks.append(array("int16_t", f"golden_{name}_y", q_ys))
        values += q_ys.size
    for member, vector in _final(programs, made, state).items():
        blocks.append(array("int16_t", f"golden_state_{member}", vector))
        values += vector.size
    if programs.chunk is not None:
        q_xs, q_y = _golden_chunk(programs, goldens)
        blocks.append(array(f"{made[0].prefix}_input_t", "golden_chunk_x", q_xs))
        blocks.append(array("int16_t", "golden_chunk_y", q_y))
        values += q_y.size
    upper = prefix.upper()
    return f"""#ifndef {upper}_TEST_VECTORS_H
#define {upper}_TEST_VECTORS_H

#include "{prefix}.h"

/* A walk through all programs: inputs and outputs of each, and the state after it. */
#define {upper}_GOLDEN_VALUES {values}

{chr(10).join(blocks)}
#endif
"""


def _golden_chunk(
    programs: ProgramSet, goldens: Sequence[Golden]
) -> tuple[OperandArray, Int16Array]:
    """A short chunk of the codes that the first program reads, and the answer to it."""
    plan = programs.chunk
    assert plan is not None
    given = goldens[0].q_x
    steps = max(plan.min_steps, min(plan.max_steps, len(given)))
    q_xs = np.resize(given, (steps, given.shape[1]))
    backends = {model.name: ReferenceBackend(model) for model in programs.programs}
    with ChunkSession(programs.interfaces(), backends) as session:
        return q_xs, session.run_codes(q_xs)


def _final(
    programs: ProgramSet, made: Sequence[CProgram], state: dict[str, Int16Array]
) -> dict[str, Int16Array]:
    """The vectors of the stream by member of the state struct."""
    return {
        member: state[programs.state_name(program.model.name, name)]
        for program in made
        for name, member in program.vectors.items()
    }


def _self_test(
    programs: ProgramSet,
    goldens: Sequence[Golden],
    moves: Sequence[_Move],
    made: Sequence[CProgram],
    prefix: str,
) -> str:
    runs = "\n".join(_run(program, prefix) for program in made)
    by_name = {program.model.name: program for program in made}
    walk = []
    for move in moves:
        name = by_name[move.program].prefix
        if move.begins:
            walk.append(f"    {name}_begin(state);")
        walk.append(f"    differing += run_{move.program}(state, {move.first}, {move.last});")
    widths: dict[str, int] = {}
    for program in made:
        for cl in program.step.layers:
            widths |= cl.vector_widths
    checks = [
        f"    differing += differences(state->{member}, golden_state_{member}, {count});"
        for member, count in widths.items()
    ]
    runs += "" if programs.chunk is None else _run_chunk(programs, goldens, prefix)
    chunk = [] if programs.chunk is None else ["    differing += run_chunk(state);"]
    lines = "\n".join([*walk, *checks, *chunk])
    return f"""#include "{prefix}_test_vectors.h"

{DIFFERENCES}
{runs}
int32_t {prefix}_self_test({prefix}_state_t *state)
{{
    int32_t differing = 0;
    {prefix}_init(state);
{lines}
    {prefix}_init(state);
    return differing;
}}
"""


def _run(program: CProgram, prefix: str) -> str:
    """A function that takes some steps of a program's golden stream."""
    name, upper = program.model.name, program.prefix.upper()
    return f"""\
static int32_t run_{name}({prefix}_state_t *state, int32_t from, int32_t to)
{{
    int16_t y[{upper}_OUTPUTS];
    int32_t differing = 0;
    int32_t t;
    for (t = from; t < to; ++t) {{
        {program.prefix}_step(state, golden_{name}_x + t * {upper}_INPUTS, y);
        differing += differences(y, golden_{name}_y + t * {upper}_OUTPUTS, {upper}_OUTPUTS);
    }}
    return differing;
}}
"""


def _run_chunk(programs: ProgramSet, goldens: Sequence[Golden], prefix: str) -> str:
    """A function that answers the golden chunk."""
    q_xs, q_y = _golden_chunk(programs, goldens)
    return f"""
static int32_t run_chunk({prefix}_state_t *state)
{{
    int16_t y[{q_y.size}];
    if ({prefix}_chunk(state, golden_chunk_x, {len(q_xs)}, y) != 0) {{
        return {q_y.size};
    }}
    return differences(y, golden_chunk_y, {q_y.size});
}}
"""
