/* Arm cores that multiply pairs: Cortex-M4, M7, M33. */
#ifndef EDGERNN_ISA_DSP_VARIANT_H
#define EDGERNN_ISA_DSP_VARIANT_H

#define EDGERNN_CODE8 int16_t

#define EDGERNN_TILE8(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)         \
    EDGERNN_HALF8(a0, b0), EDGERNN_HALF8(a1, b1), EDGERNN_HALF8(a2, b2), EDGERNN_HALF8(a3, b3), \
        EDGERNN_HALF8(c0, d0), EDGERNN_HALF8(c1, d1), EDGERNN_HALF8(c2, d2), EDGERNN_HALF8(c3, d3)
#define EDGERNN_TILE16(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3) \
    (a0), (b0), (a1), (b1), (a2), (b2), (a3), (b3), (c0), (d0), (c1), (d1), (c2), (d2), (c3), (d3)

/* A column of the four rows is a halfword. */
#define EDGERNN_TILE4_8(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3) \
    EDGERNN_BOTH4(a0, b0), EDGERNN_LOWER4(c0, d0), EDGERNN_BOTH4(a1, b1),               \
        EDGERNN_LOWER4(c1, d1), EDGERNN_BOTH4(a2, b2), EDGERNN_LOWER4(c2, d2),          \
        EDGERNN_BOTH4(a3, b3), EDGERNN_LOWER4(c3, d3)
#define EDGERNN_TILE4_16(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3) \
    EDGERNN_BOTH4(a0, b0), EDGERNN_BOTH4(c0, d0), EDGERNN_BOTH4(a1, b1),                 \
        EDGERNN_BOTH4(c1, d1), EDGERNN_BOTH4(a2, b2), EDGERNN_BOTH4(c2, d2),             \
        EDGERNN_BOTH4(a3, b3), EDGERNN_BOTH4(c3, d3)

#define EDGERNN_BY_LAYOUT(one, thumb1, dsp, vectors, avx2, avx512) (dsp)

/* Sums of pairs (isa/dsp/dot.h) hold 512 columns. */
#define EDGERNN_MOST_TILES 128

#define EDGERNN_LANES_HEADER "../isa/scalar/lanes.h"
#define EDGERNN_AFFINE_HEADER "isa/dsp/affine.h"
#define EDGERNN_DOT_HEADER "../dsp/dot.h"
#define EDGERNN_SPARSE_HEADER "../isa/dsp/sparse.h"
#define EDGERNN_DOT4_HEADER "../isa/dsp/dot4.h"
#define EDGERNN_FINISH_HEADER "../dsp/finish.h"

/* So that a compiler uses instructions that load and advance, instead of adding later. */
#define EDGERNN_ADVANCE_NOW(pointer) __asm__("" : "+r"(pointer))

#endif
