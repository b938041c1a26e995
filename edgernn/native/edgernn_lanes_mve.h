/* edgernn_lanes.h on Armv8.1-M vectors: 4 lanes; predicates keep the ends of vectors untouched. */
#ifndef EDGERNN_LANES_MVE_H
#define EDGERNN_LANES_MVE_H

#include <arm_mve.h>
#include <stdint.h>

#include "edgernn_tile.h"

#define EDGERNN_LANES 4
typedef int32x4_t edgernn_lanes;

EDGERNN_INLINE edgernn_lanes edgernn_lanes_load(const int16_t *from, int32_t left)
{
    if (left >= EDGERNN_LANES) {
        return vldrhq_s32(from);
    }
    return vldrhq_z_s32(from, vctp32q((uint32_t)left));
}

EDGERNN_INLINE void edgernn_lanes_store(int16_t *to, edgernn_lanes v, int32_t left)
{
    if (left >= EDGERNN_LANES) {
        vstrhq_s32(to, v);
    } else {
        vstrhq_p_s32(to, v, vctp32q((uint32_t)left));
    }
}

EDGERNN_INLINE void edgernn_lanes_store_code8(edgernn_code8 *to, edgernn_lanes v, int32_t left)
{
    if (left >= EDGERNN_LANES) {
        vstrbq_s32(to, v);
    } else {
        vstrbq_p_s32(to, v, vctp32q((uint32_t)left));
    }
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_all(int32_t v)
{
    return vdupq_n_s32(v);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_min(edgernn_lanes a, edgernn_lanes b)
{
    return vminq_s32(a, b);
}

/* Saturation is a by-product of narrowing. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_sat16(edgernn_lanes v)
{
    return vmovlbq_s16(vqmovnbq_s32(vreinterpretq_s16_s32(v), v));
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_sat8(edgernn_lanes v)
{
    return vminq_s32(vmaxq_s32(v, vdupq_n_s32(-128)), vdupq_n_s32(127));
}

/* R(p, k) of p + 1: shifts round half up, and before that negative p lose 1 instead of gaining it. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_rounded(edgernn_lanes p_and_1, int32_t k)
{
    return vrshlq_n_s32(vmlaq_n_s32(p_and_1, vshrq_n_s32(p_and_1, 31), 2), -k);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_rise(const uint16_t *table, edgernn_lanes u,
                                               edgernn_lanes *low)
{
    const uint32x4_t index = vreinterpretq_u32_s32(u);
    const uint32x4_t here = vldrhq_gather_shifted_offset_u32(table, index);
    const uint32x4_t next = vldrhq_gather_shifted_offset_u32(table + 1, index);
    *low = vreinterpretq_s32_u32(here);
    return vreinterpretq_s32_u32(vsubq_u32(next, here));
}

#endif
