/* Products of 4-bit weights (edgernn_tile4.h) for Cortex-M0 and M0+: w4a8 as in
 * edgernn_dot4_portable.h, with the sums in the upper half of the registers; w4a16 is plain C. */
#ifndef EDGERNN_DOT4_THUMB1_H
#define EDGERNN_DOT4_THUMB1_H

#include "edgernn_tile4.h"

/* v, the operand of a column, by the weights of two rows in the lowest bits of both halves of u. */
#define ADD_ROWS4_8(sum)         \
    "ands %[u], %[lowest]\n\t"   \
    "muls %[u], %[v], %[u]\n\t"  \
    "add " sum ", %[u]\n\t"
#define LOAD_OPERAND(bytes)              \
    "ldrh %[v], [%[x], #" bytes "]\n\t"  \
    "sxth %[v], %[v]\n\t"
#define ADD_COLUMN4_8(bytes, shift)                          \
    LOAD_OPERAND(bytes)                                      \
    "lsrs %[u], %[w0], #" shift "\n\t" ADD_ROWS4_8("r8")     \
    "lsrs %[u], %[w1], #" shift "\n\t" ADD_ROWS4_8("r9")

/* sums[2] of the rows a and b, c and d, of the tiles up to `end`. */
EDGERNN_INLINE void dot4_block8(const int8_t *weights, const edgernn_code8 *operands,
                                const int8_t *end, uint32_t *sums)
{
    /* Named ones, because a compiler that does not optimize has no other to arrange them with. */
    register const int8_t *w __asm__("r0") = weights;
    register const edgernn_code8 *x __asm__("r1") = operands;
    register uint32_t lowest __asm__("r2") = 0x000F000Fu;
    register const int8_t *v __asm__("r3") = end;
    register uint32_t w0 __asm__("r4");
    register uint32_t w1 __asm__("r5");
    register uint32_t u __asm__("r6");
    __asm__ __volatile__(".syntax unified\n\t"
                         "mov r10, %[v]\n\t"
                         "movs %[u], #0\n\t"
                         "mov r8, %[u]\n\t"
                         "mov r9, %[u]\n"
                         "1:\n\t"
                         "ldmia %[w]!, {%[w0], %[w1]}\n\t" LOAD_OPERAND("0")
                         "movs %[u], %[w0]\n\t" ADD_ROWS4_8("r8")
                         "movs %[u], %[w1]\n\t" ADD_ROWS4_8("r9")
                         ADD_COLUMN4_8("2", "4") ADD_COLUMN4_8("4", "8") ADD_COLUMN4_8("6", "12")
                         "adds %[x], #8\n\t"
                         "cmp %[w], r10\n\t"
                         "bne 1b\n\t"
                         "mov %[w0], r8\n\t"
                         "mov %[w1], r9"
                         : [w] "+l"(w), [x] "+l"(x), [v] "+l"(v), [w0] "=&l"(w0), [w1] "=&l"(w1),
                           [u] "=&l"(u)
                         : [lowest] "l"(lowest)
                         : "r8", "r9", "r10", "cc", "memory");
    sums[0] = w0;
    sums[1] = w1;
}

#undef ADD_COLUMN4_8
#endif
