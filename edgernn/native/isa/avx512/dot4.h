/* Products of 4-bit weights (common/tile4.h) on AVX-512 with VNNI, 16 rows at a time. A register
 * holds each operand word, or both words of a tile, twice: for the rows a and b, or c and d.
 *
 * w4a8: 8 tiles, as bytes without sign, 16 * c + a, or d and b. VPDPBUSD adds up their products and
 * those of their lower halves, and the upper rows are a sixteenth of the difference: 16 * C is at
 * most 2^17 columns by 16 * 7 * 128. w4a16: 4 tiles, widened to int16_t; there the lower rows are
 * what the upper ones leave.
 */
#ifndef EDGERNN_ISA_AVX512_DOT4_H
#define EDGERNN_ISA_AVX512_DOT4_H

#include "../../common/tile4.h"

EDGERNN_INLINE blocks blocks4_from(const int8_t *weights, int32_t tiles, int32_t row, int32_t left)
{
    const int32_t size = tiles * EDGERNN_TILE4_BYTES;
    blocks w;
    w.a = weights + row / EDGERNN_TILE_ROWS * size;
    w.b = left > 4 ? w.a + size : w.a;
    w.c = left > 8 ? w.b + size : w.b;
    w.d = left > 12 ? w.c + size : w.c;
    return w;
}

/* Words of operands, at most 8, in pieces (words4). */
EDGERNN_INLINE __m256i words8(const edgernn_code8 *operands, int32_t count)
{
    const char *from = (const char *)operands;
    return _mm256_inserti128_si256(_mm256_castsi128_si256(words4(from, count)),
                                   count > 4 ? words4(from + 16, count - 4) : _mm_setzero_si128(),
                                   1);
}

/* The operands of up to 4 tiles, likewise. */
EDGERNN_INLINE __m256i tiles4_16(const edgernn_code16 *operands, int32_t count)
{
    const char *from = (const char *)operands;
    const __m128i low = words4(from, 2 * (count < 2 ? count : 2));
    const __m128i high = count > 2 ? words4(from + 16, 2 * (count - 2)) : _mm_setzero_si128();
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

EDGERNN_INLINE int32_t sum_of_words(__m256i v)
{
    const __m128i half =
        _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    const __m128i pair = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(pair, _mm_shuffle_epi32(pair, 0xB1)));
}

#define OWN_EIGHT_TIMES
EDGERNN_INLINE int32_t eight_times8(const edgernn_code8 *x, int32_t tiles)
{
    __m256i sum = _mm256_setzero_si256();
    int32_t t;
    for (t = 0; t < tiles; t += 8) {
        const __m256i words = words8(x + EDGERNN_TILE_COLUMNS * t, tiles - t);
        sum = _mm256_dpbusd_epi32(sum, _mm256_set1_epi8(8), words);
    }
    return sum_of_words(sum);
}

EDGERNN_INLINE int32_t eight_times16(const edgernn_code16 *x, int32_t tiles)
{
    __m256i sum = _mm256_setzero_si256();
    int32_t t;
    for (t = 0; t < tiles; t += 4) {
        const __m256i words = tiles4_16(x + EDGERNN_TILE_COLUMNS * t, tiles - t);
        sum = _mm256_dpwssd_epi32(sum, _mm256_set1_epi16(8), words);
    }
    return sum_of_words(sum);
}

EDGERNN_INLINE __m512i add_bytes4(__m512i sum, __m512i w, __m512i x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
}

/* What is there of 8 tiles of a block. */
EDGERNN_INLINE void add_tiles4_8(const int8_t *from, __mmask8 there, __m512i x, __m512i *whole,
                                 __m512i *lower)
{
    const __m512i w = _mm512_maskz_loadu_epi64(there, from);
    *whole = add_bytes4(*whole, w, x);
    *lower = add_bytes4(*lower, _mm512_and_si512(w, _mm512_set1_epi8(15)), x);
}

/* Rows a and b, and 16 times c and d, over the two tiles of every 128-bit part. */
EDGERNN_INLINE __m512i rows4_8(__m512i whole, __m512i lower)
{
    const __m512i upper = _mm512_sub_epi32(whole, lower);
    return _mm512_add_epi32(_mm512_unpacklo_epi64(lower, upper),
                            _mm512_unpackhi_epi64(lower, upper));
}

