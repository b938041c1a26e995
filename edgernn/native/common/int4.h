/* 4-bit products of common/stored.h. The variant's dot4.h gives
 *
 *   edgernn_dot4_8(weights, operands, tiles, eight, acc), edgernn_dot4_16(...): acc[4], the sums of
 *   clauses 4.2 and 5.2 (without bias) for the 4 rows whose 1 to MOST_TILES4 tiles begin at
 *   `weights`; `eight` is 8 times the sum of the operands (common/tile4.h).
 */
#ifndef EDGERNN_COMMON_INT4_H
#define EDGERNN_COMMON_INT4_H

#include "tile4.h"

#include EDGERNN_DOT4_HEADER

/* Sums that hold several rows have room for 512 columns. */
#define MOST_TILES4 128

/* 8 times the sum of operands, modulo 2^32, unless the variant has its own way. */
#ifndef OWN_EIGHT_TIMES
#define DEFINE_EIGHT_TIMES(bits)                                                                \
    EDGERNN_INLINE int32_t eight_times##bits(const edgernn_code##bits *x, int32_t tiles)        \
    {                                                                                           \
        const edgernn_code##bits *end = x + EDGERNN_TILE_COLUMNS * tiles;                       \
        uint32_t sum = 0;                                                                       \
        for (; x != end; x += EDGERNN_TILE_COLUMNS) {                                           \
            sum += (uint32_t)(x[0] + x[1] + x[2] + x[3]);                                       \
        }                                                                                       \
        return (int32_t)(8 * sum);                                                              \
    }

DEFINE_EIGHT_TIMES(8)
DEFINE_EIGHT_TIMES(16)
#endif

#define DEFINE_INT4_ROWS(bits)                                                                  \
    /* eight[2] for the terms of a map. */                                                      \
    EDGERNN_INLINE void eights##bits(const edgernn_map##bits *map,                              \
                                     const edgernn_code##bits *operands, int32_t *eight)        \
    {                                                                                           \
        int32_t i;                                                                              \
        for (i = 0; i < map->term_count; ++i) {                                                 \
            const edgernn_term##bits *term = map->terms + i;                                    \
            eight[i] = eight_times##bits(operands + term->first, term->tiles);                  \
        }                                                                                       \
    }                                                                                           \
    /* acc[4] += the sums of the next 4 rows; the place moves behind them. */                   \
    EDGERNN_INLINE void int4_rows##bits(stored_place *place, const edgernn_code##bits *operands, \
                                        int32_t tiles, int32_t *acc)                            \
    {                                                                                           \
        int32_t eight = place->eight;                                                           \
        do {                                                                                    \
            const int32_t next = tiles < MOST_TILES4 ? tiles : MOST_TILES4;                     \
            int32_t part[EDGERNN_TILE_ROWS];                                                    \
            edgernn_dot4_##bits(place->weights, operands, next, eight, part);                   \
            add_sums(acc, part);                                                                \
            eight = 0; /* of all operands */                                                    \
            place->weights += EDGERNN_TILE4_BYTES * next;                                       \
            operands += EDGERNN_TILE_COLUMNS * next;                                            \
            tiles -= next;                                                                      \
        } while (tiles > 0);                                                                    \
    }

DEFINE_INT4_ROWS(8)
DEFINE_INT4_ROWS(16)

#ifdef EDGERNN_INT4_HEADER
#include EDGERNN_INT4_HEADER
#elif EDGERNN_LANES > 1
#include "int4_lanes.h"
#endif

#endif
