/* Products of isa/scalar/affine.h for Cortex-M0 and M0+, which multiply 32 x 32 -> 32 bits and can
 * do little but add with the upper half of their registers: that is where the sums are.
 *
 * w8a8: words, sums and limit are those of isa/dsp/dot.h, three instructions a product; only
 * the order of the words differs (common/tile.h). w8a16 is plain C.
 */
#ifndef EDGERNN_ISA_THUMB1_DOT_H
#define EDGERNN_ISA_THUMB1_DOT_H

#define EDGERNN_OWN_DOT8
#include "../scalar/dot.h"

/* The next word of weights by operands x0 and x1: sum += 256 * B + A, low += A. */
#define ADD_PAIR8(sum, low)      \
    "ldmia %[w]!, {%[t]}\n\t"    \
    "asrs %[u], %[t], #16\n\t"   \
    "sxtb %[v], %[u]\n\t"        \
    "muls %[u], %[x1], %[u]\n\t" \
    "muls %[v], %[x1], %[v]\n\t" \
    "add " sum ", %[u]\n\t"      \
    "add " low ", %[v]\n\t"      \
    "sxtb %[v], %[t]\n\t"        \
    "sxth %[t], %[t]\n\t"        \
    "muls %[v], %[x0], %[v]\n\t" \
    "muls %[t], %[x0], %[t]\n\t" \
    "add " low ", %[v]\n\t"      \
    "add " sum ", %[t]\n\t"
#define ADD_TWO_COLUMNS8         \
    "ldmia %[x]!, {%[x0]}\n\t"   \
    "asrs %[x1], %[x0], #16\n\t" \
    "sxth %[x0], %[x0]\n\t"      \
    ADD_PAIR8("r9", "r8")        \
    ADD_PAIR8("r11", "r10")

EDGERNN_INLINE const int8_t *edgernn_dot8(const int8_t *weights, const edgernn_code8 *operands,
                                          int32_t tiles, int32_t *acc)
{
    const int8_t *end = weights + EDGERNN_TILE_BYTES * tiles;
    /* Named ones, because a compiler that does not optimize has no other to arrange them with. */
    register const int8_t *w __asm__("r0") = weights;
    register const edgernn_code8 *x __asm__("r1") = operands;
    register const int8_t *x0 __asm__("r2") = end;
    register int32_t x1 __asm__("r3");
    register int32_t t __asm__("r4");
    register int32_t u __asm__("r5");
    register int32_t v __asm__("r6");
    int32_t a;
    int32_t c;
    __asm__ __volatile__(".syntax unified\n\t"
                         "mov r12, %[x0]\n\t"
                         "movs %[v], #0\n\t"
                         "mov r8, %[v]\n\t"
                         "mov r9, %[v]\n\t"
                         "mov r10, %[v]\n\t"
                         "mov r11, %[v]\n"
                         "1:\n\t" ADD_TWO_COLUMNS8 ADD_TWO_COLUMNS8
                         "cmp %[w], r12\n\t"
                         "bne 1b\n\t"
                         "mov %[x0], r8\n\t"
                         "mov %[x1], r9\n\t"
                         "mov %[t], r10\n\t"
                         "mov %[u], r11"
                         : [w] "+l"(w), [x] "+l"(x), [x0] "+l"(x0), [x1] "=&l"(x1),
                           [t] "=&l"(t), [u] "=&l"(u), [v] "=&l"(v)
                         :
                         : "r8", "r9", "r10", "r11", "r12", "cc", "memory");
    a = (int32_t)x0;
    c = t;
    acc[0] = a;
    acc[1] = (int32_t)((uint32_t)x1 - (uint32_t)a) >> 8;
    acc[2] = c;
    acc[3] = (int32_t)((uint32_t)u - (uint32_t)c) >> 8;
    return w;
}

#endif
