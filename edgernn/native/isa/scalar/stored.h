/* Maps for cores without vectors, however their weights are stored: of some rows, first all sums of
 * each product, then what is made of them (isa/scalar/finish.h). Either loop has the few registers
 * for itself, and the two products of a map may be stored in different ways. */
#ifndef EDGERNN_ISA_SCALAR_STORED_H
#define EDGERNN_ISA_SCALAR_STORED_H

/* Rows at once of a map of two products; of one product twice as many. */
#define PART_ROWS 16

#include "finish.h"

/* Whether a term has more columns than products have room for at once. */
#if EDGERNN_HAS_INT4
#define IS_WIDE4(term) ((term)->bits == 4 && (term)->tiles > MOST_TILES4)
#else
#define IS_WIDE4(term) 0
#endif
#if EDGERNN_MOST_TILES < 131072 / EDGERNN_TILE_COLUMNS
#define IS_WIDE8(term) ((term)->tiles > EDGERNN_MOST_TILES)
#else
#define IS_WIDE8 IS_WIDE4
#endif
#define IS_WIDE16 IS_WIDE4

/* The sums of a term's next rows, of which there are as many as `sums` has places up to `end`; the
 * place moves behind them. */
#define DEFINE_SUMS(bits)                                                                       \
    EDGERNN_NOT_INLINE void wide_sums##bits(const edgernn_term##bits *term, stored_place *place, \
                                            const edgernn_code##bits *operands, int32_t *sums,  \
                                            const int32_t *end)                                 \
    {                                                                                           \
        for (; sums != end; sums += EDGERNN_TILE_ROWS) {                                        \
            stored_rows##bits(term, place, operands, sums);                                     \
        }                                                                                       \
    }                                                                                           \
    EDGERNN_NOT_INLINE void dense_sums##bits(stored_place *place,                               \
                                             const edgernn_code##bits *operands, int32_t tiles, \
                                             int32_t *sums, const int32_t *end)                 \
    {                                                                                           \
        const int8_t *weights = place->weights;                                                 \
        do {                                                                                    \
            weights = edgernn_dot##bits(weights, operands, tiles, sums);                        \
            sums += EDGERNN_TILE_ROWS;                                                          \
        } while (sums != end);                                                                  \
        place->weights = weights;                                                               \
    }

DEFINE_SUMS(8)
DEFINE_SUMS(16)

#if EDGERNN_HAS_SPARSE
#define DEFINE_SPARSE_SUMS(bits)                                                                \
    EDGERNN_NOT_INLINE void sparse_sums##bits(stored_place *place,                              \
                                              const edgernn_code##bits *operands, int32_t *sums, \
                                              const int32_t *end)                               \
    {                                                                                           \
        const int8_t *weights = place->weights;                                                 \
        const uint8_t *index = place->index;                                                    \
        do {                                                                                    \
            const int32_t tiles = *index++ + 1;                                                 \
            weights = sparse_dot##bits(weights, operands, &index, tiles, sums);                 \
            sums += EDGERNN_TILE_ROWS;                                                          \
        } while (sums != end);                                                                  \
        place->weights = weights;                                                               \
        place->index = index;                                                                   \
    }

DEFINE_SPARSE_SUMS(8)
DEFINE_SPARSE_SUMS(16)

#define SPARSE_SUMS(bits)                              \
    if (term->index) {                                 \
        sparse_sums##bits(place, operands, sums, end); \
        return;                                        \
    }
#else
#define SPARSE_SUMS(bits)
#endif

#if EDGERNN_HAS_INT4
#define DEFINE_INT4_SUMS(bits)                                                                 \
    EDGERNN_NOT_INLINE void int4_sums##bits(stored_place *place,                               \
                                            const edgernn_code##bits *operands, int32_t tiles, \
                                            int32_t *sums, const int32_t *end)                 \
    {                                                                                          \
        const int8_t *weights = place->weights;                                                \
        const int32_t eight = place->eight;                                                    \
        do {                                                                                   \
            edgernn_dot4_##bits(weights, operands, tiles, eight, sums);                        \
            weights += EDGERNN_TILE4_BYTES * tiles;                                            \
            sums += EDGERNN_TILE_ROWS;                                                         \
        } while (sums != end);                                                                 \
        place->weights = weights;                                                              \
    }

