/* Products of 4-bit weights (common/tile4.h) on AVX2: 8 rows, that is 2 blocks, at a time.
 *
 * w4a8: a register holds 4 tiles of two rows, as bytes without sign, and each word of operands
 * twice; pairs of VPMADDUBSW are at most 2 * 15 * 128. w4a16: 2 tiles, widened to int16_t; an
 * element is 16 * c + a, or d and b, and its upper half c or d. The lower rows are what is left of
 * the sums.
 */
#ifndef EDGERNN_ISA_AVX2_DOT4_H
#define EDGERNN_ISA_AVX2_DOT4_H

#include "../../common/tile4.h"

/* Of two blocks: the rows a and b, the rows c and d. */
typedef struct {
    __m256i lower;
    __m256i upper;
    __m256i next_lower;
    __m256i next_upper;
} sums4;

EDGERNN_INLINE __m256i products4_8(__m256i w, __m256i x)
{
    return _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1));
}

/* 4 tiles of either block. */
EDGERNN_INLINE void add_tiles4_8(sums4 *s, __m256i w, __m256i next, __m128i words)
{
    const __m256i lowest = _mm256_set1_epi8(15);
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    const __m256i x = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(words), twice);
    const __m256i upper = _mm256_and_si256(_mm256_srli_epi16(w, 4), lowest);
    const __m256i next_upper = _mm256_and_si256(_mm256_srli_epi16(next, 4), lowest);
    s->lower = _mm256_add_epi32(s->lower, products4_8(_mm256_and_si256(w, lowest), x));
    s->upper = _mm256_add_epi32(s->upper, products4_8(upper, x));
    s->next_lower =
        _mm256_add_epi32(s->next_lower, products4_8(_mm256_and_si256(next, lowest), x));
    s->next_upper = _mm256_add_epi32(s->next_upper, products4_8(next_upper, x));
}

/* Up to 3 tiles, and zeros. */
EDGERNN_INLINE __m256i last_tiles4(const int8_t *from, int32_t tiles)
{
    const __m256i there =
        _mm256_cmpgt_epi64(_mm256_set1_epi64x(tiles), _mm256_setr_epi64x(0, 1, 2, 3));
    return _mm256_maskload_epi32((const int *)(const void *)from, there);
}

/* Words 0 and 1 of either half of both registers plus their words 2 and 3. */
EDGERNN_INLINE __m256i add_halves4(__m256i lower, __m256i upper)
{
    return _mm256_add_epi32(_mm256_unpacklo_epi64(lower, upper),
                            _mm256_unpackhi_epi64(lower, upper));
}

/* The sums without bias of two blocks of 4 rows. */
EDGERNN_INLINE edgernn_lanes sums4_8(const int8_t *w, const int8_t *next,
                                     const edgernn_code8 *operands, int32_t tiles, int32_t eight)
{
    const __m256i zero = _mm256_setzero_si256();
    sums4 s = {zero, zero, zero, zero};
    int32_t t;
    for (t = 0; t + 4 <= tiles; t += 4) {
        const int32_t at = EDGERNN_TILE4_BYTES * t;
        const void *x = operands + EDGERNN_TILE_COLUMNS * t;
        add_tiles4_8(&s, _mm256_loadu_si256((const __m256i *)(const void *)(w + at)),
                     _mm256_loadu_si256((const __m256i *)(const void *)(next + at)),
                     _mm_loadu_si128((const __m128i *)x));
    }
    if (t < tiles) {
        const int32_t at = EDGERNN_TILE4_BYTES * t;
        int32_t words[4] = {0, 0, 0, 0};
        __builtin_memcpy(words, operands + EDGERNN_TILE_COLUMNS * t,
                         (size_t)(tiles - t) * sizeof words[0]);
        add_tiles4_8(&s, last_tiles4(w + at, tiles - t), last_tiles4(next + at, tiles - t),
                     _mm_loadu_si128((const __m128i *)(const void *)words));
    }
    return rows_of_halves(add_halves4(s.lower, s.upper), add_halves4(s.next_lower, s.next_upper)) -
           edgernn_lanes_all(eight);
}

