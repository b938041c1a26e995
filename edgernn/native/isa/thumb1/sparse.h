/* The w8a8 product of isa/scalar/sparse.h with the sums of isa/thumb1/dot.h. */
#ifndef EDGERNN_ISA_THUMB1_SPARSE_H
#define EDGERNN_ISA_THUMB1_SPARSE_H

#define EDGERNN_OWN_SPARSE_DOT8

/* Operands of two columns of the tile at this place. */
#define LOAD_TWO_OPERANDS(offset)        \
    "lsls %[t], %[t], #3\n\t"            \
    "add %[t], r12\n\t"                  \
    "ldr %[x0], [%[t], " offset "]\n\t"  \
    "asrs %[x1], %[x0], #16\n\t"         \
    "sxth %[x0], %[x0]\n\t"

EDGERNN_INLINE const int8_t *sparse_dot8(const int8_t *weights, const edgernn_code8 *operands,
                                         const uint8_t **index, int32_t tiles, int32_t *acc)
{
    /* Named ones, as in edgernn_dot8. */
    register const int8_t *w __asm__("r0") = weights;
    register const uint8_t *i __asm__("r1") = *index;
    register const edgernn_code8 *x0 __asm__("r2") = operands;
    register int32_t x1 __asm__("r3");
    register const uint8_t *t __asm__("r4") = i + tiles;
    register int32_t u __asm__("r5");
    register int32_t v __asm__("r6");
    int32_t a;
    int32_t c;
    __asm__ __volatile__(".syntax unified\n\t"
                         "mov r12, %[x0]\n\t"
                         "mov lr, %[t]\n\t"
                         "movs %[v], #0\n\t"
                         "mov r8, %[v]\n\t"
                         "mov r9, %[v]\n\t"
                         "mov r10, %[v]\n\t"
                         "mov r11, %[v]\n"
                         "1:\n\t"
                         "ldrb %[t], [%[i]]\n\t" LOAD_TWO_OPERANDS("#0")
                         ADD_PAIR8("r9", "r8")
                         ADD_PAIR8("r11", "r10")
                         "ldrb %[t], [%[i]]\n\t" LOAD_TWO_OPERANDS("#4")
                         ADD_PAIR8("r9", "r8")
                         ADD_PAIR8("r11", "r10")
                         "adds %[i], #1\n\t"
                         "cmp %[i], lr\n\t"
                         "bne 1b\n\t"
                         "mov %[x0], r8\n\t"
                         "mov %[x1], r9\n\t"
                         "mov %[t], r10\n\t"
                         "mov %[u], r11"
                         : [w] "+l"(w), [i] "+l"(i), [x0] "+l"(x0), [x1] "=&l"(x1),
                           [t] "+l"(t), [u] "=&l"(u), [v] "=&l"(v)
                         :
                         : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    *index = i;
    a = (int32_t)x0;
    c = (int32_t)t;
    acc[0] = a;
    acc[1] = (int32_t)((uint32_t)x1 - (uint32_t)a) >> 8;
    acc[2] = c;
    acc[3] = (int32_t)((uint32_t)u - (uint32_t)c) >> 8;
    return w;
}

#include "../scalar/sparse.h"

#endif
