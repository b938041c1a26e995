/* Affine maps, four rows at a time in scalar registers. The products come from edgernn_dot_*.h:
 *
 *   edgernn_dot8(weights, operands, tiles, acc), edgernn_dot16(...): acc[4], the sums of clauses
 *   4.2 and 5.2 (without bias) for the 4 rows whose tiles begin at `weights`.
 */
#ifndef EDGERNN_AFFINE_ONE_H
#define EDGERNN_AFFINE_ONE_H

#include "edgernn_affine.h"
#include "edgernn_fixed.h"

#if EDGERNN_VARIANT == EDGERNN_DSP
#include "edgernn_dot_dsp.h"
#else
#include "edgernn_dot_portable.h"
#endif

/* Without a loop, what belongs to the rows stays in registers. */
#define EACH_ROW(statement) \
    do {                    \
        statement(0);       \
        statement(1);       \
        statement(2);       \
        statement(3);       \
    } while (0)

/* The tiles of a row and its three successors. */
#define ROW_WEIGHTS(term, row) ((term)->weights + (row) * EDGERNN_TILE_COLUMNS * (term)->tiles)

static inline void store4(const int32_t *v, int32_t left, int16_t *z)
{
    z[0] = (int16_t)v[0];
    if (left > 1) {
        z[1] = (int16_t)v[1];
    }
    if (left > 2) {
        z[2] = (int16_t)v[2];
    }
    if (left > 3) {
        z[3] = (int16_t)v[3];
    }
}

EDGERNN_API void edgernn_affine8(const edgernn_map8 *map, const edgernn_code8 *operands,
                                 int16_t *z)
{
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    const edgernn_term8 *end = map->terms + map->term_count;
    int32_t row;
    for (row = 0; row < map->rows; row += 4) {
        const int32_t *bias = map->bias + row;
        const edgernn_term8 *term;
        int32_t acc[4];
        int32_t u[4];
#define START(r) u[r] = bias[r] + half
#define ADD_TERM(r) u[r] += acc[r] * multiplier[r]
#define FINISH(r) u[r] = edgernn_sat16(u[r] >> shift)
        EACH_ROW(START);
        for (term = map->terms; term != end; ++term) {
            const int32_t *multiplier = term->multiplier + row;
            edgernn_dot8(ROW_WEIGHTS(term, row), operands + term->first, term->tiles, acc);
            EACH_ROW(ADD_TERM);
        }
        EACH_ROW(FINISH);
        store4(u, map->rows - row, z + row);
#undef START
#undef ADD_TERM
#undef FINISH
    }
}

/* Clause 5.2, p from the sum without bias. */
static inline int32_t product16(const edgernn_term16 *term, int32_t row, int32_t sum)
{
    const int32_t v =
        edgernn_sat16(edgernn_half_up(sum + term->bias[row], term->shift[row]));
    return edgernn_round(v * term->multiplier[row], 15);
}

EDGERNN_API void edgernn_affine16(const edgernn_map16 *map, const edgernn_code16 *operands,
                                  int16_t *z)
{
    const edgernn_term16 *end = map->terms + map->term_count;
    int32_t row;
    for (row = 0; row < map->rows; row += 4) {
        const edgernn_term16 *term;
        int32_t acc[4];
        int32_t u[4];
#define START(r) u[r] = 0
#define ADD_TERM(r) u[r] += product16(term, row + r, acc[r])
#define FINISH(r) u[r] = edgernn_sat16(u[r])
        EACH_ROW(START);
        for (term = map->terms; term != end; ++term) {
            edgernn_dot16(ROW_WEIGHTS(term, row), operands + term->first, term->tiles, acc);
            EACH_ROW(ADD_TERM);
        }
        EACH_ROW(FINISH);
        store4(u, map->rows - row, z + row);
#undef START
#undef ADD_TERM
#undef FINISH
    }
}

#endif