DEFINE_INT4_SUMS(8)
DEFINE_INT4_SUMS(16)

#define INT4_SUMS(width)                                           \
    if (term->bits == 4) {                                         \
        int4_sums##width(place, operands, term->tiles, sums, end); \
        return;                                                    \
    }
#else
#define INT4_SUMS(width)
#endif

#define DEFINE_TERM_SUMS(width)                                                               \
    EDGERNN_INLINE void term_sums##width(const edgernn_term##width *term, stored_place *place, \
                                         const edgernn_code##width *operands, int32_t *sums,  \
                                         const int32_t *end)                                  \
    {                                                                                         \
        operands += term->first;                                                              \
        if (IS_WIDE##width(term)) {                                                           \
            wide_sums##width(term, place, operands, sums, end);                               \
            return;                                                                           \
        }                                                                                     \
        SPARSE_SUMS(width)                                                                    \
        INT4_SUMS(width)                                                                      \
        dense_sums##width(place, operands, term->tiles, sums, end);                           \
    }

DEFINE_TERM_SUMS(8)
DEFINE_TERM_SUMS(16)

EDGERNN_NOT_INLINE void affine8_of_many(const edgernn_map8 *map, const edgernn_code8 *operands,
                                        int32_t row, int16_t *z)
{
    const int32_t most = map->term_count == 1 ? 2 * PART_ROWS : PART_ROWS;
    int32_t sums[2 * PART_ROWS];
    stored_place places[2];
#ifdef EDGERNN_OWN_DENSE8
    begin8(map, operands, row, places);
#else /* only maps of one product begin at another row */
    begin8(map, operands, 0, places);
    places->weights += row * EDGERNN_TILE_COLUMNS * map->terms->tiles;
#endif
    for (; row < map->rows; row += most) {
        const int32_t left = map->rows - row;
        const int32_t rows = left < most ? left : most;
        const int32_t padded = EDGERNN_PADDED(rows);
        term_sums8(map->terms, places, operands, sums, sums + padded);
        if (map->term_count == 1) {
            finish8_of_one(map, row, rows, sums, z + row);
        } else {
            int32_t *second = sums + PART_ROWS;
            term_sums8(map->terms + 1, places + 1, operands, second, second + padded);
            finish8_of_two(map, row, rows, sums, z + row);
        }
    }
}

EDGERNN_INLINE void affine8_of_stored(const edgernn_map8 *map, const edgernn_code8 *operands,
                                      int16_t *z)
{
    affine8_of_many(map, operands, 0, z);
}

EDGERNN_NOT_INLINE void affine16_of_stored(const edgernn_map16 *map,
                                           const edgernn_code16 *operands, int16_t *z)
{
    const int32_t most = map->term_count == 1 ? 2 * PART_ROWS : PART_ROWS;
    int32_t sums[2 * PART_ROWS];
    stored_place places[2];
    int32_t row;
    begin16(map, operands, 0, places);
    for (row = 0; row < map->rows; row += most) {
        const int32_t left = map->rows - row;
        const int32_t rows = left < most ? left : most;
        const int32_t padded = EDGERNN_PADDED(rows);
        int32_t *second = 0;
        term_sums16(map->terms, places, operands, sums, sums + padded);
        if (map->term_count > 1) {
            second = sums + PART_ROWS;
            term_sums16(map->terms + 1, places + 1, operands, second, second + padded);
            scale16(map->terms + 1, row, rows, second);
        }
        finish16(map->terms, row, rows, sums, second, z + row);
    }
}

#endif
