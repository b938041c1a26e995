/* Sparse products of common/stored.h on NEON: the operands of every tile come from their place by
 * a load that repeats them. */
#ifndef EDGERNN_ISA_NEON_SPARSE_H
#define EDGERNN_ISA_NEON_SPARSE_H

#ifndef EDGERNN_OWN_SPARSE_SUMS

EDGERNN_INLINE int32x4_t sparse_sums8(const int8_t *weights, const edgernn_code8 *operands,
                                      const uint8_t *index, const uint8_t *end)
{
    const int32x4_t zero = vdupq_n_s32(0);
    sums_of_pairs s = {zero, zero};
    for (; end - index >= 2; index += 2) {
        add_two_tiles8(&s, weights, pair8(operands + EDGERNN_TILE_COLUMNS * index[0]),
                       pair8(operands + EDGERNN_TILE_COLUMNS * index[1]));
        weights += 2 * EDGERNN_TILE_BYTES;
    }
    if (index != end) {
        add_tile8(&s, weights, pair8(operands + EDGERNN_TILE_COLUMNS * *index));
    }
    return add_neighbours(s.low, s.high);
}

EDGERNN_INLINE int32x4_t sparse_sums16(const int8_t *weights, const edgernn_code16 *operands,
                                       const uint8_t *index, const uint8_t *end)
{
    const int32x4_t zero = vdupq_n_s32(0);
    sums_of_rows s = {zero, zero, zero, zero};
    for (; index != end; ++index) {
        add_tile16(&s, weights, vld1_s16(operands + EDGERNN_TILE_COLUMNS * *index));
        weights += EDGERNN_TILE_BYTES;
    }
    return added(s);
}

#endif

/* The sums of a term's next 4 rows. */
#define DEFINE_SPARSE_ROWS(bits)                                                               \
    EDGERNN_INLINE void sparse_rows##bits(stored_place *place,                                 \
                                          const edgernn_code##bits *operands, int32_t *acc)    \
    {                                                                                          \
        const uint8_t *index = place->index + 1;                                               \
        const uint8_t *end = index + place->index[0] + 1;                                      \
        vst1q_s32(acc, sparse_sums##bits(place->weights, operands, index, end));               \
        place->weights += EDGERNN_TILE_BYTES * (end - index);                                  \
        place->index = end;                                                                    \
    }

DEFINE_SPARSE_ROWS(8)
DEFINE_SPARSE_ROWS(16)

#endif
