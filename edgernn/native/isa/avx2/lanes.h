/* common/lanes.h on AVX2: 8 lanes. */
#ifndef EDGERNN_ISA_AVX2_LANES_H
#define EDGERNN_ISA_AVX2_LANES_H

#include <immintrin.h>
#include <stdint.h>

#include "../../common/tile.h"

#define EDGERNN_LANES 8
typedef int32_t edgernn_lanes __attribute__((vector_size(32)));

/* The last elements of a vector, fewer than EDGERNN_LANES, go by way of a full one. */
EDGERNN_INLINE __m128i edgernn_lanes_load_last(const int16_t *from, int32_t left)
{
    int16_t copy[EDGERNN_LANES] = {0};
    int32_t j;
    for (j = 0; j < left; ++j) {
        copy[j] = from[j];
    }
    return _mm_loadu_si128((const __m128i *)(const void *)copy);
}

EDGERNN_INLINE void edgernn_lanes_store_last(int16_t *to, __m128i v, int32_t left)
{
    int16_t copy[EDGERNN_LANES];
    int32_t j;
    _mm_storeu_si128((__m128i *)(void *)copy, v);
    for (j = 0; j < left; ++j) {
        to[j] = copy[j];
    }
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_load(const int16_t *from, int32_t left)
{
    const __m128i v = left >= EDGERNN_LANES
                          ? _mm_loadu_si128((const __m128i *)(const void *)from)
                          : edgernn_lanes_load_last(from, left);
    return (edgernn_lanes)_mm256_cvtepi16_epi32(v);
}

/* Saturated to int16_t, which does not change what fits. */
EDGERNN_INLINE void edgernn_lanes_store(int16_t *to, edgernn_lanes v, int32_t left)
{
    const __m256i pairs = _mm256_packs_epi32((__m256i)v, (__m256i)v);
    const __m128i narrow = _mm256_castsi256_si128(_mm256_permute4x64_epi64(pairs, 0x08));
    if (left >= EDGERNN_LANES) {
        _mm_storeu_si128((__m128i *)(void *)to, narrow);
    } else {
        edgernn_lanes_store_last(to, narrow, left);
    }
}

EDGERNN_INLINE void edgernn_lanes_store_code8(edgernn_code8 *to, edgernn_lanes v, int32_t left)
{
    int16_t wide[EDGERNN_LANES];
    int32_t j;
    if (left >= EDGERNN_LANES) {
        const __m256i pairs = _mm256_packs_epi32((__m256i)v, (__m256i)v);
        const __m128i words = _mm256_castsi256_si128(_mm256_permute4x64_epi64(pairs, 0x08));
        _mm_storel_epi64((__m128i *)(void *)to, _mm_packs_epi16(words, words));
        return;
    }
    edgernn_lanes_store(wide, v, EDGERNN_LANES);
    for (j = 0; j < left; ++j) {
        to[j] = (edgernn_code8)wide[j];
    }
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_all(int32_t v)
{
    return (edgernn_lanes)_mm256_set1_epi32(v);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_min(edgernn_lanes a, edgernn_lanes b)
{
    return (edgernn_lanes)_mm256_min_epi32((__m256i)a, (__m256i)b);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_max(edgernn_lanes a, edgernn_lanes b)
{
    return (edgernn_lanes)_mm256_max_epi32((__m256i)a, (__m256i)b);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_sat8(edgernn_lanes v)
{
    return edgernn_lanes_max(edgernn_lanes_min(v, edgernn_lanes_all(127)), edgernn_lanes_all(-128));
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_sat16(edgernn_lanes v)
{
    return edgernn_lanes_max(edgernn_lanes_min(v, edgernn_lanes_all(32767)),
                             edgernn_lanes_all(-32768));
}

/* One fetch of 32 bits holds both entries: the first 255 of 256 are asked for. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_rise(const uint16_t *table, edgernn_lanes u,
                                               edgernn_lanes *low)
{
    const __m256i both = _mm256_i32gather_epi32((const int *)(const void *)table, (__m256i)u, 2);
    *low = (edgernn_lanes)both & 0xFFFF;
    return (edgernn_lanes)_mm256_srli_epi32(both, 16) - *low;
}

#endif
