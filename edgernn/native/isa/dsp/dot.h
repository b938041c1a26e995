/* Products of isa/scalar/affine.h in pairs: SMLAD adds two products of 16-bit halves to a sum.
 *
 * w8a8: a word of a tile holds rows a and b of two columns, as halves 256 * b + a (common/tile.h).
 * One SMLAD adds 256 * B + A to a sum modulo 2^32, where A and B are the products of the rows; a
 * second one, after SXTB16 has kept the lower bytes, adds A alone to another sum. The difference of
 * the two sums is 256 * B modulo 2^32, which gives B as long as |B| < 2^23: in 512 columns it is at
 * most 512 * 127 * 128. That is three instructions for four products instead of four.
 *
 * w8a16: the same words, with SXTB16 for both rows; sums take all 32 bits (clause 5.5).
 */
#ifndef EDGERNN_ISA_DSP_DOT_H
#define EDGERNN_ISA_DSP_DOT_H

#include <stdint.h>

#include "../../common/tile.h"

/* Where there is an FPU, GCC finds too few registers for the products unless it optimizes. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__OPTIMIZE__)
#pragma GCC optimize("O1")
#endif

/* w by two operands x: sum += 256 * B + A, low += A. */
#define ADD_PAIRS8(w, x, sum, low)                         \
    "smlad %[" sum "], %[" w "], %[" x "], %[" sum "]\n\t" \
    "sxtb16 %[" w "], %[" w "]\n\t"                        \
    "smlad %[" low "], %[" w "], %[" x "], %[" low "]\n\t"

/* LDM of four words would save an instruction and take two registers that GCC does not have where
 * there is an FPU. */
#define ADD_TILE8                       \
    "ldrd %[x0], %[x1], [%[x]], #8\n\t" \
    "ldrd %[w0], %[w1], [%[w]], #8\n\t" \
    ADD_PAIRS8("w0", "x0", "ab", "a")   \
    ADD_PAIRS8("w1", "x1", "ab", "a")   \
    "ldrd %[w0], %[w1], [%[w]], #8\n\t" \
    ADD_PAIRS8("w0", "x0", "cd", "c")   \
    ADD_PAIRS8("w1", "x1", "cd", "c")

EDGERNN_INLINE const int8_t *edgernn_dot8(const int8_t *weights, const edgernn_code8 *operands,
                                          int32_t tiles, int32_t *acc)
{
    const int8_t *end = weights + EDGERNN_TILE_BYTES * tiles;
    int32_t a = 0;
    int32_t ab = 0;
    int32_t c = 0;
    int32_t cd = 0;
    uint32_t x0 = (uint32_t)tiles;
    uint32_t x1;
    uint32_t w0;
    uint32_t w1;
    __asm__ __volatile__("lsls %[x0], %[x0], #31\n\t"
                         "bne 2f\n" /* an odd number of them */
                         "1:\n\t" ADD_TILE8 "2:\n\t" ADD_TILE8
                         "cmp %[w], %[end]\n\t"
                         "bne 1b"
                         : [w] "+&r"(weights), [x] "+&r"(operands), [a] "+&r"(a), [ab] "+&r"(ab),
                           [c] "+&r"(c), [cd] "+&r"(cd), [x0] "+&r"(x0), [x1] "=&r"(x1),
                           [w0] "=&r"(w0), [w1] "=&r"(w1)
                         : [end] "r"(end)
                         : "cc", "memory");
    acc[0] = a;
    acc[1] = (int32_t)((uint32_t)ab - (uint32_t)a) >> 8;
    acc[2] = c;
    acc[3] = (int32_t)((uint32_t)cd - (uint32_t)c) >> 8;
    return weights;
}

/* w by two operands x: low += A, high += B. */
#define ADD_PAIRS16(w, x, high, low)                        \
    "sxtb16 %[u], %[" w "]\n\t"                             \
    "smlad %[" low "], %[u], %[" x "], %[" low "]\n\t"      \
    "sxtb16 %[u], %[" w "], ror #8\n\t"                     \
    "smlad %[" high "], %[u], %[" x "], %[" high "]\n\t"

EDGERNN_INLINE const int8_t *edgernn_dot16(const int8_t *weights, const edgernn_code16 *operands,
                                           int32_t tiles, int32_t *acc)
{
    const int8_t *end = weights + EDGERNN_TILE_BYTES * tiles;
    int32_t a = 0;
    int32_t b = 0;
    int32_t c = 0;
    int32_t d = 0;
    uint32_t x0;
    uint32_t x1;
    uint32_t w0;
    uint32_t w1;
    uint32_t u;
    __asm__ __volatile__("1:\n\t"
                         "ldrd %[x0], %[x1], [%[x]], #8\n\t"
                         "ldrd %[w0], %[w1], [%[w]], #8\n\t"
                         ADD_PAIRS16("w0", "x0", "b", "a")
                         ADD_PAIRS16("w1", "x1", "b", "a")
                         "ldrd %[w0], %[w1], [%[w]], #8\n\t"
                         ADD_PAIRS16("w0", "x0", "d", "c")
                         ADD_PAIRS16("w1", "x1", "d", "c")
                         "cmp %[w], %[end]\n\t"
                         "bne 1b"
                         : [w] "+&r"(weights), [x] "+&r"(operands), [a] "+&r"(a), [b] "+&r"(b),
                           [c] "+&r"(c), [d] "+&r"(d), [x0] "=&r"(x0), [x1] "=&r"(x1),
                           [w0] "=&r"(w0), [w1] "=&r"(w1), [u] "=&r"(u)
                         : [end] "r"(end)
                         : "cc", "memory");
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
    return weights;
}

#endif
