/* 4-bit tiles of cores without vectors that do not multiply pairs (common/tile4.h). */
#ifndef EDGERNN_ISA_SCALAR_TILE4_H
#define EDGERNN_ISA_SCALAR_TILE4_H

/* Two columns a byte, two rows a word. */
#define EDGERNN_TILE4_8(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)   \
    EDGERNN_BOTH4(a0, a1), EDGERNN_BOTH4(a2, a3), EDGERNN_BOTH4(b0, b1),                  \
        EDGERNN_BOTH4(b2, b3), EDGERNN_BOTH4(c0, c1), EDGERNN_BOTH4(c2, c3),              \
        EDGERNN_BOTH4(d0, d1), EDGERNN_BOTH4(d2, d3)
/* Two rows a byte. */
#define EDGERNN_TILE4_16(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)  \
    EDGERNN_LOWER4(a0, b0), EDGERNN_LOWER4(a1, b1), EDGERNN_LOWER4(a2, b2),               \
        EDGERNN_LOWER4(a3, b3), EDGERNN_LOWER4(c0, d0), EDGERNN_LOWER4(c1, d1),           \
        EDGERNN_LOWER4(c2, d2), EDGERNN_LOWER4(c3, d3)

#endif
