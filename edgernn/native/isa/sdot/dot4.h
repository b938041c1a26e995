/* Products of 4-bit weights (common/tile4.h) with SDOT: those of isa/sdot/dot.h with bytes
 * 16 * c + a, or d and b, and with their upper halves, which are c and d. The lower rows are what
 * is left of the sums. A register holds two tiles, and each operand word twice. */
#ifndef EDGERNN_ISA_SDOT_DOT4_H
#define EDGERNN_ISA_SDOT_DOT4_H

#include "../../common/tile4.h"

typedef struct {
    int32x4_t whole; /* rows a and b of one tile, then of the other */
    int32x4_t upper; /* rows c and d */
} sums4;

EDGERNN_INLINE sums4 add_two_tiles4(sums4 s, int8x16_t w, int8x16_t x)
{
    s.whole = vdotq_s32(s.whole, w, x);
    s.upper = vdotq_s32(s.upper, vshrq_n_s8(w, 4), x);
    return s;
}

/* Both words of operands, twice each. */
EDGERNN_INLINE int8x16_t first_words_twice(int8x16_t x)
{
    const int32x4_t words = vreinterpretq_s32_s8(x);
    return vreinterpretq_s8_s32(vzip1q_s32(words, words));
}

EDGERNN_INLINE int8x16_t last_words_twice(int8x16_t x)
{
    const int32x4_t words = vreinterpretq_s32_s8(x);
    return vreinterpretq_s8_s32(vzip2q_s32(words, words));
}

/* Two tiles, or one and zeros. */
EDGERNN_INLINE int8x16_t load_tiles4(const int8_t *from, int32_t tiles)
{
    return tiles > 1 ? vld1q_s8(from) : vcombine_s8(vld1_s8(from), vdup_n_s8(0));
}

/* The sums over both tiles: rows a, b, c, d. */
EDGERNN_INLINE int32x4_t dot4_rows(sums4 s)
{
    const int32x2_t upper = vadd_s32(vget_low_s32(s.upper), vget_high_s32(s.upper));
    const int32x2_t whole = vadd_s32(vget_low_s32(s.whole), vget_high_s32(s.whole));
    return vcombine_s32(vsub_s32(whole, vshl_n_s32(upper, 4)), upper);
}

EDGERNN_INLINE int32x4_t eight_of_lower(int32_t eight)
{
    return vcombine_s32(vdup_n_s32(eight), vdup_n_s32(0));
}

EDGERNN_INLINE void edgernn_dot4_8(const int8_t *weights, const edgernn_code8 *operands,
                                   int32_t tiles, int32_t eight, int32_t *acc)
{
    const int32x4_t zero = vdupq_n_s32(0);
    sums4 s = {zero, zero};
    sums4 next = s;
    for (; tiles >= 4; tiles -= 4) {
        const int8x16_t x = vld1q_s8(operands);
        s = add_two_tiles4(s, vld1q_s8(weights), first_words_twice(x));
        next = add_two_tiles4(next, vld1q_s8(weights + 2 * EDGERNN_TILE4_BYTES),
                              last_words_twice(x));
        weights += 4 * EDGERNN_TILE4_BYTES;
        operands += 4 * EDGERNN_TILE_COLUMNS;
    }
    for (; tiles > 0; tiles -= 2) {
        int32_t words[4] = {0, 0, 0, 0};
        __builtin_memcpy(words, operands, tiles > 1 ? 8 : 4);
        s = add_two_tiles4(s, load_tiles4(weights, tiles),
                           first_words_twice(vreinterpretq_s8_s32(vld1q_s32(words))));
        weights += 2 * EDGERNN_TILE4_BYTES;
        operands += 2 * EDGERNN_TILE_COLUMNS;
    }
    s.whole = vaddq_s32(s.whole, next.whole);
    s.upper = vaddq_s32(s.upper, next.upper);
    vst1q_s32(acc, vsubq_s32(dot4_rows(s), eight_of_lower(eight)));
}

EDGERNN_INLINE void edgernn_dot4_16(const int8_t *weights, const edgernn_code16 *operands,
                                    int32_t tiles, int32_t eight, int32_t *acc)
{
    const int32x4_t zero = vdupq_n_s32(0);
    sums4 low = {zero, zero};
    sums4 high = low;
    for (; tiles > 0; tiles -= 2) {
        const int16x4_t nothing = vdup_n_s16(0);
        const int16x8_t x = tiles > 1 ? vld1q_s16(operands)
                                      : vcombine_s16(vld1_s16(operands), nothing);
        const int8x16_t w = load_tiles4(weights, tiles);
        low = add_two_tiles4(low, w, first_words_twice(low_bytes(x, x)));
        high = add_two_tiles4(high, w, first_words_twice(high_bytes(x, x)));
        weights += 2 * EDGERNN_TILE4_BYTES;
        operands += 2 * EDGERNN_TILE_COLUMNS;
    }
    vst1q_s32(acc, vsubq_s32(joined(dot4_rows(high), dot4_rows(low)), eight_of_lower(eight)));
}

#endif
