/* Products of isa/neon/affine.h with SDOT: four blocks of 4 rows.
 *
 * w8a8: one SDOT adds a tile's products to the sums of its 4 rows.
 *
 * w8a16: an operand is a multiple of 4 in [-32764, 32764] (clauses 2.3, 2.7), so that it is
 * 4 * (256 * high + low) with two bytes, one SDOT for each.
 */
#ifndef EDGERNN_ISA_SDOT_DOT_H
#define EDGERNN_ISA_SDOT_DOT_H

#include <arm_neon.h>

#include "../../common/tile.h"

#define ROWS 16

/* Weights of 4 blocks. Blocks behind the last row repeat the last one; their sums are not used. */
typedef struct {
    const int8_t *a;
    const int8_t *b;
    const int8_t *c;
    const int8_t *d;
} blocks;

typedef struct {
    int32x4_t a;
    int32x4_t b;
    int32x4_t c;
    int32x4_t d;
} block_sums;

EDGERNN_INLINE blocks blocks_from(const int8_t *weights, int32_t tiles, int32_t row, int32_t left)
{
    const int32_t size = tiles * EDGERNN_TILE_BYTES;
    blocks w;
    w.a = weights + row / EDGERNN_TILE_ROWS * size;
    w.b = left > 4 ? w.a + size : w.a;
    w.c = left > 8 ? w.b + size : w.b;
    w.d = left > 12 ? w.c + size : w.c;
    return w;
}

/* Tile t by the operands in word `lane` of x. */
#define TILE(from, t) vld1q_s8((from) + EDGERNN_TILE_BYTES * (t))
#define ADD_TILE(s, w, t, x, lane)                              \
    do {                                                        \
        s.a = vdotq_laneq_s32(s.a, TILE((w).a, t), x, lane);    \
        s.b = vdotq_laneq_s32(s.b, TILE((w).b, t), x, lane);    \
        s.c = vdotq_laneq_s32(s.c, TILE((w).c, t), x, lane);    \
        s.d = vdotq_laneq_s32(s.d, TILE((w).d, t), x, lane);    \
    } while (0)

EDGERNN_INLINE void sums8(blocks w, const edgernn_code8 *operands, int32_t tiles, int32_t *acc)
{
    const int32x4_t zero = vdupq_n_s32(0);
    block_sums s = {zero, zero, zero, zero};
    int32_t t;
    for (t = 0; t + 4 <= tiles; t += 4) {
        const int8x16_t x = vld1q_s8(operands + EDGERNN_TILE_COLUMNS * t);
        ADD_TILE(s, w, t, x, 0);
        ADD_TILE(s, w, t + 1, x, 1);
        ADD_TILE(s, w, t + 2, x, 2);
        ADD_TILE(s, w, t + 3, x, 3);
    }
    for (; t < tiles; ++t) {
        int32_t word;
        int8x16_t x;
        __builtin_memcpy(&word, operands + EDGERNN_TILE_COLUMNS * t, sizeof word);
        x = vreinterpretq_s8_s32(vdupq_n_s32(word));
        ADD_TILE(s, w, t, x, 0);
    }
    vst1q_s32(acc, s.a);
    vst1q_s32(acc + 4, s.b);
    vst1q_s32(acc + 8, s.c);
    vst1q_s32(acc + 12, s.d);
}

/* The bytes of 16 operands. */
EDGERNN_INLINE int8x16_t low_bytes(int16x8_t x, int16x8_t next)
{
    return vcombine_s8(vshrn_n_s16(x, 2), vshrn_n_s16(next, 2));
}

EDGERNN_INLINE int8x16_t high_bytes(int16x8_t x, int16x8_t next)
{
    return vcombine_s8(vrshrn_n_s16(vshrq_n_s16(x, 2), 8), vrshrn_n_s16(vshrq_n_s16(next, 2), 8));
}

EDGERNN_INLINE int32x4_t joined(int32x4_t high, int32x4_t low)
{
    return vshlq_n_s32(vaddq_s32(vshlq_n_s32(high, 8), low), 2);
}

EDGERNN_INLINE void sums16(blocks w, const edgernn_code16 *operands, int32_t tiles, int32_t *acc)
{
    const int32x4_t zero = vdupq_n_s32(0);
    block_sums low = {zero, zero, zero, zero};
    block_sums high = {zero, zero, zero, zero};
    int32_t t;
    for (t = 0; t + 4 <= tiles; t += 4) {
        const int16x8_t x = vld1q_s16(operands + EDGERNN_TILE_COLUMNS * t);
        const int16x8_t next = vld1q_s16(operands + EDGERNN_TILE_COLUMNS * t + 8);
        const int8x16_t x_low = low_bytes(x, next);
        const int8x16_t x_high = high_bytes(x, next);
        ADD_TILE(low, w, t, x_low, 0);
        ADD_TILE(high, w, t, x_high, 0);
        ADD_TILE(low, w, t + 1, x_low, 1);
        ADD_TILE(high, w, t + 1, x_high, 1);
        ADD_TILE(low, w, t + 2, x_low, 2);
        ADD_TILE(high, w, t + 2, x_high, 2);
        ADD_TILE(low, w, t + 3, x_low, 3);
        ADD_TILE(high, w, t + 3, x_high, 3);
    }
    for (; t < tiles; ++t) {
        const int16x4_t four = vld1_s16(operands + EDGERNN_TILE_COLUMNS * t);
        const int16x8_t x = vcombine_s16(four, four);
        const int8x16_t x_low = low_bytes(x, x);
        const int8x16_t x_high = high_bytes(x, x);
        ADD_TILE(low, w, t, x_low, 0);
        ADD_TILE(high, w, t, x_high, 0);
    }
    vst1q_s32(acc, joined(high.a, low.a));
    vst1q_s32(acc + 4, joined(high.b, low.b));
    vst1q_s32(acc + 8, joined(high.c, low.c));
    vst1q_s32(acc + 12, joined(high.d, low.d));
}

#undef TILE
#undef ADD_TILE
#endif
