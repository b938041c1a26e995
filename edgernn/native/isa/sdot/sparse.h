/* Sums of isa/neon/sparse.h by dot products. */
#ifndef EDGERNN_ISA_SDOT_SPARSE_H
#define EDGERNN_ISA_SDOT_SPARSE_H

#define EDGERNN_OWN_SPARSE_SUMS

EDGERNN_INLINE int32x4_t sparse_sums8(const int8_t *weights, const edgernn_code8 *operands,
                                      const uint8_t *index, const uint8_t *end)
{
    int32x4_t sum = vdupq_n_s32(0);
    for (; index != end; ++index) {
        int32_t word;
        __builtin_memcpy(&word, operands + EDGERNN_TILE_COLUMNS * *index, sizeof word);
        sum = vdotq_s32(sum, vld1q_s8(weights), vreinterpretq_s8_s32(vdupq_n_s32(word)));
        weights += EDGERNN_TILE_BYTES;
    }
    return sum;
}

EDGERNN_INLINE int32x4_t sparse_sums16(const int8_t *weights, const edgernn_code16 *operands,
                                       const uint8_t *index, const uint8_t *end)
{
    int32x4_t low = vdupq_n_s32(0);
    int32x4_t high = low;
    for (; index != end; ++index) {
        const int16x4_t four = vld1_s16(operands + EDGERNN_TILE_COLUMNS * *index);
        const int16x8_t x = vcombine_s16(four, four);
        const int8x16_t w = vld1q_s8(weights);
        low = vdotq_s32(low, w, low_bytes(x, x));
        high = vdotq_s32(high, w, high_bytes(x, x));
        weights += EDGERNN_TILE_BYTES;
    }
    return joined(high, low);
}

#include "../neon/sparse.h"

#endif
