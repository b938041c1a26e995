/* Affine maps, four rows at a time in scalar registers. The products come from dot.h:
 *
 *   edgernn_dot8(weights, operands, tiles, acc), edgernn_dot16(...): acc[4], the sums of clauses
 *   4.2 and 5.2 (without bias) for the 4 rows whose tiles begin at `weights`; returned is the
 *   first byte behind these tiles. There is at least one tile.
 */
#ifndef EDGERNN_ISA_SCALAR_AFFINE_H
#define EDGERNN_ISA_SCALAR_AFFINE_H

#include "../../edgernn_affine.h"
#include "../../common/fixed.h"

#include EDGERNN_DOT_HEADER
#ifdef EDGERNN_FINISH_HEADER
#include EDGERNN_FINISH_HEADER
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

/* z of one row, saturated. */
#define STORE_ROW(r)                         \
    do {                                     \
        z[r] = (int16_t)edgernn_sat16(u[r]); \
        KEEP_APART;                          \
    } while (0)

/* Clauses 4.2 and 4.3 of four rows, from their products. */
EDGERNN_INLINE void finish_rows(const int32_t *acc, const int32_t *bias, int32_t half,
                                const int32_t *multiplier, int32_t shift, int16_t *z)
{
    int32_t u[4];
#define SCALE(r) u[r] = (bias[r] + half + acc[r] * multiplier[r]) >> shift
    EACH_ROW(SCALE);
#undef SCALE
    EACH_ROW(STORE_ROW);
}

/* Any map, from a row that is a multiple of 4. */
EDGERNN_NOT_INLINE void affine8_of_many(const edgernn_map8 *map, const edgernn_code8 *operands,
                                        int32_t row, int16_t *z); /* isa/scalar/stored.h */

#if !EDGERNN_HAS_STORAGES

#ifndef FINISH_FOUR
/* z of the next four rows; what belongs to them moves on. */
#define FINISH_FOUR(acc)                                     \
    do {                                                     \
        finish_rows(acc, bias, half, multiplier, shift, z);  \
        bias += 4;                                           \
        multiplier += 4;                                     \
        z += 4;                                              \
    } while (0)
#endif

/* A map of one term of at most EDGERNN_MOST_TILES, but for the last rows if they are fewer than 4. */
EDGERNN_INLINE void affine8_of_one(const edgernn_map8 *map, const edgernn_code8 *x, int16_t *z)
{
    const int32_t tiles = map->terms->tiles;
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    const int32_t *bias = map->bias;
    const int32_t *multiplier = map->terms->multiplier;
    const int8_t *weights = map->terms->weights;
    const int32_t *end = bias + map->rows / 4 * 4;
    while (bias != end) {
        int32_t acc[4];
        weights = edgernn_dot8(weights, x, tiles, acc);
        FINISH_FOUR(acc);
    }
}

#endif

#ifndef EDGERNN_OWN_DENSE8
#if EDGERNN_HAS_STORAGES /* beside products stored in other ways, dense ones have no loop */
#define affine8_of_dense affine8_of_stored
#else

EDGERNN_INLINE void affine8_of_dense(const edgernn_map8 *map, const edgernn_code8 *operands,
                                     int16_t *z)
{
    const edgernn_term8 *term = map->terms;
    int32_t row = 0;
    if (map->term_count == 1 && term->tiles <= EDGERNN_MOST_TILES) {
        affine8_of_one(map, operands + term->first, z);
        row = map->rows / 4 * 4;
    }
    if (row != map->rows) {
        affine8_of_many(map, operands, row, z);
    }
}

#endif
#endif

#define affine16_of_dense affine16_of_stored
#define GROUP_TILES EDGERNN_MOST_TILES
#define dense_group8 edgernn_dot8
#define dense_group16 edgernn_dot16

#endif
