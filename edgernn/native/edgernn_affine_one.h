/* Affine maps, four rows at a time in scalar registers. The products come from edgernn_dot_*.h:
 *
 *   edgernn_dot8(weights, operands, tiles, acc), edgernn_dot16(...): acc[4], the sums of clauses
 *   4.2 and 5.2 (without bias) for the 4 rows whose tiles begin at `weights`; returned is the
 *   first byte behind these tiles. There is at least one tile.
 */
#ifndef EDGERNN_AFFINE_ONE_H
#define EDGERNN_AFFINE_ONE_H

#include "edgernn_affine.h"
#include "edgernn_fixed.h"

#if EDGERNN_VARIANT == EDGERNN_DSP
#include "edgernn_dot_dsp.h"
#elif EDGERNN_VARIANT == EDGERNN_THUMB1
#include "edgernn_dot_thumb1.h"
#elif EDGERNN_VARIANT == EDGERNN_RISCV
#include "edgernn_dot_riscv.h"
#else
#include "edgernn_dot_portable.h"
#endif

/* What edgernn_dot8 takes in one call: sums of pairs (edgernn_dot_dsp.h) hold 512 columns. */
#if EDGERNN_VARIANT == EDGERNN_DSP || EDGERNN_VARIANT == EDGERNN_THUMB1
#define MOST_TILES 128
#else
#define MOST_TILES (131072 / EDGERNN_TILE_COLUMNS) /* all that clause 4.1 allows */
#endif

#ifdef __GNUC__
#define NOT_INLINE __attribute__((noinline))
#else
#define NOT_INLINE
#endif

/* Without a loop, what belongs to the rows stays in registers. */
#define EACH_ROW(statement) \
    do {                    \
        statement(0);       \
        statement(1);       \
        statement(2);       \
        statement(3);       \
    } while (0)

/* So that a compiler does not put values together before it stores them. */
#ifdef __GNUC__
#define KEEP_APART __asm__ __volatile__("" : : : "memory")
#else
#define KEEP_APART (void)0
#endif

/* z[left] of four rows, saturated. */
#define STORE_ROW(r)                          \
    do {                                      \
        z[r] = (int16_t)edgernn_sat16(u[r]);  \
        KEEP_APART;                           \
    } while (0)
#define STORE_ROWS(left)      \
    do {                      \
        STORE_ROW(0);         \
        if ((left) >= 4) {    \
            STORE_ROW(1);     \
            STORE_ROW(2);     \
            STORE_ROW(3);     \
        } else {              \
            if ((left) > 1) { \
                STORE_ROW(1); \
            }                 \
            if ((left) > 2) { \
                STORE_ROW(2); \
            }                 \
        }                     \
    } while (0)

/* Rows whose products are made together. */
#if EDGERNN_VARIANT == EDGERNN_RISCV
#define ROWS_AT_ONCE 16
static NOT_INLINE const int8_t *dot8_of_4(const int8_t *weights, const edgernn_code8 *x,
                                          int32_t tiles, int32_t *acc)
{
    return edgernn_dot8(weights, x, tiles, acc);
}
EDGERNN_INLINE const int8_t *dot8_of_rows(const int8_t *weights, const edgernn_code8 *x,
                                          int32_t tiles, int32_t rows, int32_t *acc)
{
    int32_t r;
    if (rows > 12) {
        return edgernn_dot8_of_16(weights, x, tiles, acc);
    }
    for (r = 0; r < rows; r += 4) {
        weights = dot8_of_4(weights, x, tiles, acc + r);
    }
    return weights;
}
#else
#define ROWS_AT_ONCE 4
#define dot8_of_4 edgernn_dot8
EDGERNN_INLINE const int8_t *dot8_of_rows(const int8_t *weights, const edgernn_code8 *x,
                                          int32_t tiles, int32_t rows, int32_t *acc)
{
    (void)rows;
    return edgernn_dot8(weights, x, tiles, acc);
}
#endif

