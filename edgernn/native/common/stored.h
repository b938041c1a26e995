/* Maps with a product whose weights are not stored as a byte each, one behind the other: written
 * once over edgernn_lanes, from sums of 4 rows at a time. For cores without vectors these and most
 * dense maps are in isa/scalar/stored.h. The variant's affine.h gives
 *
 *   dense_group8(weights, operands, tiles, acc), dense_group16(...): acc[4], the sums of clauses
 *   4.2 and 5.2 (without bias) for the 4 rows whose tiles begin at `weights`, of which there are 1
 *   to GROUP_TILES; returned is the first byte behind them
 *
 * and, where there are vectors,
 *
 *   rows_load(from, left): int32_t values of `left` rows, or of as many as there are lanes
 *   product16(term, row, left, sum): clause 5.2, p from sums without bias of the rows from `row` on
 */
#ifndef EDGERNN_COMMON_STORED_H
#define EDGERNN_COMMON_STORED_H

#include "../edgernn_affine.h"
#include "lanes.h"

/* Rows at once: all lanes, and full tiles. */
#define STORED_ROWS (EDGERNN_LANES > EDGERNN_TILE_ROWS ? EDGERNN_LANES : EDGERNN_TILE_ROWS)
#define STORED_VECTORS (STORED_ROWS / EDGERNN_LANES)

/* Where the next 4 rows of a term begin. */
typedef struct {
    const int8_t *weights;
    const uint8_t *index; /* of a sparse term */
    int32_t eight;        /* 8 times the sum of its operands, of a 4-bit term */
} stored_place;

EDGERNN_INLINE void add_sums(int32_t *acc, const int32_t *part)
{
    int32_t r;
    for (r = 0; r < EDGERNN_TILE_ROWS; ++r) {
        acc[r] = (int32_t)((uint32_t)acc[r] + (uint32_t)part[r]);
    }
}

#define DEFINE_DENSE_ROWS(bits)                                                                \
    EDGERNN_INLINE const int8_t *dense_rows##bits(const int8_t *weights,                       \
                                                  const edgernn_code##bits *operands,          \
                                                  int32_t tiles, int32_t *acc)                 \
    {                                                                                          \
        while (tiles > 0) {                                                                    \
            const int32_t now = tiles < GROUP_TILES ? tiles : GROUP_TILES;                     \
            int32_t part[EDGERNN_TILE_ROWS];                                                   \
            weights = dense_group##bits(weights, operands, now, part);                         \
            add_sums(acc, part);                                                               \
            operands += EDGERNN_TILE_COLUMNS * now;                                            \
            tiles -= now;                                                                      \
        }                                                                                      \
        return weights;                                                                        \
    }

DEFINE_DENSE_ROWS(8)
DEFINE_DENSE_ROWS(16)

#if EDGERNN_HAS_SPARSE
#include EDGERNN_SPARSE_HEADER
#endif
#if EDGERNN_HAS_INT4
#include "int4.h"
#endif

/* acc[4], the sums of a term's next 4 rows; the place moves behind them. */
#if EDGERNN_HAS_SPARSE
#define SPARSE_ROWS(bits)                                                        \
    if (term->index) {                                                           \
        sparse_rows##bits(place, operands, acc);                                 \
        return;                                                                  \
    }
#else
#define SPARSE_ROWS(bits)
#endif
#if EDGERNN_HAS_INT4
#define INT4_ROWS(width)                                           \
    if (term->bits == 4) {                                         \
        int4_rows##width(place, operands, term->tiles, acc);       \
        return;                                                    \
    }
