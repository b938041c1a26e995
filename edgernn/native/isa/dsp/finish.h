/* Two rows of isa/scalar/finish.h at once, whose values two registers take from memory together. */
#ifndef EDGERNN_ISA_DSP_FINISH_H
#define EDGERNN_ISA_DSP_FINISH_H

/* to[2], the next two of some values. */
#define LOAD_TWO(to, from)                    \
    __asm__("ldrd %0, %1, [%2], #8"           \
            : "=&r"((to)[0]), "=&r"((to)[1]), "+&r"(from) : : "memory")

#define FINISH_MOST_OF_ONE                     \
    const int32_t *pairs = sums + (rows & ~1); \
    while (sums != pairs) {                    \
        int32_t b[2];                          \
        int32_t m[2];                          \
        int32_t s[2];                          \
        LOAD_TWO(b, bias);                     \
        LOAD_TWO(m, multiplier);               \
        LOAD_TWO(s, sums);                     \
        STORE_NEXT(s[0] * m[0] + b[0]);        \
        EDGERNN_ADVANCE_NOW(z);                \
        STORE_NEXT(s[1] * m[1] + b[1]);        \
        EDGERNN_ADVANCE_NOW(z);                \
    }

#define FINISH_MOST_OF_TWO                     \
    const int32_t *pairs = sums + (rows & ~1); \
    while (sums != pairs) {                    \
        int32_t u[2];                          \
        int32_t m[2];                          \
        int32_t s[2];                          \
        LOAD_TWO(u, bias);                     \
        LOAD_TWO(m, second);                   \
        u[0] += sums[PART_ROWS] * m[0];        \
        u[1] += sums[PART_ROWS + 1] * m[1];    \
        LOAD_TWO(m, multiplier);               \
        LOAD_TWO(s, sums);                     \
        STORE_NEXT(s[0] * m[0] + u[0]);        \
        EDGERNN_ADVANCE_NOW(z);                \
        STORE_NEXT(s[1] * m[1] + u[1]);        \
        EDGERNN_ADVANCE_NOW(z);                \
    }

#endif
