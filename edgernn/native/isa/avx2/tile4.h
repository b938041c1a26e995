/* 4-bit tiles of AVX2 and AVX-512 (common/tile4.h). */
#ifndef EDGERNN_ISA_AVX2_TILE4_H
#define EDGERNN_ISA_AVX2_TILE4_H

/* Instructions for bytes take one factor without sign. */
#define EDGERNN_TILE4_8(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)   \
    EDGERNN_BOTH4(a0, c0), EDGERNN_BOTH4(a1, c1), EDGERNN_BOTH4(a2, c2),                  \
        EDGERNN_BOTH4(a3, c3), EDGERNN_BOTH4(b0, d0), EDGERNN_BOTH4(b1, d1),              \
        EDGERNN_BOTH4(b2, d2), EDGERNN_BOTH4(b3, d3)

#endif
