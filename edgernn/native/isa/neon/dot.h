/* Products of isa/neon/affine.h without SDOT: two blocks of 4 rows.
 *
 * w8a8: SMULL and SMLAL add up two products, at most 2 * 127 * 128, which fits int16_t; SADALP adds
 * neighbours to sums of 32 bits. w8a16: weights widened to int16_t, one sum register per row.
 */
#ifndef EDGERNN_ISA_NEON_DOT_H
#define EDGERNN_ISA_NEON_DOT_H

#include <arm_neon.h>

#include "../../common/tile.h"

#define ROWS 8

/* Weights of 2 blocks. Behind the last row the last block repeats; its sums are not used. */
typedef struct {
    const int8_t *a;
    const int8_t *b;
} blocks;

EDGERNN_INLINE blocks blocks_from(const int8_t *weights, int32_t tiles, int32_t row, int32_t left)
{
    const int32_t size = tiles * EDGERNN_TILE_BYTES;
    blocks w;
    w.a = weights + row / EDGERNN_TILE_ROWS * size;
    w.b = left > 4 ? w.a + size : w.a;
    return w;
}

/* Sums of neighbours: two of a, then two of b. */
EDGERNN_INLINE int32x4_t add_neighbours(int32x4_t a, int32x4_t b)
{
    return vcombine_s32(vpadd_s32(vget_low_s32(a), vget_high_s32(a)),
                        vpadd_s32(vget_low_s32(b), vget_high_s32(b)));
}

/* The 4 operands of a tile, once for each of 2 rows. */
EDGERNN_INLINE int8x8_t pair8(const edgernn_code8 *operands)
{
    int32_t word;
    __builtin_memcpy(&word, operands, sizeof word);
    return vreinterpret_s8_s32(vdup_n_s32(word));
}

/* Sums of one block: rows 0 and 1, rows 2 and 3, two words each. */
typedef struct {
    int32x4_t low;
    int32x4_t high;
} sums_of_pairs;

EDGERNN_INLINE void add_tile8(sums_of_pairs *s, const int8_t *tile, int8x8_t x)
{
    const int8x16_t w = vld1q_s8(tile);
    s->low = vpadalq_s16(s->low, vmull_s8(vget_low_s8(w), x));
    s->high = vpadalq_s16(s->high, vmull_s8(vget_high_s8(w), x));
}

EDGERNN_INLINE void add_two_tiles8(sums_of_pairs *s, const int8_t *tile, int8x8_t x, int8x8_t next)
{
    const int8x16_t w = vld1q_s8(tile);
    const int8x16_t v = vld1q_s8(tile + EDGERNN_TILE_BYTES);
    s->low = vpadalq_s16(
        s->low, vmlal_s8(vmull_s8(vget_low_s8(w), x), vget_low_s8(v), next));
    s->high = vpadalq_s16(
        s->high, vmlal_s8(vmull_s8(vget_high_s8(w), x), vget_high_s8(v), next));
}

EDGERNN_INLINE void sums8(blocks w, const edgernn_code8 *operands, int32_t tiles, int32_t *acc)
{
    const int32x4_t zero = vdupq_n_s32(0);
    sums_of_pairs a = {zero, zero};
    sums_of_pairs b = {zero, zero};
    int32_t t;
    for (t = 0; t + 2 <= tiles; t += 2) {
        const int8x8_t x = pair8(operands);
        const int8x8_t next = pair8(operands + EDGERNN_TILE_COLUMNS);
        add_two_tiles8(&a, w.a, x, next);
        add_two_tiles8(&b, w.b, x, next);
        w.a += 2 * EDGERNN_TILE_BYTES;
        w.b += 2 * EDGERNN_TILE_BYTES;
        operands += 2 * EDGERNN_TILE_COLUMNS;
    }
    if (t < tiles) {
        const int8x8_t x = pair8(operands);
        add_tile8(&a, w.a, x);
        add_tile8(&b, w.b, x);
    }
    vst1q_s32(acc, add_neighbours(a.low, a.high));
    vst1q_s32(acc + 4, add_neighbours(b.low, b.high));
}

/* Sums of one block, four words a row. */
typedef struct {
    int32x4_t row0;
    int32x4_t row1;
    int32x4_t row2;
    int32x4_t row3;
} sums_of_rows;

EDGERNN_INLINE void add_tile16(sums_of_rows *s, const int8_t *tile, int16x4_t x)
{
    const int8x16_t w = vld1q_s8(tile);
    const int16x8_t low = vmovl_s8(vget_low_s8(w));
    const int16x8_t high = vmovl_s8(vget_high_s8(w));
    s->row0 = vmlal_s16(s->row0, vget_low_s16(low), x);
    s->row1 = vmlal_s16(s->row1, vget_high_s16(low), x);
    s->row2 = vmlal_s16(s->row2, vget_low_s16(high), x);
    s->row3 = vmlal_s16(s->row3, vget_high_s16(high), x);
}

EDGERNN_INLINE int32x4_t added(sums_of_rows s)
{
    return add_neighbours(add_neighbours(s.row0, s.row1), add_neighbours(s.row2, s.row3));
}

EDGERNN_INLINE void sums16(blocks w, const edgernn_code16 *operands, int32_t tiles, int32_t *acc)
{
    const int32x4_t zero = vdupq_n_s32(0);
    sums_of_rows a = {zero, zero, zero, zero};
    sums_of_rows b = {zero, zero, zero, zero};
    int32_t t;
    for (t = 0; t < tiles; ++t) {
        const int16x4_t x = vld1_s16(operands + EDGERNN_TILE_COLUMNS * t);
        add_tile16(&a, w.a + EDGERNN_TILE_BYTES * t, x);
        add_tile16(&b, w.b + EDGERNN_TILE_BYTES * t, x);
    }
    vst1q_s32(acc, added(a));
    vst1q_s32(acc + 4, added(b));
}

#endif
