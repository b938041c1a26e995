/* common/lanes.h on Armv8.1-M vectors: 4 lanes; predicates keep the ends of vectors untouched.
 *
 * Operands and tables have 8 lanes of their own, in isa/mve/operands.h and
 * isa/mve/tables.h; what only they would need is not here.
 */
#ifndef EDGERNN_ISA_MVE_LANES_H
#define EDGERNN_ISA_MVE_LANES_H

#include <arm_mve.h>
#include <stdint.h>

#include "../../common/tile.h"

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

EDGERNN_INLINE edgernn_lanes edgernn_lanes_all(int32_t v)
{
    return vdupq_n_s32(v);
}

/* Not by narrowing and widening again: clang 14 makes zeros of vmovlbq_s16(vqmovnbq_s32(v, v)). */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_sat16(edgernn_lanes v)
{
    return vminq_s32(vmaxq_s32(v, vdupq_n_s32(-32768)), vdupq_n_s32(32767));
}

/* R(p, k) of p + 1: a shift that rounds half up, after p < -1 lost 1 instead of gaining it. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_rounded(edgernn_lanes p_and_1, int32_t k)
{
    return vrshlq_n_s32(vmlaq_n_s32(p_and_1, vshrq_n_s32(p_and_1, 31), 2), -k);
}

#define EDGERNN_OWN_LANES_ROUND
EDGERNN_INLINE edgernn_lanes edgernn_lanes_round(edgernn_lanes p, int32_t k)
{
    return edgernn_lanes_rounded(vaddq_n_s32(p, 1), k);
}

#define EDGERNN_OWN_LANES_SCALED
EDGERNN_INLINE edgernn_lanes edgernn_lanes_scaled(edgernn_lanes a, edgernn_lanes b)
{
    return edgernn_lanes_rounded(vmlasq_n_s32(a, b, 1), 15);
}

#endif
