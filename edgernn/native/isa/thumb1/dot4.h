/* Products of 4-bit weights (common/tile4.h) for Cortex-M0 and M0+: those of
 * isa/scalar/dot4.h with the sums in the upper half of the registers. */
#ifndef EDGERNN_ISA_THUMB1_DOT4_H
#define EDGERNN_ISA_THUMB1_DOT4_H

#include <stdint.h>

#include "../../common/tile4.h"

#define LOAD_OPERAND4(bytes)             \
    "ldrh %[v], [%[x], #" bytes "]\n\t"  \
    "sxth %[v], %[v]\n\t"

/* sum += v by the weights of two rows in the lowest bits of both halves of u. */
#define ADD_ROWS4_8(sum)         \
    "ands %[u], %[lowest]\n\t"   \
    "muls %[u], %[v], %[u]\n\t"  \
    "add " sum ", %[u]\n\t"
#define ADD_COLUMN4_8(bytes, shift)                       \
    LOAD_OPERAND4(bytes)                                  \
    "lsrs %[u], %[w0], #" shift "\n\t" ADD_ROWS4_8("r8")  \
    "lsrs %[u], %[w1], #" shift "\n\t" ADD_ROWS4_8("r9")

/* The int32_t at `first` and the next one += the lower and the upper half of a sum. */
#define ADD_HALVES4(sum, first, second)        \
    "mov %[v], " sum "\n\t"                    \
    "sxth %[u], %[v]\n\t"                      \
    "subs %[v], %[v], %[u]\n\t"                \
    "asrs %[v], %[v], #16\n\t"                 \
    "ldr %[w1], [%[w0], " first "]\n\t"        \
    "adds %[w1], %[w1], %[u]\n\t"              \
    "str %[w1], [%[w0], " first "]\n\t"        \
    "ldr %[w1], [%[w0], " second "]\n\t"       \
    "adds %[w1], %[w1], %[v]\n\t"              \
    "str %[w1], [%[w0], " second "]\n\t"

EDGERNN_INLINE void edgernn_dot4_8(const int8_t *weights, const edgernn_code8 *operands,
                                   int32_t tiles, int32_t eight, int32_t *acc)
{
    /* Named ones, because a compiler that does not optimize has no other to arrange them with. */
    register const int8_t *w __asm__("r0") = weights;
    register const edgernn_code8 *x __asm__("r1") = operands;
    register uint32_t lowest __asm__("r2") = 0x000F000Fu;
    register const int8_t *v __asm__("r3") = weights + EDGERNN_TILE4_BYTES * ((tiles - 1) & 3);
    register int32_t *w0 __asm__("r4") = acc;
    register const int8_t *w1 __asm__("r5") = weights + EDGERNN_TILE4_BYTES * tiles;
    register int32_t u __asm__("r6");
    acc[0] = acc[1] = acc[2] = acc[3] = -eight;
    __asm__ __volatile__(".syntax unified\n\t"
                         "adds %[v], #8\n\t"
                         "mov r10, %[v]\n\t" /* end of the next block, of all blocks, sums */
                         "mov r11, %[w1]\n\t"
                         "mov r12, %[w0]\n"
                         "1:\n\t"
                         "movs %[u], #0\n\t"
                         "mov r8, %[u]\n\t"
                         "mov r9, %[u]\n"
                         "2:\n\t"
                         "ldmia %[w]!, {%[w0], %[w1]}\n\t" LOAD_OPERAND4("0")
                         "movs %[u], %[w0]\n\t" ADD_ROWS4_8("r8")
                         "movs %[u], %[w1]\n\t" ADD_ROWS4_8("r9")
                         ADD_COLUMN4_8("2", "4") ADD_COLUMN4_8("4", "8") ADD_COLUMN4_8("6", "12")
                         "adds %[x], #8\n\t"
                         "cmp %[w], r10\n\t"
                         "bne 2b\n\t"
                         "mov %[w0], r12\n\t"
                         ADD_HALVES4("r8", "#0", "#4") ADD_HALVES4("r9", "#8", "#12")
                         "movs %[u], #32\n\t"
                         "add r10, %[u]\n\t"
                         "cmp %[w], r11\n\t"
                         "bne 1b"
                         : [w] "+l"(w), [x] "+l"(x), [v] "+l"(v), [w0] "+l"(w0), [w1] "+l"(w1),
                           [u] "=&l"(u)
                         : [lowest] "l"(lowest)
                         : "r8", "r9", "r10", "r11", "r12", "cc", "memory");
}

