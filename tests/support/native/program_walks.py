"""Walks over the C of programs that share states: a model whose step begins or steps a program.

The first value that it reads is the number of a program, and that of a beginning is negative; the
others are the codes. It puts out what the program did, or zeros, and its state is the stream's.
"""

from __future__ import annotations

import numpy as np

import edgernn
from edgernn.model.formats import Int16Array
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.verification.program_walk import random_walk
from edgernn_export.writers.c.programs.layout import c_programs
from edgernn_export.writers.c.programs.source import write_c_programs
from edgernn_export.writers.file_formats import golden_vector

PREFIX = "set"
_HEADER = """\
#ifndef MODEL_H
#define MODEL_H
#include "set.h"
#define MODEL_INPUTS {inputs}
#define MODEL_OUTPUTS {outputs}
#define MODEL_STATE_BYTES SET_STATE_BYTES
typedef int16_t model_input_t;
typedef set_state_t model_state_t;
void model_init(model_state_t *state);
void model_step(model_state_t *state, const model_input_t *x, int16_t *y);
#endif
"""
_SOURCE = """\
#include "model.h"
void model_init(model_state_t *state) {{ set_init(state); }}
void model_step(model_state_t *state, const model_input_t *x, int16_t *y)
{{
    int i;
    for (i = 0; i < MODEL_OUTPUTS; ++i) {{ y[i] = 0; }}
{moves}
}}
"""
_MOVE = """\
    if (x[0] == {begin}) {{ set_{name}_begin(state); }}
    if (x[0] == {number}) {{
        set_{name}_input_t q_x[SET_{upper}_INPUTS];
        const volatile int16_t *codes = x + 1; /* one by one: they do not begin at a word */
        for (i = 0; i < SET_{upper}_INPUTS; ++i) {{ q_x[i] = (set_{name}_input_t)codes[i]; }}
        set_{name}_step(state, q_x, y);
    }}
"""


def sources(programs: ProgramSet, **options: object) -> dict[str, bytes]:
    """The C of a set, and of the model that walks through it, by path."""
    goldens = [golden_vector(model) for model in programs.programs]
    files = write_c_programs(programs, goldens, prefix=PREFIX, **options)  # type: ignore[arg-type]
    moves = "".join(
        _MOVE.format(begin=-1 - number, number=number, name=name, upper=name.upper())
        for number, name in enumerate(programs.names)
    )
    inputs = 1 + max(model.input.width for model in programs.programs)
    outputs = max(model.output.width for model in programs.programs)
    mains = ("main.c", "selftest_host.c")
    return {
        **{name: content for name, content in files.items() if name not in mains},
        "model.h": _HEADER.format(inputs=inputs, outputs=outputs).encode(),
        "model.c": _SOURCE.format(moves=moves).encode(),
    }


def walk(programs: ProgramSet, steps: int, seed: int) -> tuple[Int16Array, Int16Array]:
    """A random walk for the model, and what the reference makes of it.

    Returns:
        What it reads, int16 [T, 1 + I], and its outputs and state of every move, int16 [T, O + S].
    """
    taken = random_walk(programs, steps, seed)
    made = c_programs(programs, PREFIX)
    left = {name: iter(codes) for name, codes in taken.codes.items()}
    last = {p.model.name: np.zeros(p.model.output.width, np.int16) for p in made if p.output}
    inputs = 1 + max(model.input.width for model in programs.programs)
    outputs = max(model.output.width for model in programs.programs)
    read, wanted = [], []
    with edgernn.load_programs(programs, "reference") as session:
        for number, begins in taken.moves.tolist():
            name = taken.programs[number]
            x, y = np.zeros(inputs, np.int16), np.zeros(outputs, np.int16)
            x[0] = -1 - number if begins else number
            if begins:
                session.begin(name)
            else:
                q_x = next(left[name])
                x[1 : 1 + len(q_x)] = q_x
                q_y = session.step_codes(name, q_x)
                y[: len(q_y)] = q_y
                if name in last:
                    last[name] = q_y
            state = {
                member: session.state[programs.state_name(program.model.name, spec)]
                for program in made
                for spec, member in program.vectors.items()
            }
            read.append(x)
            wanted.append(np.concatenate([y, *state.values(), *last.values()]))
    return np.array(read), np.array(wanted)
