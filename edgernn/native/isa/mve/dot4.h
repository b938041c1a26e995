/* Products and maps of 4-bit weights (common/tile4.h) on Armv8.1-M vectors.
 *
 * Four tiles are 32 bytes, and VLD2 sorts their words: one register holds the rows a and c, the
 * other b and d, 16 columns in order, as bytes 16 * c + a and 16 * d + b. Their upper halves are c
 * and d; a and b are what is left of the sums. Else as in isa/mve/affine.h.
 */
#ifndef EDGERNN_ISA_MVE_DOT4_H
#define EDGERNN_ISA_MVE_DOT4_H

#include <arm_mve.h>

#include "../../common/tile4.h"

#define LOAD_BLOCK4                 \
    "vld20.32 {q0, q1}, [%[w]]\n\t" \
    "vld21.32 {q0, q1}, [%[w]]"
#define UPPER4                \
    "vshr.s8 q2, q0, #4\n\t" \
    "vshr.s8 q3, q1, #4\n\t"

/* `eight` for the lower rows, nothing for the upper ones. */
EDGERNN_INLINE int32x4_t eight_of_lower(int32_t eight)
{
    return vsetq_lane_s32(eight, vsetq_lane_s32(eight, vdupq_n_s32(0), 0), 1);
}

#define OWN_EIGHT_TIMES
EDGERNN_INLINE int32_t eight_times8(const edgernn_code8 *x, int32_t tiles)
{
    int32_t left = EDGERNN_TILE_COLUMNS * tiles;
    int32_t sum = 0;
    for (; left > 0; left -= 16) {
        const mve_pred16_t there = vctp8q((uint32_t)left);
        sum = vaddvaq_p_s8(sum, vldrbq_z_s8(x, there), there);
        x += 16;
    }
    return 8 * sum;
}

EDGERNN_INLINE int32_t eight_times16(const edgernn_code16 *x, int32_t tiles)
{
    int32_t left = EDGERNN_TILE_COLUMNS * tiles;
    int32_t sum = 0;
    for (; left > 0; left -= 8) {
        const mve_pred16_t there = vctp16q((uint32_t)left);
        sum = vaddvaq_p_s16(sum, vldrhq_z_s16(x, there), there);
        x += 8;
    }
    return (int32_t)(8 * (uint32_t)sum);
}

/* u and the sums of clause 4.2, times their multipliers, for the next 4 rows. */
EDGERNN_INLINE int32x4_t add_product4_8(int32x4_t u, const product_columns *columns,
                                        int32x4_t eights, const int8_t **weights,
                                        const int32_t **multiplier)
{
    int32_t a;
    int32_t b;
    int32_t c;
    int32_t d;
    const int8_t *x;
    __asm__("ldr %[x], %[operands]\n\t"
            "vctp.8 %[first]\n\t"
            "vpst\n\t"
            "vldrbt.8 q4, [%[x]]\n\t" LOAD_BLOCK4 "\n\t"
            "add %[x], %[x], %[first]\n\t"
            "add %[w], %[w], %[first], lsl #1\n\t" UPPER4
            "ldr lr, %[more]\n\t"
            "vmladav.s8 %[a], q0, q4\n\t"
            "vmladav.s8 %[b], q1, q4\n\t"
            "vmladav.s8 %[c], q2, q4\n\t"
            "vmladav.s8 %[d], q3, q4\n\t"
            "wls lr, lr, 2f\n"
            "1:\n\t" LOAD_BLOCK4 "!\n\t"
            "vldrb.8 q4, [%[x]], #16\n\t" UPPER4
            "vmladava.s8 %[a], q0, q4\n\t"
            "vmladava.s8 %[b], q1, q4\n\t"
            "vmladava.s8 %[c], q2, q4\n\t"
            "vmladava.s8 %[d], q3, q4\n\t"
            "le lr, 1b\n"
            "2:\n\t"
            "sub %[a], %[a], %[c], lsl #4\n\t"
            "sub %[b], %[b], %[d], lsl #4\n\t"
            "vmov q0[2], q0[0], %[a], %[c]\n\t"
            "vldrw.32 q1, [%[m]], #16\n\t"
            "vmov q0[3], q0[1], %[b], %[d]\n\t"
            "vsub.i32 q0, q0, %q[eights]\n\t"
            "vmul.i32 q0, q0, q1\n\t"
            "vadd.i32 %q[u], %q[u], q0"
            : [u] "+w"(u), [w] "+&r"(*weights), [m] "+&r"(*multiplier), [x] "=&r"(x), [a] "=&Te"(a),
              [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d)
            : [first] "r"(columns->first), [operands] "m"(columns->operands),
              [more] "m"(columns->more), [eights] "w"(eights)
            : PREDICATE "q0", "q1", "q2", "q3", "q4", "lr", "cc", "memory");
    return u;
}

