/* Products of 4-bit weights (common/tile4.h) in pairs: SMLAD of a word that holds, in either half,
 * the four rows of one column.
 *
 * w4a8: a half is 4096 * d + 256 * c + 16 * b + a. Sums of the whole, of a and c, of a and b, and
 * of a alone, modulo 2^32, give each row by differences: 4096 * D tells D as long as |D| < 2^19,
 * and in 512 columns it is at most 512 * 7 * 128. That is seven instructions for eight products.
 *
 * w4a16: sums take all 32 bits; every row is cut out.
 */
#ifndef EDGERNN_ISA_DSP_DOT4_H
#define EDGERNN_ISA_DSP_DOT4_H

#include <stdint.h>

#include "../../common/tile4.h"

#define OWN_EIGHT_TIMES
EDGERNN_INLINE int32_t eight_times16(const edgernn_code16 *x, int32_t tiles)
{
    const edgernn_code16 *end = x + EDGERNN_TILE_COLUMNS * tiles;
    uint32_t sum = 0;
    uint32_t x0;
    uint32_t x1;
    __asm__ __volatile__("1:\n\t"
                         "ldrd %[x0], %[x1], [%[x]], #8\n\t"
                         "smlad %[sum], %[x0], %[one], %[sum]\n\t"
                         "smlad %[sum], %[x1], %[one], %[sum]\n\t"
                         "cmp %[x], %[end]\n\t"
                         "bne 1b"
                         : [x] "+&r"(x), [sum] "+&r"(sum), [x0] "=&r"(x0), [x1] "=&r"(x1)
                         : [end] "r"(end), [one] "r"(0x00010001)
                         : "cc", "memory");
    return (int32_t)(8 * sum);
}

EDGERNN_INLINE int32_t eight_times8(const edgernn_code8 *x, int32_t tiles)
{
    return eight_times16(x, tiles); /* both codes are int16_t */
}

/* w by two operands x. */
#define ADD_PAIRS4_8(w, x)                         \
    "smlad %[abcd], %[" w "], %[" x "], %[abcd]\n\t" \
    "and %[u], %[" w "], #0x0F0F0F0F\n\t"          \
    "smlad %[ac], %[u], %[" x "], %[ac]\n\t"       \
    "uxtb16 %[" w "], %[" w "]\n\t"                \
    "smlad %[ab], %[" w "], %[" x "], %[ab]\n\t"   \
    "and %[" w "], %[" w "], #0x000F000F\n\t"      \
    "smlad %[a], %[" w "], %[" x "], %[a]\n\t"
#define ADD_TILE4_8                     \
    "ldrd %[x0], %[x1], [%[x]], #8\n\t" \
    "ldrd %[w0], %[w1], [%[w]], #8\n\t" \
    ADD_PAIRS4_8("w0", "x0")            \
    ADD_PAIRS4_8("w1", "x1")

EDGERNN_INLINE void edgernn_dot4_8(const int8_t *weights, const edgernn_code8 *operands,
                                   int32_t tiles, int32_t eight, int32_t *acc)
{
    const int8_t *end = weights + EDGERNN_TILE4_BYTES * tiles;
    uint32_t a = 0;
    uint32_t ab = 0;
    uint32_t ac = 0;
    uint32_t abcd = 0;
    uint32_t x0 = (uint32_t)tiles;
    uint32_t x1;
    uint32_t w0;
    uint32_t w1;
    uint32_t u;
    __asm__ __volatile__("lsls %[x0], %[x0], #31\n\t"
                         "bne 2f\n" /* an odd number of them */
                         "1:\n\t" ADD_TILE4_8 "2:\n\t" ADD_TILE4_8
                         "cmp %[w], %[end]\n\t"
                         "bne 1b"
                         : [w] "+&r"(weights), [x] "+&r"(operands), [a] "+&r"(a), [ab] "+&r"(ab),
                           [ac] "+&r"(ac), [abcd] "+&r"(abcd), [x0] "+&r"(x0), [x1] "=&r"(x1),
                           [w0] "=&r"(w0), [w1] "=&r"(w1), [u] "=&r"(u)
                         : [end] "r"(end)
                         : "cc", "memory");
    acc[0] = (int32_t)a - eight;
    acc[1] = ((int32_t)(ab - a) >> 4) - eight;
    acc[2] = ((int32_t)(ac - a) >> 8) - eight;
    acc[3] = (int32_t)(abcd - ab - ac + a) >> 12;
}

/* The next word of weights by two operands x. */
#define ADD_PAIRS4_16(x)                           \
    "ldr %[w0], [%[w]], #4\n\t"                    \
    "and %[u], %[w0], #0x000F000F\n\t"             \
    "smlad %[a], %[u], %[" x "], %[a]\n\t"         \
    "and %[u], %[lowest], %[w0], lsr #4\n\t"       \
    "smlad %[b], %[u], %[" x "], %[b]\n\t"         \
    "and %[u], %[lowest], %[w0], lsr #8\n\t"       \
    "smlad %[c], %[u], %[" x "], %[c]\n\t"         \
    "and %[u], %[lowest], %[w0], lsr #12\n\t"      \
    "smlad %[d], %[u], %[" x "], %[d]\n\t"

EDGERNN_INLINE void edgernn_dot4_16(const int8_t *weights, const edgernn_code16 *operands,
                                    int32_t tiles, int32_t eight, int32_t *acc)
{
    const int8_t *end = weights + EDGERNN_TILE4_BYTES * tiles;
    uint32_t a = 0;
    uint32_t b = 0;
    uint32_t c = 0;
    uint32_t d = 0;
    uint32_t x0;
    uint32_t x1;
    uint32_t w0;
    uint32_t u;
    __asm__ __volatile__("1:\n\t"
                         "ldrd %[x0], %[x1], [%[x]], #8\n\t"
                         ADD_PAIRS4_16("x0") ADD_PAIRS4_16("x1")
                         "cmp %[w], %[end]\n\t"
                         "bne 1b"
                         : [w] "+&r"(weights), [x] "+&r"(operands), [a] "+&r"(a), [b] "+&r"(b),
                           [c] "+&r"(c), [d] "+&r"(d), [x0] "=&r"(x0), [x1] "=&r"(x1),
                           [w0] "=&r"(w0), [u] "=&r"(u)
                         : [end] "r"(end), [lowest] "r"(0x000F000F)
                         : "cc", "memory");
    acc[0] = (int32_t)(a - (uint32_t)eight);
    acc[1] = (int32_t)(b - (uint32_t)eight);
    acc[2] = (int32_t)(c - (uint32_t)eight);
    acc[3] = (int32_t)(d - (uint32_t)eight);
}

#endif
