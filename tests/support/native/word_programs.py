"""C that writes whole words: a model whose step reads a word's letters, and searches with beams.

The encoder reads the letters, and the decoder starts from what it leaves; it begins and ends with
the token 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

import edgernn
from edgernn.decoding import beam
from edgernn.model.formats import Int16Array
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn_export.writers.c.programs.source import write_c_programs
from edgernn_export.writers.file_formats import golden_vector

#: Most letters that are read, most tokens that are written.
MOST: Final = 25
WIDTH: Final = 3
_HEADER: Final = f"""\
#ifndef MODEL_H
#define MODEL_H
#include "edgernn_decode.h"
#include "set.h"
#define MODEL_INPUTS {1 + MOST}
#define MODEL_OUTPUTS {MOST + 4}
#define MODEL_STATE_BYTES 0
typedef int16_t model_input_t;
typedef struct {{
    set_state_t states[{2 * WIDTH}];
    int16_t left[SET_ENCODE_OUTPUTS];
    int16_t outputs[SET_DECODE_OUTPUTS];
    edgernn_candidate candidates[{2 * WIDTH}];
    int32_t costs[{WIDTH}];
    int16_t tokens[{MOST * WIDTH}];
    uint8_t parents[{MOST * WIDTH}];
}} model_state_t;
void model_init(model_state_t *state);
void model_step(model_state_t *state, const model_input_t *x, int16_t *y);
#endif
"""
_SOURCE: Final = f"""\
#include "model.h"

static void write_token(set_state_t *state, int32_t token, int16_t *scores)
{{
    const set_decode_input_t x = (set_decode_input_t)token;
    set_decode_step(state, &x, scores);
    edgernn_make_scores(&set_decode_scoring, scores);
}}

void model_init(model_state_t *state) {{ set_init(state->states); }}

/* x: number of letters, letters. y: number of tokens, whether they end, cost, tokens. */
void model_step(model_state_t *state, const model_input_t *x, int16_t *y)
{{
    edgernn_beams beams;
    int32_t i, token, ended, cost;
    void *next;
    for (i = 0; i < MODEL_OUTPUTS; ++i) {{
        y[i] = 0;
    }}
    set_init(state->states);
    set_encode_begin(state->states);
    for (i = 0; i < x[0]; ++i) {{
        const set_encode_input_t letter = (set_encode_input_t)x[1 + i];
        set_encode_step(state->states, &letter, state->left);
    }}
    set_decode_begin(state->states);
    beams.scoring = set_decode_scoring;
    beams.width = {WIDTH};
    beams.most_tokens = {MOST};
    beams.end = 0;
    beams.penalty = 0;
    beams.state_bytes = (int32_t)sizeof state->states[0];
    beams.states = state->states;
    beams.scores = state->outputs;
    beams.candidates = state->candidates;
    beams.costs = state->costs;
    beams.tokens = state->tokens;
    beams.parents = state->parents;
    write_token(state->states, 0, state->outputs);
    if (edgernn_begin_beams(&beams) != 0) {{
        y[0] = -1;
        return;
    }}
    while ((next = edgernn_next_beam(&beams, &token)) != 0) {{
        write_token((set_state_t *)next, token, state->outputs);
    }}
    y[0] = (int16_t)edgernn_best_beam(&beams, y + 4, &ended, &cost);
    y[1] = (int16_t)ended;
    y[2] = (int16_t)(cost >> 15);
    y[3] = (int16_t)(cost & 32767);
}}
"""


def sources(programs: ProgramSet) -> dict[str, bytes]:
    """The C of an encoder and a decoder of tokens, and of the search around them, by path."""
    goldens = [golden_vector(model) for model in programs.programs]
    files = write_c_programs(programs, goldens, prefix="set")
    kept = {n: text for n, text in files.items() if n not in ("main.c", "selftest_host.c")}
    return {**kept, "model.h": _HEADER.encode(), "model.c": _SOURCE.encode()}


def requests(words: Sequence[Sequence[int]]) -> Int16Array:
    """What the C reads for words of letters, [N, 1 + 25]."""
    rows = np.zeros((len(words), 1 + MOST), np.int16)
    for row, letters in zip(rows, words, strict=True):
        row[0], row[1 : 1 + len(letters)] = len(letters), letters
    return rows


def answers(
    programs: ProgramSet, words: Sequence[Sequence[int]], backend: str = "reference"
) -> Int16Array:
    """What `edgernn.decoding.beam` answers, in the form of the C, [N, 25 + 4]."""
    found = np.zeros((len(words), MOST + 4), np.int16)
    with edgernn.load_programs(programs, backend) as session:
        for row, letters in zip(found, words, strict=True):
            session.begin("encode")
            session.run_codes("encode", [[letter] for letter in letters])
            session.begin("decode")
            best = beam(session, first=0, end=0, max_tokens=MOST, width=WIDTH, program="decode")[0]
            assert best.bits is not None
            cost = round(best.bits * 4096)
            row[:4] = len(best.tokens), best.ended, cost >> 15, cost & 32767
            row[4 : 4 + len(best.tokens)] = best.tokens
    return found
