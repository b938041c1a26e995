/* Products of 4-bit weights (common/tile4.h) in plain C.
 *
 * w4a8: two rows share a multiplication. A word's upper half holds the weight of one row, its lower
 * half that of the other; times an operand and summed up, the halves stay apart as long as the
 * lower sum fits int16_t, which 16 columns do: 16 * 15 * 128 < 2^15.
 *
 * w4a16: a byte is 16 * b + a. Two sums, of whole bytes and of their lower halves, differ by
 * 16 * B, which gives B as long as |B| < 2^27: in 512 columns it is at most 512 * 7 * 32764.
 */
#ifndef EDGERNN_ISA_SCALAR_DOT4_H
#define EDGERNN_ISA_SCALAR_DOT4_H

#include <stdint.h>

#include "../../common/tile4.h"

#define BLOCK_TILES 4

/* The next 4 bytes of weights, the first one lowest. */
EDGERNN_INLINE uint32_t word_of(const int8_t *weights)
{
#if EDGERNN_GNU_LITTLE && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint32_t word;
    __builtin_memcpy(&word, __builtin_assume_aligned(weights, 4), sizeof word);
    return word;
#else
    return (uint32_t)(uint8_t)weights[0] | (uint32_t)(uint8_t)weights[1] << 8 |
           (uint32_t)(uint8_t)weights[2] << 16 | (uint32_t)(uint8_t)weights[3] << 24;
#endif
}

/* acc[0] += the lower half of a word of two sums, acc[1] += the upper one. */
EDGERNN_INLINE void add_halves(uint32_t sums, int32_t *acc)
{
    const int32_t low = (int16_t)(uint16_t)sums;
    acc[0] += low;
    acc[1] += (int32_t)(sums - (uint32_t)low) >> 16;
}

#define ADD_COLUMN4_8(j)                             \
    do {                                             \
        const uint32_t x = (uint32_t)operands[j];    \
        ab += ((w0 >> (4 * (j))) & 0x000F000Fu) * x; \
        cd += ((w1 >> (4 * (j))) & 0x000F000Fu) * x; \
    } while (0)

/* sums[2] of the rows a and b, c and d, of the tiles up to `end`. */
EDGERNN_INLINE void dot4_block8(const int8_t *weights, const edgernn_code8 *operands,
                                const int8_t *end, uint32_t *sums)
{
    uint32_t ab = 0;
    uint32_t cd = 0;
    do {
        const uint32_t w0 = word_of(weights);
        const uint32_t w1 = word_of(weights + 4);
        ADD_COLUMN4_8(0);
        ADD_COLUMN4_8(1);
        ADD_COLUMN4_8(2);
        ADD_COLUMN4_8(3);
        weights += EDGERNN_TILE4_BYTES;
        operands += EDGERNN_TILE_COLUMNS;
    } while (weights != end);
    sums[0] = ab;
    sums[1] = cd;
}

EDGERNN_INLINE void edgernn_dot4_8(const int8_t *weights, const edgernn_code8 *operands,
                                   int32_t tiles, int32_t eight, int32_t *acc)
{
    const int8_t *end = weights + EDGERNN_TILE4_BYTES * tiles;
    int32_t next = ((tiles - 1) & (BLOCK_TILES - 1)) + 1;
    acc[0] = acc[1] = acc[2] = acc[3] = -eight;
    while (weights != end) {
        const int8_t *block = weights + EDGERNN_TILE4_BYTES * next;
        uint32_t sums[2];
        dot4_block8(weights, operands, block, sums);
        add_halves(sums[0], acc);
        add_halves(sums[1], acc + 2);
        weights = block;
        operands += EDGERNN_TILE_COLUMNS * next;
        next = BLOCK_TILES;
    }
}

#define ADD_COLUMN4_16(j)                            \
    do {                                             \
        const int32_t x = operands[j];               \
        const int32_t w = weights[j];                \
        const int32_t v = weights[4 + (j)];          \
        ab += (uint32_t)(w * x);                     \
        a += (uint32_t)((w & 15) * x);               \
        cd += (uint32_t)(v * x);                     \
        c += (uint32_t)((v & 15) * x);               \
    } while (0)

EDGERNN_INLINE void edgernn_dot4_16(const int8_t *weights, const edgernn_code16 *operands,
                                    int32_t tiles, int32_t eight, int32_t *acc)
{
    const int8_t *end = weights + EDGERNN_TILE4_BYTES * tiles;
    uint32_t a = 0;
    uint32_t ab = 0;
    uint32_t c = 0;
    uint32_t cd = 0;
    do {
        ADD_COLUMN4_16(0);
        ADD_COLUMN4_16(1);
        ADD_COLUMN4_16(2);
        ADD_COLUMN4_16(3);
        weights += EDGERNN_TILE4_BYTES;
        operands += EDGERNN_TILE_COLUMNS;
    } while (weights != end);
    acc[0] = (int32_t)(a - (uint32_t)eight);
    acc[1] = (int32_t)(ab - a) >> 4;
    acc[2] = (int32_t)(c - (uint32_t)eight);
    acc[3] = (int32_t)(cd - c) >> 4;
}

#undef BLOCK_TILES
#endif