EDGERNN_INLINE void add_tiles4_16(sums4 *s, __m128i w, __m128i next, __m256i operands)
{
    const __m256i wide = _mm256_cvtepi8_epi16(w);
    const __m256i next_wide = _mm256_cvtepi8_epi16(next);
    const __m256i x = _mm256_permute4x64_epi64(operands, 0x50); /* each tile's operands twice */
    s->lower = _mm256_add_epi32(s->lower, _mm256_madd_epi16(wide, x));
    s->upper = _mm256_add_epi32(s->upper, _mm256_madd_epi16(_mm256_srai_epi16(wide, 4), x));
    s->next_lower = _mm256_add_epi32(s->next_lower, _mm256_madd_epi16(next_wide, x));
    s->next_upper =
        _mm256_add_epi32(s->next_upper, _mm256_madd_epi16(_mm256_srai_epi16(next_wide, 4), x));
}

/* The rows of a block, from sums with whole words and with their upper halves. */
EDGERNN_INLINE __m256i rows_of_whole4(__m256i whole, __m256i upper)
{
    return _mm256_hadd_epi32(_mm256_sub_epi32(whole, _mm256_slli_epi32(upper, 4)), upper);
}

EDGERNN_INLINE edgernn_lanes sums4_16(const int8_t *w, const int8_t *next,
                                      const edgernn_code16 *operands, int32_t tiles, int32_t eight)
{
    const __m256i zero = _mm256_setzero_si256();
    const edgernn_lanes eights = (edgernn_lanes)_mm256_setr_epi32(eight, eight, 0, 0, eight, eight,
                                                                  0, 0);
    sums4 s = {zero, zero, zero, zero};
    int32_t t;
    for (t = 0; t + 2 <= tiles; t += 2) {
        const int32_t at = EDGERNN_TILE4_BYTES * t;
        const void *x = operands + EDGERNN_TILE_COLUMNS * t;
        add_tiles4_16(&s, _mm_loadu_si128((const __m128i *)(const void *)(w + at)),
                      _mm_loadu_si128((const __m128i *)(const void *)(next + at)),
                      _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)x)));
    }
    if (t < tiles) {
        const int32_t at = EDGERNN_TILE4_BYTES * t;
        const void *x = operands + EDGERNN_TILE_COLUMNS * t;
        add_tiles4_16(&s, _mm_loadl_epi64((const __m128i *)(const void *)(w + at)),
                      _mm_loadl_epi64((const __m128i *)(const void *)(next + at)),
                      _mm256_zextsi128_si256(_mm_loadl_epi64((const __m128i *)x)));
    }
    return rows_of_halves(rows_of_whole4(s.lower, s.upper),
                          rows_of_whole4(s.next_lower, s.next_upper)) - eights;
}

/* The block behind `w`, or the same where there is none; its sums are not used. */
#define DEFINE_LANES_OF_INT4(width)                                                            \
    EDGERNN_INLINE edgernn_lanes lanes_of_int4_##width(                                        \
        const edgernn_term##width *term, const edgernn_code##width *operands, int32_t eight,   \
        int32_t row, int32_t left)                                                             \
    {                                                                                          \
        const int32_t bytes = EDGERNN_TILE4_BYTES * term->tiles;                               \
        const int8_t *w = term->weights + row / EDGERNN_TILE_ROWS * bytes;                     \
        const int8_t *next = left > EDGERNN_TILE_ROWS ? w + bytes : w;                         \
        return sums4_##width(w, next, operands, term->tiles, eight);                           \
    }                                                                                          \
    EDGERNN_INLINE void edgernn_dot4_##width(const int8_t *weights,                            \
                                             const edgernn_code##width *operands,              \
                                             int32_t tiles, int32_t eight, int32_t *acc)       \
    {                                                                                          \
        const edgernn_lanes sums = sums4_##width(weights, weights, operands, tiles, eight);    \
        _mm_storeu_si128((__m128i *)(void *)acc, _mm256_castsi256_si128((__m256i)sums));       \
    }

DEFINE_LANES_OF_INT4(8)
DEFINE_LANES_OF_INT4(16)

#endif
