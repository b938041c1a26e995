/* common/lanes.h on NEON: 4 lanes. */
#ifndef EDGERNN_ISA_NEON_LANES_H
#define EDGERNN_ISA_NEON_LANES_H

#include <arm_neon.h>
#include <stdint.h>

#include "../../common/tile.h"

#define EDGERNN_LANES 4
typedef int32_t edgernn_lanes __attribute__((vector_size(16)));

/* The last elements of a vector, fewer than EDGERNN_LANES, go by way of a full one. */
EDGERNN_INLINE int16x4_t edgernn_lanes_load_last(const int16_t *from, int32_t left)
{
    int16_t copy[EDGERNN_LANES] = {0};
    int32_t j;
    for (j = 0; j < left; ++j) {
        copy[j] = from[j];
    }
    return vld1_s16(copy);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_load(const int16_t *from, int32_t left)
{
    const int16x4_t v =
        left >= EDGERNN_LANES ? vld1_s16(from) : edgernn_lanes_load_last(from, left);
    return (edgernn_lanes)vmovl_s16(v);
}

EDGERNN_INLINE void edgernn_lanes_store(int16_t *to, edgernn_lanes v, int32_t left)
{
    const int16x4_t narrow = vmovn_s32((int32x4_t)v);
    int16_t copy[EDGERNN_LANES];
    int32_t j;
    if (left >= EDGERNN_LANES) {
        vst1_s16(to, narrow);
        return;
    }
    vst1_s16(copy, narrow);
    for (j = 0; j < left; ++j) {
        to[j] = copy[j];
    }
}

EDGERNN_INLINE void edgernn_lanes_store_code8(edgernn_code8 *to, edgernn_lanes v, int32_t left)
{
    const int16x4_t words = vmovn_s32((int32x4_t)v);
    const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    int8_t copy[8];
    int32_t j;
    if (left >= EDGERNN_LANES) {
        const int32_t word = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
        __builtin_memcpy(to, &word, sizeof word);
        return;
    }
    vst1_s8(copy, bytes);
    for (j = 0; j < left; ++j) {
        to[j] = copy[j];
    }
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_all(int32_t v)
{
    return (edgernn_lanes)vdupq_n_s32(v);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_min(edgernn_lanes a, edgernn_lanes b)
{
    return (edgernn_lanes)vminq_s32((int32x4_t)a, (int32x4_t)b);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_max(edgernn_lanes a, edgernn_lanes b)
{
    return (edgernn_lanes)vmaxq_s32((int32x4_t)a, (int32x4_t)b);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_sat8(edgernn_lanes v)
{
    return edgernn_lanes_max(edgernn_lanes_min(v, edgernn_lanes_all(127)), edgernn_lanes_all(-128));
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_sat16(edgernn_lanes v)
{
    return (edgernn_lanes)vmovl_s16(vqmovn_s32((int32x4_t)v));
}

/* Entries u and u + 1 of a table in one word. */
EDGERNN_INLINE int32_t edgernn_lanes_entries(const uint16_t *table, int32_t u)
{
    int32_t both;
    __builtin_memcpy(&both, table + u, sizeof both);
    return both;
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_rise(const uint16_t *table, edgernn_lanes u,
                                               edgernn_lanes *low)
{
    const edgernn_lanes both = {
        edgernn_lanes_entries(table, u[0]), edgernn_lanes_entries(table, u[1]),
        edgernn_lanes_entries(table, u[2]), edgernn_lanes_entries(table, u[3])};
    *low = both & 0xFFFF;
    return ((both >> 16) & 0xFFFF) - *low;
}

#endif
