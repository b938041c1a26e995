/* Maps of 4-bit products alone on Armv8.1-M vectors. */
#ifndef EDGERNN_ISA_MVE_INT4_H
#define EDGERNN_ISA_MVE_INT4_H

#define IS_INT4_MAP(map) \
    ((map)->terms->bits == 4 && (map)->terms[(map)->term_count - 1].bits == 4)

EDGERNN_NOT_INLINE void affine8_of_two_int4(const edgernn_map8 *map, const edgernn_code8 *operands,
                                            int16_t *z)
{
    const edgernn_term8 *term = map->terms;
    const edgernn_code8 *x = operands + term->first;
    const edgernn_code8 *x2 = operands + term[1].first;
    const product_columns columns = columns_of(x, term->tiles);
    const product_columns columns2 = columns_of(x2, term[1].tiles);
    const int32x4_t eights = eight_of_lower(eight_times8(x, term->tiles));
    const int32x4_t eights2 = eight_of_lower(eight_times8(x2, term[1].tiles));
    const int8_t *weights = term->weights;
    const int8_t *weights2 = term[1].weights;
    const int32_t *multiplier = term->multiplier;
    const int32_t *multiplier2 = term[1].multiplier;
    const int32_t *bias = map->bias;
    int32_t left;
    for (left = map->rows; left > 0; left -= 4) {
        int32x4_t u = vldrwq_s32(bias);
        u = add_product4_8(u, &columns, eights, &weights, &multiplier);
        u = add_product4_8(u, &columns2, eights2, &weights2, &multiplier2);
        store_rows(vrshlq_n_s32(u, -map->shift), &z, left);
        bias += 4;
    }
}

EDGERNN_NOT_INLINE void affine8_of_int4(const edgernn_map8 *map, const edgernn_code8 *operands,
                                        int16_t *z)
{
    const edgernn_term8 *term = map->terms;
    const edgernn_code8 *x = operands + term->first;
    const product_columns columns = columns_of(x, term->tiles);
    const int32x4_t eights = eight_of_lower(eight_times8(x, term->tiles));
    const int8_t *weights = term->weights;
    const int32_t *multiplier = term->multiplier;
    const int32_t *bias = map->bias;
    const int32_t shift = -map->shift;
    int32_t left;
    if (map->term_count > 1) {
        affine8_of_two_int4(map, operands, z);
        return;
    }
    for (left = map->rows; left > 0; left -= 4) {
        int32x4_t u = vldrwq_s32(bias);
        u = add_product4_8(u, &columns, eights, &weights, &multiplier);
        store_rows(vrshlq_n_s32(u, shift), &z, left);
        bias += 4;
    }
}

EDGERNN_NOT_INLINE void affine16_of_two_int4(const edgernn_map16 *map,
                                             const edgernn_code16 *operands, int16_t *z)
{
    const edgernn_term16 *term = map->terms;
    const edgernn_code16 *x = operands + term->first;
    const edgernn_code16 *x2 = operands + term[1].first;
    const product_columns columns = columns_of(x, term->tiles);
    const product_columns columns2 = columns_of(x2, term[1].tiles);
    const int32x4_t eights = eight_of_lower(eight_times16(x, term->tiles));
    const int32x4_t eights2 = eight_of_lower(eight_times16(x2, term[1].tiles));
    const uint8x16_t even = vidupq_n_u8(0, 2);
    const int8_t *weights = term->weights;
    const int8_t *weights2 = term[1].weights;
    int32_t row;
    for (row = 0; row < map->rows; row += 4) {
        const int32_t left = map->rows - row;
        const int32x4_t sums = sums4_16(&columns, eights, &weights, even);
        const int32x4_t sums2 = sums4_16(&columns2, eights2, &weights2, even);
        const int32x4_t u = product16(term, row, left, sums);
        store_rows(vaddq_s32(u, product16(term + 1, row, left, sums2)), &z, left);
    }
}

EDGERNN_NOT_INLINE void affine16_of_int4(const edgernn_map16 *map, const edgernn_code16 *operands,
                                         int16_t *z)
{
    const edgernn_term16 *term = map->terms;
    const edgernn_code16 *x = operands + term->first;
    const product_columns columns = columns_of(x, term->tiles);
    const int32x4_t eights = eight_of_lower(eight_times16(x, term->tiles));
    const uint8x16_t even = vidupq_n_u8(0, 2);
    const int8_t *weights = term->weights;
    int32_t row;
    if (map->term_count > 1) {
        affine16_of_two_int4(map, operands, z);
        return;
    }
    for (row = 0; row < map->rows; row += 4) {
        const int32_t left = map->rows - row;
        const int32x4_t sums = sums4_16(&columns, eights, &weights, even);
        store_rows(product16(term, row, left, sums), &z, left);
    }
}

#endif
