/* Products of isa/scalar/affine.h for RISC-V with its 32 registers: sixteen rows share an operand.
 * Loading a weight, multiplying and adding are three instructions; all else is a twentieth. */
#ifndef EDGERNN_ISA_RISCV_DOT_H
#define EDGERNN_ISA_RISCV_DOT_H

#include "../scalar/dot.h"

/* Weights of column \j, which the assembler counts, of two and of four rows by x. */
#define ADD_TWO_ROWS(w, first, second, p, q) \
    "lb %[u], " first "+\\j(%[" w "])\n\t"   \
    "lb %[v], " second "+\\j(%[" w "])\n\t"  \
    "mul %[u], %[u], %[x]\n\t"               \
    "mul %[v], %[v], %[x]\n\t"               \
    "add %[" p "], %[" p "], %[u]\n\t"       \
    "add %[" q "], %[" q "], %[v]\n\t"
#define ADD_FOUR_ROWS(w, a, b, c, d) \
    ADD_TWO_ROWS(w, "0", "4", a, b) ADD_TWO_ROWS(w, "8", "12", c, d)
#define ADD_TILE16                              \
    ".irp j, 0, 1, 2, 3\n\t"                    \
    "lb %[x], \\j(%[operands])\n\t"             \
    ADD_FOUR_ROWS("w0", "a0", "a1", "a2", "a3") \
    ADD_FOUR_ROWS("w1", "b0", "b1", "b2", "b3") \
    ADD_FOUR_ROWS("w2", "c0", "c1", "c2", "c3") \
    ADD_FOUR_ROWS("w3", "d0", "d1", "d2", "d3") \
    ".endr\n\t"
#define ADVANCE(pointer, bytes) "addi %[" pointer "], %[" pointer "], " bytes "\n\t"

/* acc[16], of rows of which four have that many bytes; the first byte behind their tiles. */
EDGERNN_INLINE const int8_t *edgernn_dot8_of_16(const int8_t *weights,
                                                const edgernn_code8 *operands, int32_t bytes,
                                                int32_t *acc)
{
    const int8_t *end = weights + bytes;
    const int8_t *w1 = end;
    const int8_t *w2 = w1 + bytes;
    const int8_t *w3 = w2 + bytes;
    int32_t x;
    int32_t u;
    int32_t v;
    __asm__ __volatile__(
        "li %[a0], 0\n\tli %[a1], 0\n\tli %[a2], 0\n\tli %[a3], 0\n\t"
        "li %[b0], 0\n\tli %[b1], 0\n\tli %[b2], 0\n\tli %[b3], 0\n\t"
        "li %[c0], 0\n\tli %[c1], 0\n\tli %[c2], 0\n\tli %[c3], 0\n\t"
        "li %[d0], 0\n\tli %[d1], 0\n\tli %[d2], 0\n\tli %[d3], 0\n"
        "1:\n\t" ADD_TILE16
        ADVANCE("w0", "16") ADVANCE("w1", "16") ADVANCE("w2", "16") ADVANCE("w3", "16")
        ADVANCE("operands", "4")
        "bne %[w0], %[end], 1b"
        : [w0] "+&r"(weights), [w1] "+&r"(w1), [w2] "+&r"(w2), [w3] "+&r"(w3),
          [operands] "+&r"(operands), [x] "=&r"(x), [u] "=&r"(u), [v] "=&r"(v),
          [a0] "=&r"(acc[0]), [a1] "=&r"(acc[1]), [a2] "=&r"(acc[2]), [a3] "=&r"(acc[3]),
          [b0] "=&r"(acc[4]), [b1] "=&r"(acc[5]), [b2] "=&r"(acc[6]), [b3] "=&r"(acc[7]),
          [c0] "=&r"(acc[8]), [c1] "=&r"(acc[9]), [c2] "=&r"(acc[10]), [c3] "=&r"(acc[11]),
          [d0] "=&r"(acc[12]), [d1] "=&r"(acc[13]), [d2] "=&r"(acc[14]), [d3] "=&r"(acc[15])
        : [end] "r"(end)
        : "memory");
    return w3;
}

#endif