#define EIGHT_TIMES(width, term, operands) \
    ((term)->bits == 4 ? eight_times##width((operands) + (term)->first, (term)->tiles) : 0)
#else
#define INT4_ROWS(width)
#define EIGHT_TIMES(width, term, operands) 0
#endif
#define DEFINE_STORED_ROWS(bits)                                                               \
    EDGERNN_INLINE void stored_rows##bits(const edgernn_term##bits *term, stored_place *place, \
                                          const edgernn_code##bits *operands, int32_t *acc)    \
    {                                                                                          \
        acc[0] = acc[1] = acc[2] = acc[3] = 0;                                                 \
        SPARSE_ROWS(bits)                                                                      \
        INT4_ROWS(bits)                                                                        \
        place->weights = dense_rows##bits(place->weights, operands, term->tiles, acc);         \
    }

DEFINE_STORED_ROWS(8)
DEFINE_STORED_ROWS(16)

/* The sums of up to STORED_ROWS rows. */
#define DEFINE_STORED_SUMS(bits)                                                               \
    EDGERNN_INLINE void stored_sums##bits(const edgernn_term##bits *term, stored_place *place, \
                                          const edgernn_code##bits *operands, int32_t left,    \
                                          int32_t *acc)                                        \
    {                                                                                          \
        int32_t r;                                                                             \
        for (r = 0; r < STORED_ROWS && r < left; r += EDGERNN_TILE_ROWS) {                     \
            stored_rows##bits(term, place, operands + term->first, acc + r);                   \
        }                                                                                      \
    }                                                                                          \
    /* Where the rows of a map's terms begin; of dense ones only, if `row` is not 0. */        \
    EDGERNN_INLINE void begin##bits(const edgernn_map##bits *map,                              \
                                    const edgernn_code##bits *operands, int32_t row,           \
                                    stored_place *places)                                      \
    {                                                                                          \
        int32_t i;                                                                             \
        for (i = 0; i < map->term_count; ++i) {                                                \
            const edgernn_term##bits *term = map->terms + i;                                   \
            places[i].weights = term->weights + row * EDGERNN_TILE_COLUMNS * term->tiles;      \
            places[i].index = INDEX_OF(term);                                                  \
            places[i].eight = EIGHT_TIMES(bits, term, operands);                               \
        }                                                                                      \
        (void)operands;                                                                        \
    }                                                                                          \
    EDGERNN_INLINE int is_stored##bits(const edgernn_term##bits *term)                         \
    {                                                                                          \
        (void)term;                                                                            \
        return INDEX_OF(term) != 0 || BITS_OF(term) != 8;                                      \
    }

#if EDGERNN_HAS_SPARSE
#define INDEX_OF(term) ((term)->index)
#else
#define INDEX_OF(term) ((const uint8_t *)0)
#endif
#if EDGERNN_HAS_INT4
#define BITS_OF(term) ((term)->bits)
#else
#define BITS_OF(term) 8
#endif

DEFINE_STORED_SUMS(8)
DEFINE_STORED_SUMS(16)

#if EDGERNN_LANES == 1
#include "../isa/scalar/stored.h"
#else

EDGERNN_NOT_INLINE void affine8_of_stored(const edgernn_map8 *map, const edgernn_code8 *operands, int16_t *z)
{
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    stored_place places[2];
    int32_t row;
    begin8(map, operands, 0, places);
    for (row = 0; row < map->rows; row += STORED_ROWS) {
        const int32_t left = map->rows - row;
        edgernn_lanes u[STORED_VECTORS];
        int32_t i;
        int32_t r;
        for (r = 0; r < STORED_ROWS; r += EDGERNN_LANES) {
            u[r / EDGERNN_LANES] = rows_load(map->bias + row + r, left - r) + half;
        }
        for (i = 0; i < map->term_count; ++i) {
            const edgernn_term8 *term = map->terms + i;
            int32_t acc[STORED_ROWS] = {0};
            stored_sums8(term, places + i, operands, left, acc);
            for (r = 0; r < STORED_ROWS; r += EDGERNN_LANES) {
                u[r / EDGERNN_LANES] +=
                    rows_load(acc + r, STORED_ROWS) * rows_load(term->multiplier + row + r, left - r);
            }
        }
        for (r = 0; r < STORED_ROWS && r < left; r += EDGERNN_LANES) {
            const edgernn_lanes nearest = edgernn_lanes_sat16(u[r / EDGERNN_LANES] >> shift);
            edgernn_lanes_store(z + row + r, nearest, left - r);
        }
    }
}

EDGERNN_NOT_INLINE void affine16_of_stored(const edgernn_map16 *map, const edgernn_code16 *operands,
                               int16_t *z)
{
    stored_place places[2];
    int32_t row;
    begin16(map, operands, 0, places);
    for (row = 0; row < map->rows; row += STORED_ROWS) {
        const int32_t left = map->rows - row;
        edgernn_lanes u[STORED_VECTORS];
        int32_t i;
        int32_t r;
        for (r = 0; r < STORED_VECTORS; ++r) {
            u[r] = edgernn_lanes_all(0);
        }
        for (i = 0; i < map->term_count; ++i) {
            const edgernn_term16 *term = map->terms + i;
            int32_t acc[STORED_ROWS] = {0};
            stored_sums16(term, places + i, operands, left, acc);
            for (r = 0; r < STORED_ROWS; r += EDGERNN_LANES) {
                u[r / EDGERNN_LANES] +=
                    product16(term, row + r, left - r, rows_load(acc + r, STORED_ROWS));
            }
        }
        for (r = 0; r < STORED_ROWS && r < left; r += EDGERNN_LANES) {
            const edgernn_lanes nearest = edgernn_lanes_sat16(u[r / EDGERNN_LANES]);
            edgernn_lanes_store(z + row + r, nearest, left - r);
        }
    }
}

#endif

#endif
