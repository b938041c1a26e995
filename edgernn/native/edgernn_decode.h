/* Decoding (NUMERICS.md section 13): which token a model reads next, from the scores of all tokens.
 *
 * Greedy decoding and sampling choose one token at a time:
 *
 *     model_step(&state, &token, scores);
 *     edgernn_make_scores(&model_scoring, scores);
 *     token = (int16_t)edgernn_likeliest(scores, model_scoring.tokens);
 *
 * A search of beams says which state reads which token next. All functions give the tokens that
 * edgernn.decoding gives in Python, without floating point, dynamic memory and calls through pointers.
 */
#ifndef EDGERNN_DECODE_H
#define EDGERNN_DECODE_H

#include <stdint.h>

#include "edgernn_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Clause 13.1; a generated header declares that of its model. */
typedef struct {
    int32_t tokens;     /* V */
    int32_t multiplier; /* a */
    int32_t shift;      /* b */
    const int16_t *factors; /* [V]: f; 0 where all scales are equal */
} edgernn_scoring;

/* Clause 13.1: makes scores of the V output codes of a step, in place. */
EDGERNN_API void edgernn_make_scores(const edgernn_scoring *of, int16_t *scores);

/* m and s of clause 13.2. */
typedef struct {
    int32_t multiplier;
    int32_t shift;
} edgernn_temperature;

/* Clause 13.6. */
typedef struct {
    uint32_t s[4];
} edgernn_random;

/* A temperature in thousandths, 1 to 100000. 0: done. 1: it is out of range, or too low or too high
 * for the scores of the model. */
EDGERNN_API int32_t edgernn_set_temperature(const edgernn_scoring *of, int32_t thousandths,
                                            edgernn_temperature *temperature);

EDGERNN_API void edgernn_seed(edgernn_random *random, uint32_t seed);
EDGERNN_API uint32_t edgernn_next_random(edgernn_random *random);

/* Clause 13.10: the first token with the greatest of scores[tokens]. */
EDGERNN_API int32_t edgernn_likeliest(const int16_t *scores, int32_t tokens);

/* Clauses 13.3 to 13.7: a token drawn by its probability, among the top_k likeliest ones; 0: all.
 */
EDGERNN_API int32_t edgernn_draw(const int16_t *scores, int32_t tokens,
                                 const edgernn_temperature *temperature, int32_t top_k,
                                 edgernn_random *random);

/* One candidate of a step of a search. */
typedef struct {
    int32_t cost;
    int16_t token;
    uint8_t parent;
} edgernn_candidate;

/* A finished hypothesis: what it is ranked by, and where its tokens are. */
typedef struct {
    int32_t rank;
    int32_t cost;
    int32_t length; /* tokens, without the end token */
    int32_t place;  /* of the last of them */
    int32_t ended;
} edgernn_finish;

/* A search (clause 13.11) and its memory, all of it the caller's. */
typedef struct {
    edgernn_scoring scoring;
    int32_t width;       /* B, 1 to 64 */
    int32_t most_tokens; /* N, 1 to 10000 */
    int32_t end;         /* the end token; -1: none */
    int32_t penalty;     /* of the length, in 1/256: clause 13.12, 0 to 1024 */
    int32_t state_bytes; /* sizeof a state of the model */
    void *states;        /* [2 * width] of them, side by side */
    const int16_t *scores;         /* [V], which the model writes */
    edgernn_candidate *candidates; /* [2 * width] */
    int32_t *costs;                /* [width] */
    int16_t *tokens;               /* [most_tokens * width] */
    uint8_t *parents;              /* [most_tokens * width] */
    /* The search's own: edgernn_begin_beams sets them. */
    edgernn_temperature at;
    edgernn_finish best;
    int32_t step, half, live, place, count, finished;
} edgernn_beams;

/* Begins a search. The first of the states has read the prompt, and wrote the scores. 0: done. 1:
 * the scores cannot be costs, because nearly all of them are the same or too far apart.
 *
 *     if (edgernn_begin_beams(&beams) == 0) {
 *         while ((state = edgernn_next_beam(&beams, &token)) != 0) {
 *             x = (int16_t)token;
 *             model_step((model_state_t *)state, &x, scores);
 *             edgernn_make_scores(&model_scoring, scores);
 *         }
 *         length = edgernn_best_beam(&beams, found, &ended, &cost);
 *     }
 */
EDGERNN_API int32_t edgernn_begin_beams(edgernn_beams *of);

/* Takes the scores, and returns the state that reads a token next; 0: the search is over. */
EDGERNN_API void *edgernn_next_beam(edgernn_beams *of, int32_t *token);

/* The best row of tokens, without the end token. Returns how many they are.
 *
 * found: [most_tokens].
 * ended: 1: the end token follows. 0: these are most_tokens.
 * cost:  in 1/4096 bit, that of the end token included.
 */
EDGERNN_API int32_t edgernn_best_beam(const edgernn_beams *of, int16_t *found, int32_t *ended,
                                      int32_t *cost);

#ifdef __cplusplus
}
#endif

#endif
