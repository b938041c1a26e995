"""Decoding in C around the C of a model: requests in, tokens out, on the host and in firmware."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import edgernn
from edgernn.decoding import beam, sample
from edgernn.model.formats import Int16Array
from edgernn.model.integer_model import IntegerModel
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector

#: Most tokens of a request, and most hypotheses of a search.
MOST, WIDTH = 8, 5
#: What the harness of firmware calls: a step takes one request.
HEADER = f"""\
#ifndef MODEL_H
#define MODEL_H
#include "edgernn_decode.h"
#include "writer.h"
#define MODEL_INPUTS 6
#define MODEL_OUTPUTS {MOST + 4}
#define MODEL_STATE_BYTES 0
typedef int16_t model_input_t;
typedef struct {{
    writer_state_t states[{2 * WIDTH}];
    int16_t outputs[WRITER_OUTPUTS];
    edgernn_candidate candidates[{2 * WIDTH}];
    int32_t costs[{WIDTH}];
    int16_t tokens[{MOST * WIDTH}];
    uint8_t parents[{MOST * WIDTH}];
}} model_state_t;
void model_init(model_state_t *state);
void model_step(model_state_t *state, const model_input_t *x, int16_t *y);
#endif
"""
#: A request: prompt; temperature in thousandths, 0 for a search; top k or width; seed or penalty;
#: end token; most tokens. The answer: number of tokens, whether they end, the cost in two halves,
#: tokens.
SOURCE = """\
#include "model.h"

static void read_token(writer_state_t *state, int32_t token, int16_t *scores)
{
    const writer_input_t x = (writer_input_t)token;
    writer_step(state, &x, scores);
    edgernn_make_scores(&writer_scoring, scores);
}

static void draw(model_state_t *state, const model_input_t *x, int16_t *y)
{
    edgernn_temperature temperature;
    edgernn_random random;
    int32_t token = x[0];
    if (edgernn_set_temperature(&writer_scoring, x[1], &temperature) != 0) {
        y[0] = -1;
        return;
    }
    edgernn_seed(&random, (uint32_t)x[3]);
    while (y[0] < x[5]) {
        read_token(state->states, token, state->outputs);
        token = edgernn_draw(state->outputs, writer_scoring.tokens, &temperature, x[2], &random);
        if (token == x[4]) {
            y[1] = 1;
            break;
        }
        y[4 + y[0]++] = (int16_t)token;
    }
}

static void search(model_state_t *state, const model_input_t *x, int16_t *y)
{
    edgernn_beams beams;
    int32_t token, ended, cost;
    void *next;
    beams.scoring = writer_scoring;
    beams.width = x[2];
    beams.most_tokens = x[5];
    beams.end = x[4];
    beams.penalty = x[3];
    beams.state_bytes = (int32_t)sizeof state->states[0];
    beams.states = state->states;
    beams.scores = state->outputs;
    beams.candidates = state->candidates;
    beams.costs = state->costs;
    beams.tokens = state->tokens;
    beams.parents = state->parents;
    read_token(state->states, x[0], state->outputs);
    if (edgernn_begin_beams(&beams) != 0) {
        y[0] = -1;
        return;
    }
    while ((next = edgernn_next_beam(&beams, &token)) != 0) {
        read_token((writer_state_t *)next, token, state->outputs);
    }
    y[0] = (int16_t)edgernn_best_beam(&beams, y + 4, &ended, &cost);
    y[1] = (int16_t)ended;
    y[2] = (int16_t)(cost >> 15);
    y[3] = (int16_t)(cost & 32767);
}

void model_init(model_state_t *state)
{
    writer_init(state->states);
}

void model_step(model_state_t *state, const model_input_t *x, int16_t *y)
{
    int32_t i;
    for (i = 0; i < MODEL_OUTPUTS; ++i) {
        y[i] = 0;
    }
    writer_init(state->states);
    if (x[1] != 0) {
        draw(state, x, y);
    } else {
        search(state, x, y);
    }
}
"""
#: Answers requests on the host.
MAIN = """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model.h"
int main(void)
{
    model_state_t *state = malloc(sizeof *state);
    int16_t x[MODEL_INPUTS], y[MODEL_OUTPUTS];
    memset(state, 0xA5, sizeof *state);
    while (fread(x, sizeof x, 1, stdin) == 1) {
        model_step(state, x, y);
        fwrite(y, sizeof y, 1, stdout);
    }
    free(state);
    return writer_check();
}
"""


def sources(model: IntegerModel) -> dict[str, bytes]:
    """Files of a model and of the decoding around it, by path."""
    files = write_c(model, golden_vector(model), prefix="writer")
    kept = {n: t for n, t in files.items() if n not in ("main.c", "selftest_host.c")}
    return {**kept, "model.h": HEADER.encode(), "model.c": SOURCE.encode()}


def requests(vocabulary: int, count: int, seed: int = 0) -> Int16Array:
    """Random ones: draws and searches [count, 6]."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        token, end = rng.integers(vocabulary, size=2)
        most = rng.integers(1, MOST + 1)
        if index % 2:
            k, draws = rng.integers(0, vocabulary + 1), rng.integers(0, 30_000)
            rows.append((token, rng.integers(300, 4000), k, draws, end, most))
        else:
            penalty = rng.choice([0, 128, 256, 1024])
            rows.append((token, 0, rng.integers(1, WIDTH + 1), penalty, end, most))
    return np.array(rows, dtype=np.int16)


def answers(model: IntegerModel, asked: Int16Array) -> Int16Array:
    """What `edgernn.decoding` answers, in the form of the C."""
    found = np.zeros((len(asked), MOST + 4), dtype=np.int16)
    with edgernn.load(model, "reference") as session:
        for row, x in zip(found, asked.tolist(), strict=True):
            session.reset()
            row[:] = _answer(session, x)
    return found


def _answer(session: edgernn.Session, x: Sequence[int]) -> list[int]:
    common = {"first": x[0], "end": x[4], "max_tokens": x[5]}
    if x[1]:
        best = sample(session, **common, temperature=x[1] / 1000, top_k=x[2], seed=x[3])
    else:
        best = beam(session, **common, width=x[2], length_penalty=x[3] / 256)[0]
    cost = 0 if best.bits is None else round(best.bits * 4096)
    rest = [0] * (MOST - len(best.tokens))
    return [len(best.tokens), int(best.ended), cost >> 15, cost & 32767, *best.tokens, *rest]
