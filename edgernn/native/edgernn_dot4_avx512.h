/* Products of 4-bit weights (edgernn_tile4.h) on AVX-512 with VNNI. A register holds each operand
 * word, or both words of a tile, twice: for the rows a and b, or c and d.
 *
 * w4a8: 8 tiles, as bytes without sign, 16 * c + a, or d and b. VPDPBUSD adds up their products and
 * those of their lower halves, and the upper rows are a sixteenth of the difference: 16 * C is at
 * most 2^17 columns by 16 * 7 * 128. w4a16: 4 tiles, widened to int16_t; there the lower rows are
 * what the upper ones leave.
 */
#ifndef EDGERNN_DOT4_AVX512_H
#define EDGERNN_DOT4_AVX512_H

#include "edgernn_tile4.h"

EDGERNN_INLINE __m512i add_products4_8(__m512i sum, __m512i w, __m512i x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
}

/* Words 0 and 1 of every 128-bit part of a and b plus their words 2 and 3. */
EDGERNN_INLINE __m512i add_halves4(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* acc[4] from the sums over 128-bit parts. */
EDGERNN_INLINE __m128i dot4_parts(__m512i sums)
{
    const __m256i half =
        _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

EDGERNN_INLINE void edgernn_dot4_8(const int8_t *weights, const edgernn_code8 *operands,
                                   int32_t tiles, int32_t eight, int32_t *acc)
{
    const __m512i lowest = _mm512_set1_epi8(15);
    const __m128i sixteen = _mm_setr_epi32(0, 0, 4, 4); /* of the upper rows */
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    __m512i whole = _mm512_setzero_si512();
    __m512i lower = whole;
    __m128i sums;
    __m128i both;
    for (; tiles > 0; tiles -= 8) {
        const __mmask8 there = (__mmask8)(0xFFu >> (tiles < 8 ? 8 - tiles : 0));
        const __m512i w = _mm512_maskz_loadu_epi64(there, weights);
        const __m256i words = _mm256_maskz_loadu_epi32(there, operands);
        const __m512i x = _mm512_permutexvar_epi32(twice, _mm512_castsi256_si512(words));
        whole = add_products4_8(whole, w, x);
        lower = add_products4_8(lower, _mm512_and_si512(w, lowest), x);
        weights += 8 * EDGERNN_TILE4_BYTES;
        operands += 8 * EDGERNN_TILE_COLUMNS;
    }
    sums = dot4_parts(add_halves4(lower, _mm512_sub_epi32(whole, lower)));
    both = _mm_sub_epi32(sums, _mm_sllv_epi32(_mm_set1_epi32(eight), sixteen));
    _mm_storeu_si128((__m128i *)(void *)acc, _mm_srav_epi32(both, sixteen));
}

EDGERNN_INLINE void edgernn_dot4_16(const int8_t *weights, const edgernn_code16 *operands,
                                    int32_t tiles, int32_t eight, int32_t *acc)
{
    const __m512i twice = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
    __m512i whole = _mm512_setzero_si512();
    __m512i upper = whole;
    __m128i sums;
    for (; tiles > 0; tiles -= 4) {
        const __mmask8 there = (__mmask8)(0xFu >> (tiles < 4 ? 4 - tiles : 0));
        const __m512i w = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi64(there, weights));
        const __m256i words = _mm256_maskz_loadu_epi64(there, operands);
        const __m512i x = _mm512_permutexvar_epi64(twice, _mm512_castsi256_si512(words));
        whole = _mm512_dpwssd_epi32(whole, w, x);
        upper = _mm512_dpwssd_epi32(upper, _mm512_srai_epi16(w, 4), x);
        weights += 4 * EDGERNN_TILE4_BYTES;
        operands += 4 * EDGERNN_TILE_COLUMNS;
    }
    sums = dot4_parts(add_neighbours(_mm512_sub_epi32(whole, _mm512_slli_epi32(upper, 4)), upper));
    _mm_storeu_si128((__m128i *)(void *)acc,
                     _mm_sub_epi32(sums, _mm_setr_epi32(eight, eight, 0, 0)));
}

#endif