/* A byte of two rows, which `shifts` put into u, by v: ab += 16 * B + A, a += A. */
#define ADD_ROWS4_16(shifts, ab, a)  \
    shifts                           \
    "movs %[t], #15\n\t"             \
    "ands %[t], %[u]\n\t"            \
    "muls %[u], %[v], %[u]\n\t"      \
    "add " ab ", %[u]\n\t"           \
    "muls %[t], %[v], %[t]\n\t"      \
    "add " a ", %[t]\n\t"
#define FIRST_BYTE4(word) "sxtb %[u], %[" word "]\n\t"
#define LAST_BYTE4(word) "asrs %[u], %[" word "], #24\n\t"
#define BYTE_OF4(word, left)                    \
    "lsls %[u], %[" word "], #" left "\n\t"     \
    "asrs %[u], %[u], #24\n\t"
#define ADD_COLUMN4_16(bytes, byte0, byte1) \
    LOAD_OPERAND4(bytes)                    \
    ADD_ROWS4_16(byte0, "r8", "r9")         \
    ADD_ROWS4_16(byte1, "r10", "r11")

EDGERNN_INLINE void edgernn_dot4_16(const int8_t *weights, const edgernn_code16 *operands,
                                    int32_t tiles, int32_t eight, int32_t *acc)
{
    register const int8_t *w __asm__("r0") = weights;
    register const edgernn_code16 *x __asm__("r1") = operands;
    register const int8_t *w0 __asm__("r2") = weights + EDGERNN_TILE4_BYTES * tiles;
    register int32_t w1 __asm__("r3");
    register int32_t u __asm__("r4");
    register int32_t v __asm__("r5");
    register int32_t t __asm__("r6");
    uint32_t ab;
    uint32_t cd;
    __asm__ __volatile__(".syntax unified\n\t"
                         "mov r12, %[w0]\n\t"
                         "movs %[u], #0\n\t"
                         "mov r8, %[u]\n\t"
                         "mov r9, %[u]\n\t"
                         "mov r10, %[u]\n\t"
                         "mov r11, %[u]\n"
                         "1:\n\t"
                         "ldmia %[w]!, {%[w0], %[w1]}\n\t"
                         ADD_COLUMN4_16("0", FIRST_BYTE4("w0"), FIRST_BYTE4("w1"))
                         ADD_COLUMN4_16("2", BYTE_OF4("w0", "16"), BYTE_OF4("w1", "16"))
                         ADD_COLUMN4_16("4", BYTE_OF4("w0", "8"), BYTE_OF4("w1", "8"))
                         ADD_COLUMN4_16("6", LAST_BYTE4("w0"), LAST_BYTE4("w1"))
                         "adds %[x], #8\n\t"
                         "cmp %[w], r12\n\t"
                         "bne 1b\n\t"
                         "mov %[w1], r8\n\t"
                         "mov %[u], r9\n\t"
                         "mov %[v], r10\n\t"
                         "mov %[t], r11"
                         : [w] "+l"(w), [x] "+l"(x), [w0] "+l"(w0), [w1] "=&l"(w1), [u] "=&l"(u),
                           [v] "=&l"(v), [t] "=&l"(t)
                         :
                         : "r8", "r9", "r10", "r11", "r12", "cc", "memory");
    ab = (uint32_t)w1 - (uint32_t)u;
    cd = (uint32_t)v - (uint32_t)t;
    acc[0] = (int32_t)((uint32_t)u - (uint32_t)eight);
    acc[1] = (int32_t)ab >> 4;
    acc[2] = (int32_t)((uint32_t)t - (uint32_t)eight);
    acc[3] = (int32_t)cd >> 4;
}

#undef ADD_COLUMN4_8
#undef ADD_COLUMN4_16
#endif
