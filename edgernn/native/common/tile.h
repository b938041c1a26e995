/* Weights in tiles of 4 rows by 4 columns.
 *
 * The tiles of 4 rows lie one behind the other, then those of the next 4 rows. Rows and columns
 * are filled up with zeros. A tile is written row by row, EDGERNN_TILE8(row 0, row 1, row 2,
 * row 3), and becomes 16 bytes in the order that the variant's products read.
 *
 * A sparse matrix leaves tiles of zeros out. Its index has, for every 4 rows, their number of tiles
 * less one and then the place of each among the tiles of 4 columns, rising; no rows are without a
 * tile.
 */
#ifndef EDGERNN_COMMON_TILE_H
#define EDGERNN_COMMON_TILE_H

#include <stdint.h>

#include "../edgernn_variant.h"

#define EDGERNN_TILE_ROWS 4
#define EDGERNN_TILE_COLUMNS 4
#define EDGERNN_TILE_BYTES 16

/* Two rows, two columns a word; for w8a8 its halves are 256 * b + a: see isa/dsp/dot.h. Weights
 * are at least -127, so b - 1 is a byte too. */
#define EDGERNN_HALF8(a, b) (a), ((b) - ((a) < 0))

#ifndef EDGERNN_TILE16
#define EDGERNN_TILE16(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3) \
    (a0), (a1), (a2), (a3), (b0), (b1), (b2), (b3), (c0), (c1), (c2), (c3), (d0), (d1), (d2), (d3)
#endif
#ifndef EDGERNN_TILE8
#define EDGERNN_TILE8 EDGERNN_TILE16
#endif

/* How an operand is kept between its making and the products. */
typedef EDGERNN_CODE8 edgernn_code8;
typedef int16_t edgernn_code16;

#endif
