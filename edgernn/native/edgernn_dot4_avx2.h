/* Products of 4-bit weights (edgernn_tile4.h) on AVX2.
 *
 * w4a8: a register holds 4 tiles of two rows, as bytes without sign, and each word of operands
 * twice; pairs of VPMADDUBSW are at most 2 * 15 * 128. w4a16: 2 tiles, widened to int16_t; a word is
 * 16 * c + a, or d and b, and its upper half c or d. The lower rows are what is left of the sums.
 */
#ifndef EDGERNN_DOT4_AVX2_H
#define EDGERNN_DOT4_AVX2_H

#include "edgernn_tile4.h"

typedef struct {
    __m256i lower; /* rows a and b */
    __m256i upper; /* rows c and d */
} sums4;

/* acc[4] from sums for rows a, b, c, d in both halves. */
EDGERNN_INLINE void dot4_store(__m256i sums, __m128i eight, int32_t *acc)
{
    const __m128i sum =
        _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    _mm_storeu_si128((__m128i *)(void *)acc, _mm_sub_epi32(sum, eight));
}

EDGERNN_INLINE sums4 add_tiles4_8(sums4 s, __m256i w, __m128i words)
{
    const __m256i lowest = _mm256_set1_epi8(15);
    const __m256i one = _mm256_set1_epi16(1);
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    const __m256i x = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(words), twice);
    const __m256i lower = _mm256_and_si256(w, lowest);
    const __m256i upper = _mm256_and_si256(_mm256_srli_epi16(w, 4), lowest);
    s.lower = _mm256_add_epi32(s.lower, _mm256_madd_epi16(_mm256_maddubs_epi16(lower, x), one));
    s.upper = _mm256_add_epi32(s.upper, _mm256_madd_epi16(_mm256_maddubs_epi16(upper, x), one));
    return s;
}

EDGERNN_INLINE void edgernn_dot4_8(const int8_t *weights, const edgernn_code8 *operands,
                                   int32_t tiles, int32_t eight, int32_t *acc)
{
    sums4 s = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (; tiles >= 4; tiles -= 4) {
        s = add_tiles4_8(s, _mm256_loadu_si256((const __m256i *)(const void *)weights),
                         _mm_loadu_si128((const __m128i *)(const void *)operands));
        weights += 4 * EDGERNN_TILE4_BYTES;
        operands += 4 * EDGERNN_TILE_COLUMNS;
    }
    if (tiles > 0) {
        int8_t w[4 * EDGERNN_TILE4_BYTES] = {0};
        int32_t words[4] = {0, 0, 0, 0};
        __builtin_memcpy(w, weights, (size_t)tiles * EDGERNN_TILE4_BYTES);
        __builtin_memcpy(words, operands, (size_t)tiles * sizeof words[0]);
        s = add_tiles4_8(s, _mm256_loadu_si256((const __m256i *)(const void *)w),
                         _mm_loadu_si128((const __m128i *)(const void *)words));
    }
    s.lower = _mm256_add_epi32(_mm256_unpacklo_epi64(s.lower, s.upper),
                               _mm256_unpackhi_epi64(s.lower, s.upper));
    dot4_store(s.lower, _mm_set1_epi32(eight), acc);
}

EDGERNN_INLINE sums4 add_tiles4_16(sums4 s, __m128i tiles, __m256i operands)
{
    const __m256i w = _mm256_cvtepi8_epi16(tiles);
    const __m256i x = _mm256_permute4x64_epi64(operands, 0x50); /* each tile's operands twice */
    s.lower = _mm256_add_epi32(s.lower, _mm256_madd_epi16(w, x));
    s.upper = _mm256_add_epi32(s.upper, _mm256_madd_epi16(_mm256_srai_epi16(w, 4), x));
    return s;
}

EDGERNN_INLINE void edgernn_dot4_16(const int8_t *weights, const edgernn_code16 *operands,
                                    int32_t tiles, int32_t eight, int32_t *acc)
{
    sums4 s = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (; tiles >= 2; tiles -= 2) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)operands);
        s = add_tiles4_16(s, _mm_loadu_si128((const __m128i *)(const void *)weights),
                          _mm256_castsi128_si256(x));
        weights += 2 * EDGERNN_TILE4_BYTES;
        operands += 2 * EDGERNN_TILE_COLUMNS;
    }
    if (tiles > 0) {
        const __m128i x = _mm_loadl_epi64((const __m128i *)(const void *)operands);
        s = add_tiles4_16(s, _mm_loadl_epi64((const __m128i *)(const void *)weights),
                          _mm256_zextsi128_si256(x));
    }
    s.lower = _mm256_sub_epi32(s.lower, _mm256_slli_epi32(s.upper, 4));
    dot4_store(_mm256_hadd_epi32(s.lower, s.upper), _mm_setr_epi32(eight, eight, 0, 0), acc);
}

#endif
