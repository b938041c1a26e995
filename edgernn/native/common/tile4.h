/* Weights of 4 bits in tiles of 4 rows by 4 columns: 8 bytes instead of the 16 of common/tile.h.
 *
 * A weight is in [-7, 7]. Most half bytes hold it with 8 added: such a sum of products is too large
 * by 8 times the sum of the operands, which is the same for all rows. Where a half byte has its
 * sign in the top bit of what the products multiply, it holds the weight itself.
 *
 * EDGERNN_TILE4_8(row 0, row 1, row 2, row 3) is for w8a8 operands, EDGERNN_TILE4_16 for w8a16.
 */
#ifndef EDGERNN_COMMON_TILE4_H
#define EDGERNN_COMMON_TILE4_H

#include "tile.h"

#define EDGERNN_TILE4_BYTES 8

/* A byte of two weights, as int8_t: 8 is added to both; to the lower one alone. */
#define EDGERNN_BOTH4(low, high) ((low) + 8 + 16 * (high) + 128 - 256 * ((high) >= 0))
#define EDGERNN_LOWER4(low, high) ((low) + 8 + 16 * (high))

#ifndef EDGERNN_TILE4_16
/* Vectors: rows a and b in the lower half bytes, c and d in the upper ones. */
#define EDGERNN_TILE4_16(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)  \
    EDGERNN_LOWER4(a0, c0), EDGERNN_LOWER4(a1, c1), EDGERNN_LOWER4(a2, c2),               \
        EDGERNN_LOWER4(a3, c3), EDGERNN_LOWER4(b0, d0), EDGERNN_LOWER4(b1, d1),           \
        EDGERNN_LOWER4(b2, d2), EDGERNN_LOWER4(b3, d3)
#endif
#ifndef EDGERNN_TILE4_8
#define EDGERNN_TILE4_8 EDGERNN_TILE4_16
#endif

#endif
