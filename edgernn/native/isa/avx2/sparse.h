/* Sparse products and maps of common/stored.h on AVX2: the operands of every tile come from their
 * place by a load that repeats them. */
#ifndef EDGERNN_ISA_AVX2_SPARSE_H
#define EDGERNN_ISA_AVX2_SPARSE_H

/* The operands of a tile in every word. */
EDGERNN_INLINE __m256i repeated8(const edgernn_code8 *operands, int32_t place)
{
    int32_t word;
    __builtin_memcpy(&word, operands + EDGERNN_TILE_COLUMNS * place, sizeof word);
    return _mm256_set1_epi32(word);
}

EDGERNN_INLINE __m128i sparse_sums8(stored_place *place, const edgernn_code8 *operands)
{
    const uint8_t *index = place->index + 1;
    const uint8_t *end = index + place->index[0] + 1;
    const int8_t *weights = place->weights;
    __m256i sum = _mm256_setzero_si256();
    for (; end - index >= 2; index += 2) {
        const __m256i x = _mm256_blend_epi32(repeated8(operands, index[0]),
                                             repeated8(operands, index[1]), 0xF0);
        sum = _mm256_add_epi32(sum, products8(weights, 2, x, _mm256_abs_epi8(x)));
        weights += 2 * EDGERNN_TILE_BYTES;
    }
    if (index != end) {
        const __m256i x = repeated8(operands, index[0]);
        sum = _mm256_add_epi32(sum, products8(weights, 1, x, _mm256_abs_epi8(x)));
        weights += EDGERNN_TILE_BYTES;
    }
    place->index = end;
    place->weights = weights;
    return _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
}

/* The operands of a tile in every row. */
EDGERNN_INLINE __m256i repeated16(const edgernn_code16 *operands, int32_t place)
{
    return _mm256_broadcastq_epi64(operand_words(operands + EDGERNN_TILE_COLUMNS * place, 2));
}

EDGERNN_INLINE __m128i sparse_sums16(stored_place *place, const edgernn_code16 *operands)
{
    const uint8_t *index = place->index + 1;
    const uint8_t *end = index + place->index[0] + 1;
    const int8_t *weights = place->weights;
    __m256i sum = _mm256_setzero_si256();
    for (; index != end; ++index) {
        sum = _mm256_add_epi32(sum, products16(weights, repeated16(operands, index[0])));
        weights += EDGERNN_TILE_BYTES;
    }
    place->index = end;
    place->weights = weights;
    return _mm256_castsi256_si128((__m256i)rows_of_pairs(sum, sum));
}

/* The sums of a term's next 4 rows, and of its next 8, or as many as there are. */
#define DEFINE_SPARSE_ROWS(bits)                                                                  \
    EDGERNN_INLINE void sparse_rows##bits(stored_place *place,                                    \
                                          const edgernn_code##bits *operands, int32_t *acc)       \
    {                                                                                             \
        _mm_storeu_si128((__m128i *)(void *)acc, sparse_sums##bits(place, operands));             \
    }                                                                                             \
    EDGERNN_INLINE edgernn_lanes sparse_lanes##bits(                                              \
        stored_place *place, const edgernn_code##bits *operands, int32_t left)                    \
    {                                                                                             \
        const __m128i low = sparse_sums##bits(place, operands);                                   \
        const __m128i high = left > 4 ? sparse_sums##bits(place, operands) : low;                 \
        return (edgernn_lanes)_mm256_set_m128i(high, low);                                        \
    }

DEFINE_SPARSE_ROWS(8)
DEFINE_SPARSE_ROWS(16)

/* Maps of one term. */
#define IS_SPARSE_MAP(map) ((map)->term_count == 1 && (map)->terms->index)

static void affine8_of_sparse(const edgernn_map8 *map, const edgernn_code8 *operands, int16_t *z)
{
    const edgernn_term8 *term = map->terms;
    const edgernn_code8 *x = operands + term->first;
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    stored_place place;
    int32_t row;
    place.weights = term->weights;
    place.index = term->index;
    for (row = 0; row < map->rows; row += EDGERNN_LANES) {
        const int32_t left = map->rows - row;
        const edgernn_lanes acc = sparse_lanes8(&place, x, left);
        const edgernn_lanes u =
            acc * load8(term->multiplier + row, left) + load8(map->bias + row, left);
        edgernn_lanes_store(z + row, (u + half) >> shift, left); /* saturates */
    }
}

static void affine16_of_sparse(const edgernn_map16 *map, const edgernn_code16 *operands,
                               int16_t *z)
{
    const edgernn_term16 *term = map->terms;
    const edgernn_code16 *x = operands + term->first;
    stored_place place;
    int32_t row;
    place.weights = term->weights;
    place.index = term->index;
    for (row = 0; row < map->rows; row += EDGERNN_LANES) {
        const int32_t left = map->rows - row;
        const edgernn_lanes p = product16(term, row, left, sparse_lanes16(&place, x, left));
        edgernn_lanes_store(z + row, p, left);
    }
}

#endif