EDGERNN_INLINE edgernn_lanes sums4_8(blocks w, const edgernn_code8 *operands, int32_t tiles,
                                     int32_t eight)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const __m512i sixteen = _mm512_setr_epi32(0, 0, 4, 4, 0, 0, 4, 4, 0, 0, 4, 4, 0, 0, 4, 4);
    const __m512i eights = _mm512_sllv_epi32(_mm512_set1_epi32(eight), sixteen);
    block_sums whole = {zero, zero, zero, zero};
    block_sums lower = whole;
    int32_t t;
    for (t = 0; t < tiles; t += 8) {
        const __mmask8 there = (__mmask8)(0xFFu >> (tiles - t < 8 ? 8 - (tiles - t) : 0));
        const int32_t at = EDGERNN_TILE4_BYTES * t;
        const __m256i words = words8(operands + EDGERNN_TILE_COLUMNS * t, tiles - t);
        const __m512i x = _mm512_permutexvar_epi32(twice, _mm512_castsi256_si512(words));
        add_tiles4_8(w.a + at, there, x, &whole.a, &lower.a);
        add_tiles4_8(w.b + at, there, x, &whole.b, &lower.b);
        add_tiles4_8(w.c + at, there, x, &whole.c, &lower.c);
        add_tiles4_8(w.d + at, there, x, &whole.d, &lower.d);
    }
    whole.a = rows4_8(whole.a, lower.a);
    whole.b = rows4_8(whole.b, lower.b);
    whole.c = rows4_8(whole.c, lower.c);
    whole.d = rows4_8(whole.d, lower.d);
    return (edgernn_lanes)_mm512_srav_epi32(
        _mm512_sub_epi32((__m512i)rows_of_parts(whole), eights), sixteen);
}

/* What is there of 4 tiles of a block. */
EDGERNN_INLINE void add_tiles4_16(const int8_t *from, __mmask8 there, __m512i x, __m512i *whole,
                                  __m512i *upper)
{
    const __m512i w = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi64(there, from));
    *whole = _mm512_dpwssd_epi32(*whole, w, x);
    *upper = _mm512_dpwssd_epi32(*upper, _mm512_srai_epi16(w, 4), x);
}

EDGERNN_INLINE __m512i rows4_16(__m512i whole, __m512i upper)
{
    return add_neighbours(_mm512_sub_epi32(whole, _mm512_slli_epi32(upper, 4)), upper);
}

EDGERNN_INLINE edgernn_lanes sums4_16(blocks w, const edgernn_code16 *operands, int32_t tiles,
                                      int32_t eight)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i twice = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
    const __m512i eights = _mm512_maskz_set1_epi32(0x3333, eight); /* of the lower rows */
    block_sums whole = {zero, zero, zero, zero};
    block_sums upper = whole;
    int32_t t;
    for (t = 0; t < tiles; t += 4) {
        const __mmask8 there = (__mmask8)(0xFu >> (tiles - t < 4 ? 4 - (tiles - t) : 0));
        const int32_t at = EDGERNN_TILE4_BYTES * t;
        const __m256i words = tiles4_16(operands + EDGERNN_TILE_COLUMNS * t, tiles - t);
        const __m512i x = _mm512_permutexvar_epi64(twice, _mm512_castsi256_si512(words));
        add_tiles4_16(w.a + at, there, x, &whole.a, &upper.a);
        add_tiles4_16(w.b + at, there, x, &whole.b, &upper.b);
        add_tiles4_16(w.c + at, there, x, &whole.c, &upper.c);
        add_tiles4_16(w.d + at, there, x, &whole.d, &upper.d);
    }
    whole.a = rows4_16(whole.a, upper.a);
    whole.b = rows4_16(whole.b, upper.b);
    whole.c = rows4_16(whole.c, upper.c);
    whole.d = rows4_16(whole.d, upper.d);
    return (edgernn_lanes)_mm512_sub_epi32((__m512i)rows_of_parts(whole), eights);
}

#define DEFINE_LANES_OF_INT4(width)                                                            \
    EDGERNN_INLINE edgernn_lanes lanes_of_int4_##width(                                        \
        const edgernn_term##width *term, const edgernn_code##width *operands, int32_t eight,   \
        int32_t row, int32_t left)                                                             \
    {                                                                                          \
        const blocks w = blocks4_from(term->weights, term->tiles, row, left);                  \
        return sums4_##width(w, operands, term->tiles, eight);                                 \
    }                                                                                          \
    EDGERNN_INLINE void edgernn_dot4_##width(const int8_t *weights,                            \
                                             const edgernn_code##width *operands,              \
                                             int32_t tiles, int32_t eight, int32_t *acc)       \
    {                                                                                          \
        const blocks w = blocks4_from(weights, tiles, 0, EDGERNN_TILE_ROWS);                   \
        const edgernn_lanes sums = sums4_##width(w, operands, tiles, eight);                   \
        _mm_storeu_si128((__m128i *)(void *)acc, _mm512_castsi512_si128((__m512i)sums));       \
    }

DEFINE_LANES_OF_INT4(8)
DEFINE_LANES_OF_INT4(16)

#endif