/* A map of one term of at most MOST_TILES. */
EDGERNN_INLINE void affine8_of_one(const edgernn_map8 *map, const edgernn_code8 *x, int16_t *z)
{
    const int32_t tiles = map->terms->tiles;
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    const int32_t *bias = map->bias;
    const int32_t *multiplier = map->terms->multiplier;
    const int8_t *weights = map->terms->weights;
    int32_t left = map->rows;
    while (left > 0) {
        int32_t sums[ROWS_AT_ONCE];
        const int32_t *acc = sums;
        const int32_t rest = left > ROWS_AT_ONCE ? left - ROWS_AT_ONCE : 0;
        weights = dot8_of_rows(weights, x, tiles, left, sums);
#if EDGERNN_VARIANT == EDGERNN_THUMB1 /* has few registers and little memory for code */
        const int32_t *end = acc + left - rest;
        left = rest;
        do {
            *z++ = (int16_t)edgernn_sat16((*acc++ * *multiplier++ + *bias++ + half) >> shift);
            __asm__("" : "+r"(bias), "+r"(multiplier), "+r"(z)); /* not to be recomputed below */
        } while (acc != end);
#else
        do {
            int32_t u[4];
#define SCALE(r) u[r] = (bias[r] + half + acc[r] * multiplier[r]) >> shift
            EACH_ROW(SCALE);
#undef SCALE
            STORE_ROWS(left);
            acc += 4;
            bias += 4;
            multiplier += 4;
            z += 4;
            left -= 4;
        } while (left > rest);
#endif
    }
}

/* Any map. */
static NOT_INLINE void affine8_of_many(const edgernn_map8 *map, const edgernn_code8 *operands,
                                       int16_t *z)
{
    const int32_t half = (int32_t)1 << (map->shift - 1);
    const edgernn_term8 *end = map->terms + map->term_count;
    int32_t row;
    for (row = 0; row < map->rows; row += 4) {
        const edgernn_term8 *term;
        int32_t u[4];
        int32_t r;
        for (r = 0; r < 4; ++r) {
            u[r] = map->bias[row + r] + half;
        }
        for (term = map->terms; term != end; ++term) {
            const int8_t *weights = term->weights + row * EDGERNN_TILE_COLUMNS * term->tiles;
            const edgernn_code8 *x = operands + term->first;
            int32_t left = term->tiles;
            while (left > 0) {
                const int32_t tiles = left < MOST_TILES ? left : MOST_TILES;
                int32_t acc[4];
                weights = dot8_of_4(weights, x, tiles, acc);
                for (r = 0; r < 4; ++r) {
                    u[r] += acc[r] * term->multiplier[row + r];
                }
                x += tiles * EDGERNN_TILE_COLUMNS;
                left -= tiles;
            }
        }
        for (r = 0; r < 4 && row + r < map->rows; ++r) {
            z[row + r] = (int16_t)edgernn_sat16(u[r] >> map->shift);
        }
    }
}

EDGERNN_API void edgernn_affine8(const edgernn_map8 *map, const edgernn_code8 *operands,
                                 int16_t *z)
{
    const edgernn_term8 *term = map->terms;
    if (map->term_count > 1 || term->tiles > MOST_TILES) {
        affine8_of_many(map, operands, z);
    } else {
        affine8_of_one(map, operands + term->first, z);
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
    for (row = 0; row < map->rows; row += 4, z += 4) {
        const edgernn_term16 *term;
        int32_t acc[4];
        int32_t u[4];
#define START(r) u[r] = 0
#define ADD_TERM(r) u[r] += product16(term, row + r, acc[r])
        EACH_ROW(START);
        for (term = map->terms; term != end; ++term) {
            edgernn_dot16(term->weights + row * EDGERNN_TILE_COLUMNS * term->tiles,
                          operands + term->first, term->tiles, acc);
            EACH_ROW(ADD_TERM);
        }
        STORE_ROWS(map->rows - row);
#undef START
#undef ADD_TERM
    }
}

#undef EACH_ROW

#endif