/* The sums of clause 5.2, without bias, for the next 4 rows; `even` is 0, 2, 4 and so on. */
EDGERNN_INLINE int32x4_t sums4_16(const product_columns *columns, int32x4_t eights,
                                  const int8_t **weights, uint8x16_t even)
{
    int32x4_t sums;
    int32_t a;
    int32_t b;
    int32_t c;
    int32_t d;
    int32_t e;
    int32_t f;
    int32_t g;
    int32_t h;
    int32_t n;
    const int8_t *x;
    __asm__("ldr %[x], [%[columns]]\n\t"
            "ldr %[n], [%[columns], #4]\n\t"
            "vctp.8 %[n]\n\t"
            "vpst\n\t"
            "vldrbt.u8 q4, [%[x], %q[even]]\n\t"
            "add %[x], %[x], #1\n\t"
            "vpst\n\t"
            "vldrbt.u8 q5, [%[x], %q[even]]\n\t" HALVE_LOW LOAD_BLOCK4 "\n\t"
            "sub %[x], %[x], #1\n\t"
            "add %[x], %[x], %[n], lsl #1\n\t"
            "add %[w], %[w], %[n], lsl #1\n\t"
            "ldr %[n], [%[columns], #8]\n\t" UPPER4
            "vmladav.s8 %[a], q0, q4\n\t"
            "vmladav.s8 %[b], q1, q4\n\t"
            "vmladav.s8 %[c], q2, q4\n\t"
            "vmladav.s8 %[d], q3, q4\n\t"
            "vmladav.s8 %[e], q0, q5\n\t"
            "vmladav.s8 %[f], q1, q5\n\t"
            "vmladav.s8 %[g], q2, q5\n\t"
            "vmladav.s8 %[h], q3, q5\n\t"
            "cmp %[n], #0\n\t"
            "beq 2f\n"
            "1:\n\t"
            "vld20.8 {q4, q5}, [%[x]]\n\t"
            "vld21.8 {q4, q5}, [%[x]]!\n\t" LOAD_BLOCK4 "!\n\t" HALVE_LOW UPPER4
            "vmladava.s8 %[e], q0, q5\n\t"
            "vmladava.s8 %[f], q1, q5\n\t"
            "vmladava.s8 %[g], q2, q5\n\t"
            "vmladava.s8 %[h], q3, q5\n\t"
            "vmladava.s8 %[a], q0, q4\n\t"
            "vmladava.s8 %[b], q1, q4\n\t"
            "vmladava.s8 %[c], q2, q4\n\t"
            "vmladava.s8 %[d], q3, q4\n\t"
            "subs %[n], %[n], #1\n\t"
            "bne 1b\n"
            "2:\n\t"
            "sub %[a], %[a], %[c], lsl #4\n\t"
            "sub %[b], %[b], %[d], lsl #4\n\t"
            "sub %[e], %[e], %[g], lsl #4\n\t"
            "sub %[f], %[f], %[h], lsl #4\n\t"
            "vmov %q[sums][2], %q[sums][0], %[e], %[g]\n\t"
            "vmov %q[sums][3], %q[sums][1], %[f], %[h]\n\t"
            "vmov q0[2], q0[0], %[a], %[c]\n\t"
            "vmov q0[3], q0[1], %[b], %[d]\n\t"
            "vshl.i32 %q[sums], %q[sums], #7\n\t"
            "vadd.i32 %q[sums], %q[sums], q0\n\t"
            "vshl.i32 %q[sums], %q[sums], #1"
            : [sums] "=&w"(sums), [w] "+&r"(*weights), [x] "=&r"(x), [n] "=&r"(n), [a] "=&Te"(a),
              [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d), [e] "=&Te"(e), [f] "=&Te"(f),
              [g] "=&Te"(g), [h] "=&Te"(h)
            : [even] "w"(even), [columns] "r"(columns)
            : PREDICATE "q0", "q1", "q2", "q3", "q4", "q5", "cc", "memory");
    return vsubq_s32(sums, eights);
}

EDGERNN_INLINE void edgernn_dot4_8(const int8_t *weights, const edgernn_code8 *operands,
                                   int32_t tiles, int32_t eight, int32_t *acc)
{
    const product_columns columns = columns_of(operands, tiles);
    const int32_t ones[4] = {1, 1, 1, 1};
    const int32_t *one = ones;
    const int32x4_t eights = eight_of_lower(eight);
    vstrwq_s32(acc, add_product4_8(vdupq_n_s32(0), &columns, eights, &weights, &one));
}

EDGERNN_INLINE void edgernn_dot4_16(const int8_t *weights, const edgernn_code16 *operands,
                                    int32_t tiles, int32_t eight, int32_t *acc)
{
    const product_columns columns = columns_of(operands, tiles);
    vstrwq_s32(acc, sums4_16(&columns, eight_of_lower(eight), &weights, vidupq_n_u8(0, 2)));
}

#undef LOAD_BLOCK4
#undef UPPER4
#endif
