/* Maps of 4-bit products alone, over edgernn_lanes. Where lanes are 4 rows, the products are those
 * of edgernn_dot4_8 and edgernn_dot4_16; others bring lanes_of_int4_8 and lanes_of_int4_16. */
#ifndef EDGERNN_COMMON_INT4_LANES_H
#define EDGERNN_COMMON_INT4_LANES_H

#define IS_INT4_MAP(map) \
    ((map)->terms->bits == 4 && (map)->terms[(map)->term_count - 1].bits == 4)

#if EDGERNN_LANES == EDGERNN_TILE_ROWS
/* The sums without bias of as many rows as there are lanes, from `row` on. */
#define DEFINE_LANES_OF_INT4(width)                                                            \
    EDGERNN_INLINE edgernn_lanes lanes_of_int4_##width(                                        \
        const edgernn_term##width *term, const edgernn_code##width *operands, int32_t eight,   \
        int32_t row, int32_t left)                                                             \
    {                                                                                          \
        const int32_t bytes = EDGERNN_TILE4_BYTES * term->tiles;                               \
        int32_t acc[EDGERNN_TILE_ROWS];                                                        \
        edgernn_dot4_##width(term->weights + row / EDGERNN_TILE_ROWS * bytes, operands,        \
                             term->tiles, eight, acc);                                         \
        (void)left; /* arrays of rows are filled up */                                         \
        return rows_load(acc, EDGERNN_TILE_ROWS);                                              \
    }

DEFINE_LANES_OF_INT4(8)
DEFINE_LANES_OF_INT4(16)
#endif

EDGERNN_NOT_INLINE void affine8_of_int4(const edgernn_map8 *map, const edgernn_code8 *operands,
                                        int16_t *z)
{
    const int32_t rows = map->rows;
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    int32_t eight[2];
    int32_t row;
    eights8(map, operands, eight);
    for (row = 0; row < rows; row += EDGERNN_LANES) {
        const int32_t left = rows - row;
        edgernn_lanes u = rows_load(map->bias + row, left) + half;
        int32_t i;
        for (i = 0; i < map->term_count; ++i) {
            const edgernn_term8 *term = map->terms + i;
            const edgernn_code8 *x = operands + term->first;
            const edgernn_lanes acc = lanes_of_int4_8(term, x, eight[i], row, left);
            u += acc * rows_load(term->multiplier + row, left);
        }
        edgernn_lanes_store(z + row, edgernn_lanes_sat16(u >> shift), left);
    }
}

EDGERNN_NOT_INLINE void affine16_of_int4(const edgernn_map16 *map, const edgernn_code16 *operands,
                                         int16_t *z)
{
    const int32_t rows = map->rows;
    int32_t eight[2];
    int32_t row;
    eights16(map, operands, eight);
    for (row = 0; row < rows; row += EDGERNN_LANES) {
        const int32_t left = rows - row;
        edgernn_lanes u = edgernn_lanes_all(0);
        int32_t i;
        for (i = 0; i < map->term_count; ++i) {
            const edgernn_term16 *term = map->terms + i;
            const edgernn_code16 *x = operands + term->first;
            const edgernn_lanes acc = lanes_of_int4_16(term, x, eight[i], row, left);
            u += product16(term, row, left, acc);
        }
        edgernn_lanes_store(z + row, edgernn_lanes_sat16(u), left);
    }
}

#endif
