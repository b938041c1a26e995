/* Maps of 4-bit products alone, for cores without vectors: four rows at a time. */
#ifndef EDGERNN_INT4_ONE_H
#define EDGERNN_INT4_ONE_H

#define IS_INT4(term) ((term)->bits == 4 && (term)->tiles <= MOST_TILES4)
#define IS_INT4_MAP(map) \
    (IS_INT4((map)->terms) && IS_INT4((map)->terms + (map)->term_count - 1))

EDGERNN_NOT_INLINE void affine8_of_int4(const edgernn_map8 *map, const edgernn_code8 *operands, int16_t *z)
{
    const int32_t rows = map->rows;
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    const edgernn_term8 *end = map->terms + map->term_count;
    int32_t eight[2];
    int32_t row;
    eights8(map, operands, eight);
    for (row = 0; row < rows; row += 4) {
        const int32_t *eight_of = eight;
        const int32_t *bias = map->bias + row;
        const edgernn_term8 *term = map->terms;
        int32_t acc[4];
        int32_t u[4];
#define START(r) u[r] = bias[r] + half
#define ADD_TERM(r) u[r] += acc[r] * multiplier[r]
#define SHIFT(r) u[r] >>= shift
        EACH_ROW(START);
        do {
            const int32_t *multiplier = term->multiplier + row;
            const int8_t *weights = term->weights + row / EDGERNN_TILE_ROWS * EDGERNN_TILE4_BYTES * term->tiles;
            edgernn_dot4_8(weights, operands + term->first, term->tiles, *eight_of++, acc);
            EACH_ROW(ADD_TERM);
        } while (++term != end);
        EACH_ROW(SHIFT);
        STORE_ROWS_LEFT(rows - row);
        z += 4;
#undef START
#undef ADD_TERM
#undef SHIFT
    }
}

EDGERNN_NOT_INLINE void affine16_of_int4(const edgernn_map16 *map, const edgernn_code16 *operands, int16_t *z)
{
    const int32_t rows = map->rows;
    const edgernn_term16 *end = map->terms + map->term_count;
    int32_t eight[2];
    int32_t row;
    eights16(map, operands, eight);
    for (row = 0; row < rows; row += 4) {
        const int32_t *eight_of = eight;
        const edgernn_term16 *term = map->terms;
        int32_t acc[4];
        int32_t u[4];
#define START(r) u[r] = 0
#define ADD_TERM(r) u[r] += product16(term, row + r, 1, acc[r])
        EACH_ROW(START);
        do {
            const int8_t *weights = term->weights + row / EDGERNN_TILE_ROWS * EDGERNN_TILE4_BYTES * term->tiles;
            edgernn_dot4_16(weights, operands + term->first, term->tiles, *eight_of++, acc);
            EACH_ROW(ADD_TERM);
        } while (++term != end);
        STORE_ROWS_LEFT(rows - row);
        z += 4;
#undef START
#undef ADD_TERM
    }
}

#endif
