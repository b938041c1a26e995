/* Products of isa/scalar/affine.h in plain C. */
#ifndef EDGERNN_ISA_SCALAR_DOT_H
#define EDGERNN_ISA_SCALAR_DOT_H

#include <stdint.h>

#include "../../common/tile.h"

/* A compiler that loads many columns ahead runs out of registers. */
#ifdef __GNUC__
#define KEEP_ORDER __asm__ __volatile__("" : : : "memory")
#else
#define KEEP_ORDER (void)0
#endif

#define ADD_COLUMN(j)                   \
    do {                                \
        const int32_t x = operands[j];  \
        a0 += weights[j] * x;           \
        a1 += weights[4 + j] * x;       \
        a2 += weights[8 + j] * x;       \
        a3 += weights[12 + j] * x;      \
        KEEP_ORDER;                     \
    } while (0)

#define DEFINE_DOT(name, operand)                                                               \
    EDGERNN_INLINE const int8_t *name(const int8_t *weights, const operand *operands,           \
                                      int32_t tiles, int32_t *acc)                              \
    {                                                                                           \
        const int8_t *end = weights + EDGERNN_TILE_BYTES * tiles;                               \
        int32_t a0 = 0;                                                                         \
        int32_t a1 = 0;                                                                         \
        int32_t a2 = 0;                                                                         \
        int32_t a3 = 0;                                                                         \
        do {                                                                                    \
            ADD_COLUMN(0);                                                                      \
            ADD_COLUMN(1);                                                                      \
            ADD_COLUMN(2);                                                                      \
            ADD_COLUMN(3);                                                                      \
            weights += EDGERNN_TILE_BYTES;                                                      \
            operands += EDGERNN_TILE_COLUMNS;                                                   \
        } while (weights != end);                                                               \
        acc[0] = a0;                                                                            \
        acc[1] = a1;                                                                            \
        acc[2] = a2;                                                                            \
        acc[3] = a3;                                                                            \
        return weights;                                                                         \
    }

DEFINE_DOT(edgernn_dot16, edgernn_code16)
#ifndef EDGERNN_OWN_DOT8
DEFINE_DOT(edgernn_dot8, edgernn_code8)
#endif

#endif
