/* Rows of isa/scalar/affine.h one after the other: few registers, little memory for code. */
#ifndef EDGERNN_ISA_THUMB1_FINISH_H
#define EDGERNN_ISA_THUMB1_FINISH_H

#define FINISH_FOUR(acc)                                                                  \
    do {                                                                                  \
        int32_t r;                                                                        \
        for (r = 0; r < 4; ++r) {                                                         \
            *z++ = (int16_t)edgernn_sat16((acc[r] * *multiplier++ + *bias++ + half) >> shift); \
            __asm__("" : "+r"(bias), "+r"(multiplier), "+r"(z)); /* not recomputed below */ \
        }                                                                                 \
    } while (0)

#endif
