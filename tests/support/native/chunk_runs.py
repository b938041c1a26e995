"""Chunks through the C of passes: a model whose step answers one chunk.

The first value that it reads is the number of steps, the others are the codes of the longest chunk.
It puts out the answer, and zeros behind a short one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import edgernn
from edgernn.model.formats import Int16Array
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.writers.c.programs.source import write_c_programs
from edgernn_export.writers.file_formats import golden_vector
from tests.support.models.passes import chunk_codes

PREFIX = "set"
_HEADER = """\
#ifndef MODEL_H
#define MODEL_H
#include "set.h"
#define MODEL_INPUTS {inputs}
#define MODEL_OUTPUTS {outputs}
#define MODEL_STATE_BYTES 0
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
    set_{first}_input_t q_x[MODEL_INPUTS];
    const volatile int16_t *codes = x; /* one by one: they need not begin at a word */
    int i;
    for (i = 0; i < MODEL_OUTPUTS; ++i) {{ y[i] = 0; }}
    for (i = 1; i < MODEL_INPUTS; ++i) {{ q_x[i - 1] = (set_{first}_input_t)codes[i]; }}
    if (set_chunk(state, q_x, 0, y) != 1 || set_chunk(state, q_x, SET_MAX_STEPS + 1, y) != 1 ||
        set_chunk(state, q_x, codes[0], y) != 0) {{
        y[0] = 12345;
    }}
}}
"""


def sources(programs: ProgramSet, **options: object) -> dict[str, bytes]:
    """The C of a set of passes, and of the model that answers chunks, by path."""
    goldens = [golden_vector(model) for model in programs.programs]
    files = write_c_programs(programs, goldens, prefix=PREFIX, **options)  # type: ignore[arg-type]
    assert programs.chunk is not None
    steps = programs.chunk.max_steps
    inputs = 1 + steps * programs.programs[0].input.width
    outputs = programs.programs[-1].output.width * (steps if programs.chunk.sequence else 1)
    mains = ("main.c", "selftest_host.c")
    return {
        **{name: content for name, content in files.items() if name not in mains},
        "model.h": _HEADER.format(inputs=inputs, outputs=outputs).encode(),
        "model.c": _SOURCE.format(first=programs.names[0]).encode(),
    }


def chunk_runs(
    programs: ProgramSet, lengths: Sequence[int], seed: int
) -> tuple[Int16Array, Int16Array]:
    """Chunks for the model, and what the reference answers.

    Returns:
        What it reads, int16 [N, 1 + T*I], and its outputs, int16 [N, O] or [N, T*O].
    """
    plan = programs.chunk
    assert plan is not None
    width, outputs = programs.programs[0].input.width, programs.programs[-1].output.width
    read = np.zeros((len(lengths), 1 + plan.max_steps * width), np.int16)
    wanted = np.zeros((len(lengths), outputs * (plan.max_steps if plan.sequence else 1)), np.int16)
    with edgernn.load_chunks(programs, "reference") as session:
        for index, steps in enumerate(lengths):
            q_xs = chunk_codes(programs, steps, seed=seed + index)
            read[index, 0] = steps
            read[index, 1 : 1 + q_xs.size] = q_xs.ravel()
            answer = session.run_codes(q_xs).ravel()
            wanted[index, : answer.size] = answer
    return read, wanted
