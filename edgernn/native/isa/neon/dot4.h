/* Products of 4-bit weights (common/tile4.h) on NEON without SDOT: those of isa/neon/dot.h
 * with bytes 16 * c + a, or d and b, and with their upper halves, which are c and d. The lower rows
 * are what is left of the sums. */
#ifndef EDGERNN_ISA_NEON_DOT4_H
#define EDGERNN_ISA_NEON_DOT4_H

#include "../../common/tile4.h"

/* acc[4] from the sums with whole bytes (a and b above c and d) and with their upper halves. */
EDGERNN_INLINE void dot4_rows(int32x2_t whole, int32x2_t upper, int32_t eight, int32_t *acc)
{
    const int32x2_t lower = vsub_s32(whole, vshl_n_s32(upper, 4));
    vst1q_s32(acc, vcombine_s32(vsub_s32(lower, vdup_n_s32(eight)), upper));
}

EDGERNN_INLINE int32x2_t add_pairs(int32x4_t v)
{
    return vpadd_s32(vget_low_s32(v), vget_high_s32(v));
}

EDGERNN_INLINE void edgernn_dot4_8(const int8_t *weights, const edgernn_code8 *operands,
                                   int32_t tiles, int32_t eight, int32_t *acc)
{
    int32x4_t whole = vdupq_n_s32(0);
    int32x4_t upper = whole;
    int32_t t;
    for (t = 0; t + 2 <= tiles; t += 2) {
        const int8x16_t w = vld1q_s8(weights + EDGERNN_TILE4_BYTES * t);
        const int8x16_t v = vshrq_n_s8(w, 4);
        const int8x8_t x = pair8(operands + EDGERNN_TILE_COLUMNS * t);
        const int8x8_t next = pair8(operands + EDGERNN_TILE_COLUMNS * (t + 1));
        whole = vpadalq_s16(whole, vmlal_s8(vmull_s8(vget_low_s8(w), x), vget_high_s8(w), next));
        upper = vpadalq_s16(upper, vmlal_s8(vmull_s8(vget_low_s8(v), x), vget_high_s8(v), next));
    }
    if (t < tiles) {
        const int8x8_t w = vld1_s8(weights + EDGERNN_TILE4_BYTES * t);
        const int8x8_t x = pair8(operands + EDGERNN_TILE_COLUMNS * t);
        whole = vpadalq_s16(whole, vmull_s8(w, x));
        upper = vpadalq_s16(upper, vmull_s8(vshr_n_s8(w, 4), x));
    }
    dot4_rows(add_pairs(whole), add_pairs(upper), eight, acc);
}

EDGERNN_INLINE void edgernn_dot4_16(const int8_t *weights, const edgernn_code16 *operands,
                                    int32_t tiles, int32_t eight, int32_t *acc)
{
    const int32x4_t zero = vdupq_n_s32(0);
    sums_of_rows s = {zero, zero, zero, zero};
    int32_t t;
    for (t = 0; t < tiles; ++t) {
        const int16x8_t w = vmovl_s8(vld1_s8(weights + EDGERNN_TILE4_BYTES * t));
        const int16x8_t v = vshrq_n_s16(w, 4);
        const int16x4_t x = vld1_s16(operands + EDGERNN_TILE_COLUMNS * t);
        s.row0 = vmlal_s16(s.row0, vget_low_s16(w), x);
        s.row1 = vmlal_s16(s.row1, vget_high_s16(w), x);
        s.row2 = vmlal_s16(s.row2, vget_low_s16(v), x);
        s.row3 = vmlal_s16(s.row3, vget_high_s16(v), x);
    }
    dot4_rows(add_pairs(add_neighbours(s.row0, s.row1)), add_pairs(add_neighbours(s.row2, s.row3)),
              eight, acc);
}

#endif
