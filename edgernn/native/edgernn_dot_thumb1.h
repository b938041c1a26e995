/* Products of edgernn_affine_one.h for Cortex-M0 and M0+, which multiply 32 x 32 -> 32 bits and can
 * do little but add with the upper half of their registers: that is where the sums are.
 *
 * w8a8: words, sums and limit are those of edgernn_dot_dsp.h, three instructions a product; only
 * the order of the words differs (edgernn_tile.h). w8a16 is plain C.
 */
#ifndef EDGERNN_DOT_THUMB1_H
#define EDGERNN_DOT_THUMB1_H

#include "edgernn_dot_portable.h"

/* The next word of weights by operands x0 and x1: sum += 256 * B + A, low += A. */
#define ADD_PAIR8(sum, low)                \
    "ldmia %[w]!, {%[t]}\n\t"              \
    "asrs %[u], %[t], #16\n\t"             \
    "sxtb %[v], %[u]\n\t"                  \
    "muls %[u], %[x1], %[u]\n\t"           \
    "muls %[v], %[x1], %[v]\n\t"           \
    "add %[" sum "], %[u]\n\t"             \
    "add %[" low "], %[v]\n\t"             \
    "sxtb %[v], %[t]\n\t"                  \
    "sxth %[t], %[t]\n\t"                  \
    "muls %[v], %[x0], %[v]\n\t"           \
    "muls %[t], %[x0], %[t]\n\t"           \
    "add %[" low "], %[v]\n\t"             \
    "add %[" sum "], %[t]\n\t"
#define ADD_TWO_COLUMNS8           \
    "ldmia %[x]!, {%[x0]}\n\t"     \
    "asrs %[x1], %[x0], #16\n\t"   \
    "sxth %[x0], %[x0]\n\t"        \
    ADD_PAIR8("ab", "a")           \
    ADD_PAIR8("cd", "c")

EDGERNN_INLINE const int8_t *edgernn_dot8(const int8_t *weights, const edgernn_code8 *operands,
                                          int32_t tiles, int32_t *acc)
{
    const int8_t *end = weights + EDGERNN_TILE_BYTES * tiles;
    int32_t a = 0;
    int32_t ab = 0;
    int32_t c = 0;
    int32_t cd = 0;
    uint32_t x0;
    uint32_t x1;
    uint32_t t;
    uint32_t u;
    uint32_t v;
    __asm__ __volatile__(".syntax unified\n"
                         "1:\n\t" ADD_TWO_COLUMNS8 ADD_TWO_COLUMNS8
                         "cmp %[w], %[end]\n\t"
                         "bne 1b"
                         : [w] "+&l"(weights), [x] "+&l"(operands), [a] "+&h"(a), [ab] "+&h"(ab),
                           [c] "+&h"(c), [cd] "+&h"(cd), [x0] "=&l"(x0), [x1] "=&l"(x1),
                           [t] "=&l"(t), [u] "=&l"(u), [v] "=&l"(v)
                         : [end] "h"(end)
                         : "cc", "memory");
    acc[0] = a;
    acc[1] = (int32_t)((uint32_t)ab - (uint32_t)a) >> 8;
    acc[2] = c;
    acc[3] = (int32_t)((uint32_t)cd - (uint32_t)c) >> 8;
    return weights;
}

#endif
