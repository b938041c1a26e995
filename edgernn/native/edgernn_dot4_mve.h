/* Products of 4-bit weights (edgernn_tile4.h) on Armv8.1-M vectors.
 *
 * Four tiles are 32 bytes, and VLD2 sorts their words: one register holds the rows a and c, the
 * other b and d, 16 columns in order, as bytes 16 * c + a and 16 * d + b. Their upper halves are c
 * and d; a and b are what is left of the sums. Else as in edgernn_affine_mve.h.
 */
#ifndef EDGERNN_DOT4_MVE_H
#define EDGERNN_DOT4_MVE_H

#include <arm_mve.h>

#include "edgernn_tile4.h"

#define LOAD_BLOCK4                        \
    "vld20.32 {q0, q1}, [%[w]]\n\t"        \
    "vld21.32 {q0, q1}, [%[w]]"
#define UPPER4                             \
    "vshr.s8 q2, q0, #4\n\t"               \
    "vshr.s8 q3, q1, #4\n\t"

EDGERNN_INLINE void edgernn_dot4_8(const int8_t *weights, const edgernn_code8 *operands,
                                   int32_t tiles, int32_t eight, int32_t *acc)
{
    const product_columns columns = columns_of(operands, tiles);
    int32_t a;
    int32_t b;
    int32_t c;
    int32_t d;
    const int8_t *x = operands;
    __asm__("vctp.8 %[first]\n\t"
            "vpst\n\t"
            "vldrbt.8 q4, [%[x]]\n\t" LOAD_BLOCK4 "\n\t"
            "add %[x], %[x], %[first]\n\t"
            "add %[w], %[w], %[first], lsl #1\n\t" UPPER4
            "vmladav.s8 %[a], q0, q4\n\t"
            "vmladav.s8 %[b], q1, q4\n\t"
            "vmladav.s8 %[c], q2, q4\n\t"
            "vmladav.s8 %[d], q3, q4\n\t"
            "wls lr, %[more], 2f\n"
            "1:\n\t" LOAD_BLOCK4 "!\n\t"
            "vldrb.8 q4, [%[x]], #16\n\t" UPPER4
            "vmladava.s8 %[a], q0, q4\n\t"
            "vmladava.s8 %[b], q1, q4\n\t"
            "vmladava.s8 %[c], q2, q4\n\t"
            "vmladava.s8 %[d], q3, q4\n\t"
            "le lr, 1b\n"
            "2:"
            : [w] "+&r"(weights), [x] "+&r"(x), [a] "=&Te"(a), [b] "=&Te"(b), [c] "=&Te"(c),
              [d] "=&Te"(d)
            : [first] "r"(columns.first), [more] "r"(columns.more)
            : PREDICATE "q0", "q1", "q2", "q3", "q4", "lr", "cc", "memory");
    acc[0] = a - 16 * c - eight;
    acc[1] = b - 16 * d - eight;
    acc[2] = c;
    acc[3] = d;
}

/* The sums with the bytes of operands that edgernn_affine_mve.h tells apart. */
EDGERNN_INLINE uint32_t joined4(int32_t high, int32_t low)
{
    return (((uint32_t)high << 7) + (uint32_t)low) << 1;
}

EDGERNN_INLINE void edgernn_dot4_16(const int8_t *weights, const edgernn_code16 *operands,
                                    int32_t tiles, int32_t eight, int32_t *acc)
{
    const product_columns columns = columns_of(operands, tiles);
    const uint8x16_t even = vidupq_n_u8(0, 2);
    int32_t low[4];
    int32_t high[4];
    int32_t n;
    const int8_t *x;
    uint32_t upper;
    __asm__("ldr %[x], [%[columns]]\n\t"
            "ldr %[n], [%[columns], #8]\n\t"
            "vctp.8 %[n]\n\t"
            "vpst\n\t"
            "vldrbt.u8 q4, [%[x], %q[even]]\n\t"
            "add %[x], %[x], #1\n\t"
            "vpst\n\t"
            "vldrbt.u8 q5, [%[x], %q[even]]\n\t" HALVE_LOW LOAD_BLOCK4 "\n\t"
            "sub %[x], %[x], #1\n\t"
            "add %[x], %[x], %[n], lsl #1\n\t"
            "add %[w], %[w], %[n], lsl #1\n\t"
            "ldr %[n], [%[columns], #4]\n\t" UPPER4
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
            "2:"
            : [w] "+&r"(weights), [x] "=&r"(x), [n] "=&r"(n), [a] "=&Te"(low[0]),
              [b] "=&Te"(low[1]), [c] "=&Te"(low[2]), [d] "=&Te"(low[3]), [e] "=&Te"(high[0]),
              [f] "=&Te"(high[1]), [g] "=&Te"(high[2]), [h] "=&Te"(high[3])
            : [even] "w"(even), [columns] "r"(&columns)
            : PREDICATE "q0", "q1", "q2", "q3", "q4", "q5", "cc", "memory");
    upper = joined4(high[2], low[2]);
    acc[0] = (int32_t)(joined4(high[0], low[0]) - 16u * upper - (uint32_t)eight);
    acc[2] = (int32_t)upper;
    upper = joined4(high[3], low[3]);
    acc[1] = (int32_t)(joined4(high[1], low[1]) - 16u * upper - (uint32_t)eight);
    acc[3] = (int32_t)upper;
}

#undef LOAD_BLOCK4
#undef UPPER4
#endif
