/* Cortex-M0, M0+ and M1. */
#ifndef EDGERNN_ISA_THUMB1_VARIANT_H
#define EDGERNN_ISA_THUMB1_VARIANT_H

#include "../scalar/tile4.h"

#define EDGERNN_CODE8 int16_t

/* Four rows of two columns, then of the other two. */
#define EDGERNN_TILE8(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)         \
    EDGERNN_HALF8(a0, b0), EDGERNN_HALF8(a1, b1), EDGERNN_HALF8(c0, d0), EDGERNN_HALF8(c1, d1), \
        EDGERNN_HALF8(a2, b2), EDGERNN_HALF8(a3, b3), EDGERNN_HALF8(c2, d2), EDGERNN_HALF8(c3, d3)

#define EDGERNN_BY_LAYOUT(one, thumb1, dsp, vectors, avx2, avx512) (thumb1)

/* Sums of pairs (isa/dsp/dot.h) hold 512 columns. */
#define EDGERNN_MOST_TILES 128

#define EDGERNN_LANES_HEADER "../isa/scalar/lanes.h"
#define EDGERNN_AFFINE_HEADER "isa/scalar/affine.h"
#define EDGERNN_DOT_HEADER "../thumb1/dot.h"
#define EDGERNN_SPARSE_HEADER "../isa/thumb1/sparse.h"
#define EDGERNN_DOT4_HEADER "../isa/thumb1/dot4.h"
#define EDGERNN_FINISH_HEADER "../thumb1/finish.h"

/* So that a compiler uses instructions that load and advance, instead of adding later. */
#define EDGERNN_ADVANCE_NOW(pointer) __asm__("" : "+r"(pointer))

/* Constants are dear. */
#define EDGERNN_SAT16(v) ((int16_t)(v) == (v) ? (v) : ((v) >> 31) ^ 32767)

#endif
