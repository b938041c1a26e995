/* Sparse products of isa/scalar/sparse.h, two products an instruction. */
#ifndef EDGERNN_ISA_DSP_SPARSE_H
#define EDGERNN_ISA_DSP_SPARSE_H

#define EDGERNN_OWN_SPARSE_DOTS

/* The operands of the next tile. */
#define LOAD_OPERANDS                           \
    "ldrb %[x0], [%[i]], #1\n\t"                \
    "add %[x0], %[x], %[x0], lsl #3\n\t"        \
    "ldrd %[x0], %[x1], [%[x0]]\n\t"

#define ADD_SPARSE_TILE8                \
    LOAD_OPERANDS                       \
    "ldrd %[w0], %[w1], [%[w]], #8\n\t" \
    ADD_PAIRS8("w0", "x0", "ab", "a")   \
    ADD_PAIRS8("w1", "x1", "ab", "a")   \
    "ldrd %[w0], %[w1], [%[w]], #8\n\t" \
    ADD_PAIRS8("w0", "x0", "cd", "c")   \
    ADD_PAIRS8("w1", "x1", "cd", "c")

EDGERNN_INLINE const int8_t *sparse_dot8(const int8_t *weights, const edgernn_code8 *operands,
                                         const uint8_t **index, int32_t tiles, int32_t *acc)
{
    int32_t a = 0;
    int32_t ab = 0;
    int32_t c = 0;
    int32_t cd = 0;
    uint32_t x0;
    uint32_t x1;
    uint32_t w0;
    uint32_t w1;
    int32_t left = tiles - 1; /* as the index has it */
    __asm__ __volatile__("lsls %[x0], %[left], #31\n\t"
                         "beq 2f\n" /* an odd number of tiles */
                         "1:\n\t" ADD_SPARSE_TILE8 "2:\n\t" ADD_SPARSE_TILE8
                         "subs %[left], %[left], #2\n\t"
                         "bge 1b"
                         : [w] "+&r"(weights), [i] "+&r"(*index), [a] "+&r"(a), [ab] "+&r"(ab),
                           [c] "+&r"(c), [cd] "+&r"(cd), [x0] "=&r"(x0), [x1] "=&r"(x1),
                           [w0] "=&r"(w0), [w1] "=&r"(w1), [left] "+&r"(left)
                         : [x] "r"(operands)
                         : "cc", "memory");
    acc[0] = a;
    acc[1] = (int32_t)((uint32_t)ab - (uint32_t)a) >> 8;
    acc[2] = c;
    acc[3] = (int32_t)((uint32_t)cd - (uint32_t)c) >> 8;
    return weights;
}

/* As ADD_PAIRS16, without a register of its own: w is lost. */
#define ADD_PAIRS16_OF(w, x, u, high, low)                  \
    "sxtb16 %[" u "], %[" w "]\n\t"                         \
    "smlad %[" low "], %[" u "], %[" x "], %[" low "]\n\t"  \
    "sxtb16 %[" w "], %[" w "], ror #8\n\t"                 \
    "smlad %[" high "], %[" w "], %[" x "], %[" high "]\n\t"

EDGERNN_INLINE const int8_t *sparse_dot16(const int8_t *weights, const edgernn_code16 *operands,
                                          const uint8_t **index, int32_t tiles, int32_t *acc)
{
    const uint8_t *end = *index + tiles;
    int32_t a = 0;
    int32_t b = 0;
    int32_t c = 0;
    int32_t d = 0;
    uint32_t x0;
    uint32_t x1;
    uint32_t w0;
    uint32_t w1;
    uint32_t u;
    __asm__ __volatile__("1:\n\t" LOAD_OPERANDS
                         "ldrd %[w0], %[w1], [%[w]], #8\n\t"
                         ADD_PAIRS16_OF("w0", "x0", "u", "b", "a")
                         ADD_PAIRS16_OF("w1", "x1", "u", "b", "a")
                         "ldrd %[w0], %[w1], [%[w]], #8\n\t"
                         ADD_PAIRS16_OF("w0", "x0", "u", "d", "c")
                         ADD_PAIRS16_OF("w1", "x1", "u", "d", "c")
                         "ldr %[x0], %[end]\n\t"
                         "cmp %[i], %[x0]\n\t"
                         "bne 1b"
                         : [w] "+&r"(weights), [i] "+&r"(*index), [a] "+&r"(a), [b] "+&r"(b),
                           [c] "+&r"(c), [d] "+&r"(d), [x0] "=&r"(x0), [x1] "=&r"(x1),
                           [w0] "=&r"(w0), [w1] "=&r"(w1), [u] "=&r"(u)
                         : [x] "r"(operands), [end] "m"(end)
                         : "cc", "memory");
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
    return weights;
}

#include "../scalar/sparse.h"

#endif
