/* Dense products of common/stored.h on AVX-512, of 4 rows. */
#ifndef EDGERNN_ISA_AVX512_GROUP_H
#define EDGERNN_ISA_AVX512_GROUP_H

#define GROUP_TILES 32

EDGERNN_INLINE const int8_t *dense_group8(const int8_t *weights, const edgernn_code8 *operands,
                                          int32_t tiles, int32_t *acc)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i all_128 = _mm512_set1_epi8(-128);
    block_sums s = {zero, zero, zero, zero};
    int32_t t;
    for (t = 0; t < tiles; t += 4) {
        const __m512i x = spread8(operands + EDGERNN_TILE_COLUMNS * t, tiles - t);
        s.a = add_products8(s.a, weights + EDGERNN_TILE_BYTES * t, x);
        s.b = _mm512_dpbusd_epi32(s.b, all_128, x);
    }
    s.a = _mm512_sub_epi32(s.a, s.b);
    s.b = zero;
    _mm_storeu_si128((__m128i *)(void *)acc, _mm512_castsi512_si128((__m512i)rows_of_parts(s)));
    return weights + EDGERNN_TILE_BYTES * tiles;
}

EDGERNN_INLINE const int8_t *dense_group16(const int8_t *weights, const edgernn_code16 *operands,
                                           int32_t tiles, int32_t *acc)
{
    const edgernn_lanes sums = sums16(blocks_from(weights, tiles, 0, 4), operands, tiles);
    _mm_storeu_si128((__m128i *)(void *)acc, _mm512_castsi512_si128((__m512i)sums));
    return weights + EDGERNN_TILE_BYTES * tiles;
}

#endif
