/* Affine maps on NEON. The products come from dot.h, ROWS rows at a time:
 *
 *   sums8(w, operands, tiles, acc), sums16(...): acc[ROWS], the sums of clauses 4.2 and 5.2
 *   (without bias) for the blocks of 4 rows whose weights w names.
 */
#ifndef EDGERNN_ISA_NEON_AFFINE_H
#define EDGERNN_ISA_NEON_AFFINE_H

#include "../../edgernn_affine.h"
#include "../../common/lanes.h"

#include EDGERNN_DOT_HEADER

EDGERNN_INLINE edgernn_lanes rows_load(const int32_t *from, int32_t left)
{
    (void)left; /* 4 at least */
    return (edgernn_lanes)vld1q_s32(from);
}

EDGERNN_INLINE edgernn_lanes rows_load_bytes(const uint8_t *from)
{
    uint32_t word;
    __builtin_memcpy(&word, from, sizeof word);
    return (edgernn_lanes)vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(word))));
}

EDGERNN_INLINE void affine8_of_dense(const edgernn_map8 *map, const edgernn_code8 *operands,
                                     int16_t *z)
{
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    const edgernn_term8 *end = map->terms + map->term_count;
    const int32_t rows = map->rows;
    int32_t row;
    for (row = 0; row < rows; row += ROWS) {
        const int32_t left = rows - row;
        const int32_t count = left < ROWS ? left : ROWS;
        int32_t acc[ROWS];
        edgernn_lanes u[ROWS / EDGERNN_LANES];
        const edgernn_term8 *term;
        int32_t r;
        for (r = 0; r < count; r += EDGERNN_LANES) {
            u[r / EDGERNN_LANES] = rows_load(map->bias + row + r, left - r) + half;
        }
        for (term = map->terms; term != end; ++term) {
            sums8(blocks_from(term->weights, term->tiles, row, left), operands + term->first,
                  term->tiles, acc);
            for (r = 0; r < count; r += EDGERNN_LANES) {
                u[r / EDGERNN_LANES] += rows_load(acc + r, ROWS) *
                                        rows_load(term->multiplier + row + r, left - r);
            }
        }
        for (r = 0; r < count; r += EDGERNN_LANES) {
            const edgernn_lanes nearest = edgernn_lanes_sat16(u[r / EDGERNN_LANES] >> shift);
            edgernn_lanes_store(z + row + r, nearest, left - r);
        }
    }
}

/* Clause 5.2, p from 4 sums without bias; `row` is the first of them. */
EDGERNN_INLINE edgernn_lanes product16(const edgernn_term16 *term, int32_t row, int32_t left,
                                       edgernn_lanes sum)
{
    const edgernn_lanes shift = rows_load_bytes(term->shift + row);
    const edgernn_lanes half = (edgernn_lanes_all(1) << shift) >> 1;
    const edgernn_lanes v = (sum + rows_load(term->bias + row, left) + half) >> shift;
    const edgernn_lanes multiplier = edgernn_lanes_load(term->multiplier + row, EDGERNN_LANES);
    return edgernn_lanes_scaled(edgernn_lanes_sat16(v), multiplier);
}

EDGERNN_INLINE void affine16_of_dense(const edgernn_map16 *map, const edgernn_code16 *operands,
                                      int16_t *z)
{
    const edgernn_term16 *end = map->terms + map->term_count;
    const int32_t rows = map->rows;
    int32_t row;
    for (row = 0; row < rows; row += ROWS) {
        const int32_t left = rows - row;
        const int32_t count = left < ROWS ? left : ROWS;
        int32_t acc[ROWS];
        edgernn_lanes u[ROWS / EDGERNN_LANES];
        const edgernn_term16 *term;
        int32_t r;
        for (r = 0; r < count; r += EDGERNN_LANES) {
            u[r / EDGERNN_LANES] = edgernn_lanes_all(0);
        }
        for (term = map->terms; term != end; ++term) {
            sums16(blocks_from(term->weights, term->tiles, row, left), operands + term->first,
                   term->tiles, acc);
            for (r = 0; r < count; r += EDGERNN_LANES) {
                u[r / EDGERNN_LANES] +=
                    product16(term, row + r, left - r, rows_load(acc + r, ROWS));
            }
        }
        for (r = 0; r < count; r += EDGERNN_LANES) {
            const edgernn_lanes nearest = edgernn_lanes_sat16(u[r / EDGERNN_LANES]);
            edgernn_lanes_store(z + row + r, nearest, left - r);
        }
    }
}

#if EDGERNN_HAS_STORAGES

#define GROUP_TILES 32

EDGERNN_INLINE const int8_t *dense_group8(const int8_t *weights, const edgernn_code8 *operands,
                                          int32_t tiles, int32_t *acc)
{
    int32_t sums[ROWS];
    sums8(blocks_from(weights, tiles, 0, 4), operands, tiles, sums);
    vst1q_s32(acc, vld1q_s32(sums));
    return weights + EDGERNN_TILE_BYTES * tiles;
}

EDGERNN_INLINE const int8_t *dense_group16(const int8_t *weights, const edgernn_code16 *operands,
                                           int32_t tiles, int32_t *acc)
{
    int32_t sums[ROWS];
    sums16(blocks_from(weights, tiles, 0, 4), operands, tiles, sums);
    vst1q_s32(acc, vld1q_s32(sums));
    return weights + EDGERNN_TILE_BYTES * tiles;
}

#endif

#undef ROWS
#endif
