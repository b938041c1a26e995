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

#include "../edgernn_config.h"
#include "../edgernn_storage.h"

#define EDGERNN_TILE_ROWS 4
#define EDGERNN_TILE_COLUMNS 4
#define EDGERNN_TILE_BYTES 16

/* Bytes behind the last tile that a product may read and does not use. */
#if EDGERNN_VARIANT == EDGERNN_AVX512 && EDGERNN_HAS_SPARSE
#define EDGERNN_READ_AHEAD 240
#elif EDGERNN_VARIANT == EDGERNN_MVE || EDGERNN_VARIANT == EDGERNN_AVX512
#define EDGERNN_READ_AHEAD 48
#else
#define EDGERNN_READ_AHEAD 0
#endif

/* Two rows, two columns a word; for w8a8 its halves are 256 * b + a: see isa/dsp/dot.h. Weights
 * are at least -127, so b - 1 is a byte too. */
#define EDGERNN_HALF8(a, b) (a), ((b) - ((a) < 0))

#if EDGERNN_VARIANT == EDGERNN_DSP

#define EDGERNN_TILE8(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)         \
    EDGERNN_HALF8(a0, b0), EDGERNN_HALF8(a1, b1), EDGERNN_HALF8(a2, b2), EDGERNN_HALF8(a3, b3), \
        EDGERNN_HALF8(c0, d0), EDGERNN_HALF8(c1, d1), EDGERNN_HALF8(c2, d2), EDGERNN_HALF8(c3, d3)
#define EDGERNN_TILE16(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3) \
    (a0), (b0), (a1), (b1), (a2), (b2), (a3), (b3), (c0), (d0), (c1), (d1), (c2), (d2), (c3), (d3)

#else

#define EDGERNN_TILE16(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3) \
    (a0), (a1), (a2), (a3), (b0), (b1), (b2), (b3), (c0), (c1), (c2), (c3), (d0), (d1), (d2), (d3)

#if EDGERNN_VARIANT == EDGERNN_AVX512
/* VPDPBUSD takes one factor without sign: weights are stored with 128 added. */
#define EDGERNN_BYTE8(w) ((w) + 128 - 256 * ((w) >= 0)) /* the same byte, as int8_t */
#define EDGERNN_TILE8(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)    \
    EDGERNN_BYTE8(a0), EDGERNN_BYTE8(a1), EDGERNN_BYTE8(a2), EDGERNN_BYTE8(a3),          \
        EDGERNN_BYTE8(b0), EDGERNN_BYTE8(b1), EDGERNN_BYTE8(b2), EDGERNN_BYTE8(b3),      \
        EDGERNN_BYTE8(c0), EDGERNN_BYTE8(c1), EDGERNN_BYTE8(c2), EDGERNN_BYTE8(c3),      \
        EDGERNN_BYTE8(d0), EDGERNN_BYTE8(d1), EDGERNN_BYTE8(d2), EDGERNN_BYTE8(d3)
#elif EDGERNN_VARIANT == EDGERNN_THUMB1
/* Four rows of two columns, then of the other two. */
#define EDGERNN_TILE8(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)         \
    EDGERNN_HALF8(a0, b0), EDGERNN_HALF8(a1, b1), EDGERNN_HALF8(c0, d0), EDGERNN_HALF8(c1, d1), \
        EDGERNN_HALF8(a2, b2), EDGERNN_HALF8(a3, b3), EDGERNN_HALF8(c2, d2), EDGERNN_HALF8(c3, d3)
#else
#define EDGERNN_TILE8 EDGERNN_TILE16
#endif

#endif

/* How a w8a8 operand is kept between its making and the products. */
#if EDGERNN_VARIANT == EDGERNN_DSP || EDGERNN_VARIANT == EDGERNN_THUMB1
typedef int16_t edgernn_code8;
#else
typedef int8_t edgernn_code8;
#endif
typedef int16_t edgernn_code16;

#endif
