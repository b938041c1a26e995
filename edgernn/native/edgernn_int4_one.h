/* Maps of one 4-bit product that needs no parts, for cores without vectors: four rows at a time. */
#ifndef EDGERNN_INT4_ONE_H
#define EDGERNN_INT4_ONE_H

#define IS_INT4_MAP(map) \
    ((map)->term_count == 1 && (map)->terms->bits == 4 && (map)->terms->tiles <= MOST_TILES4)

EDGERNN_NOT_INLINE void affine8_of_int4(const edgernn_map8 *map, const edgernn_code8 *operands,
                                        int16_t *z)
{
    const edgernn_code8 *x = operands + map->terms->first;
    const int32_t tiles = map->terms->tiles;
    const int32_t eight = eight_times8(x, tiles);
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    const int32_t *bias = map->bias;
    const int32_t *multiplier = map->terms->multiplier;
    const int8_t *weights = map->terms->weights;
    int16_t last[4];
    int32_t left;
    for (left = map->rows; left > 0; left -= 4) {
        int32_t acc[4];
        edgernn_dot4_8(weights, x, tiles, eight, acc);
        finish_rows(acc, bias, half, multiplier, shift, left < 4 ? last : z);
        weights += EDGERNN_TILE4_BYTES * tiles;
        bias += 4;
        multiplier += 4;
        z += 4;
    }
    if (left < 0) {
        int32_t r;
        for (r = 0; r < 4 + left; ++r) {
            z[r - 4] = last[r];
        }
    }
}

EDGERNN_NOT_INLINE void affine16_of_int4(const edgernn_map16 *map, const edgernn_code16 *operands,
                                         int16_t *z)
{
    const edgernn_term16 *term = map->terms;
    const edgernn_code16 *x = operands + term->first;
    const int32_t tiles = term->tiles;
    const int32_t eight = eight_times16(x, tiles);
    const int32_t rows = map->rows;
    const int8_t *weights = term->weights;
    int32_t row;
    for (row = 0; row < rows; row += 4) {
        int32_t acc[4];
        int32_t u[4];
        edgernn_dot4_16(weights, x, tiles, eight, acc);
        weights += EDGERNN_TILE4_BYTES * tiles;
#define PRODUCT(r) u[r] = product16(term, row + r, 1, acc[r])
        EACH_ROW(PRODUCT);
#undef PRODUCT
        STORE_ROWS_LEFT(rows - row);
        z += 4;
    }
}

#endif
