/* common/lanes.h on AVX-512: 16 lanes; masks keep the ends of vectors untouched. */
#ifndef EDGERNN_ISA_AVX512_LANES_H
#define EDGERNN_ISA_AVX512_LANES_H

#include <stdint.h>

#if defined(__cplusplus) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push /* g++ 12 warns of its own header's undefined registers */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

#include "../../common/tile.h"

#define EDGERNN_LANES 16
typedef int32_t edgernn_lanes __attribute__((vector_size(64)));

/* The first `left` lanes, for left < EDGERNN_LANES. */
EDGERNN_INLINE __mmask16 edgernn_lanes_first(int32_t left)
{
    return (__mmask16)((1u << left) - 1u);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_load(const int16_t *from, int32_t left)
{
    const __m256i v = left >= EDGERNN_LANES
                          ? _mm256_loadu_si256((const __m256i *)(const void *)from)
                          : _mm256_maskz_loadu_epi16(edgernn_lanes_first(left), from);
    return (edgernn_lanes)_mm512_cvtepi16_epi32(v);
}

EDGERNN_INLINE void edgernn_lanes_store(int16_t *to, edgernn_lanes v, int32_t left)
{
    const __m256i narrow = _mm512_cvtepi32_epi16((__m512i)v);
    if (left >= EDGERNN_LANES) {
        _mm256_storeu_si256((__m256i *)(void *)to, narrow);
    } else {
        _mm256_mask_storeu_epi16(to, edgernn_lanes_first(left), narrow);
    }
}

EDGERNN_INLINE void edgernn_lanes_store_code8(edgernn_code8 *to, edgernn_lanes v, int32_t left)
{
    const __m128i narrow = _mm512_cvtsepi32_epi8((__m512i)v);
    if (left >= EDGERNN_LANES) {
        _mm_storeu_si128((__m128i *)(void *)to, narrow);
    } else {
        _mm_mask_storeu_epi8(to, edgernn_lanes_first(left), narrow);
    }
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_all(int32_t v)
{
    return (edgernn_lanes)_mm512_set1_epi32(v);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_min(edgernn_lanes a, edgernn_lanes b)
{
    return (edgernn_lanes)_mm512_min_epi32((__m512i)a, (__m512i)b);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_max(edgernn_lanes a, edgernn_lanes b)
{
    return (edgernn_lanes)_mm512_max_epi32((__m512i)a, (__m512i)b);
}

/* Left to edgernn_lanes_store_code8, which saturates. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_sat8(edgernn_lanes v)
{
    return v;
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_sat16(edgernn_lanes v)
{
    return edgernn_lanes_max(edgernn_lanes_min(v, edgernn_lanes_all(32767)),
                             edgernn_lanes_all(-32768));
}

/* Entry `index` of 64, for each of 32 words. */
EDGERNN_INLINE __m512i edgernn_lanes_entries(const uint16_t *table, __m512i index)
{
    return _mm512_permutex2var_epi16(_mm512_loadu_si512(table), index,
                                     _mm512_loadu_si512(table + 32));
}

/* The table of 256 entries is 8 registers, read by permutations instead of a gather: a lane holds
 * u and u + 1 as words, 6 bits of which choose in each quarter of the table, 2 bits the quarter.
 * The entries' weights are 2^bits - t and t. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_between(const uint16_t *table, edgernn_lanes u,
                                                  edgernn_lanes t, int32_t bits)
{
    const __m512i index = (__m512i)((u | (u << 16)) + 0x10000);
    const __m512i weight = (__m512i)((t << 16) + (edgernn_lanes_all((int32_t)1 << bits) - t));
    const __mmask32 odd = _mm512_test_epi16_mask(index, _mm512_set1_epi16(64));
    const __mmask32 upper = _mm512_test_epi16_mask(index, _mm512_set1_epi16(128));
    const __m512i lower_half =
        _mm512_mask_blend_epi16(odd, edgernn_lanes_entries(table, index),
                                edgernn_lanes_entries(table + 64, index));
    const __m512i upper_half =
        _mm512_mask_blend_epi16(odd, edgernn_lanes_entries(table + 128, index),
                                edgernn_lanes_entries(table + 192, index));
    const __m512i both = _mm512_mask_blend_epi16(upper, lower_half, upper_half);
    return (edgernn_lanes)_mm512_madd_epi16(both, weight);
}

/* What depends on the sign beside what does not. */
#define EDGERNN_OWN_LANES_ROUND
EDGERNN_INLINE edgernn_lanes edgernn_lanes_round(edgernn_lanes p, int32_t k)
{
    const edgernn_lanes up = p + edgernn_lanes_all(((int32_t)1 << (k - 1)) + 1);
    return (up + ((p >> 31) & edgernn_lanes_all(-2))) >> k;
}

#endif
