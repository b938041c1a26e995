/* Sparse products of edgernn_stored.h: the operands of up to 32 tiles are put side by side, and
 * multiplied as if the tiles were all. */
#ifndef EDGERNN_SPARSE_H
#define EDGERNN_SPARSE_H

#define GATHERED_TILES 32

#define DEFINE_SPARSE_ROWS(bits)                                                               \
    EDGERNN_INLINE void sparse_rows##bits(stored_place *place,                                 \
                                          const edgernn_code##bits *operands, int32_t *acc)    \
    {                                                                                          \
        const uint8_t *index = place->index + 1;                                               \
        const uint8_t *end = index + place->index[0] + 1;                                      \
        while (index != end) {                                                                 \
            edgernn_code##bits side_by_side[GATHERED_TILES * EDGERNN_TILE_COLUMNS]             \
                EDGERNN_ALIGNED;                                                               \
            edgernn_code##bits *to = side_by_side;                                             \
            int32_t tiles = 0;                                                                 \
            do {                                                                               \
                const edgernn_code##bits *from = operands + EDGERNN_TILE_COLUMNS * *index++;   \
                to[0] = from[0];                                                               \
                to[1] = from[1];                                                               \
                to[2] = from[2];                                                               \
                to[3] = from[3];                                                               \
                to += EDGERNN_TILE_COLUMNS;                                                    \
                ++tiles;                                                                       \
            } while (tiles != GATHERED_TILES && index != end);                                 \
            place->weights = dense_rows##bits(place->weights, side_by_side, tiles, acc);       \
        }                                                                                      \
        place->index = end;                                                                    \
    }

DEFINE_SPARSE_ROWS(8)
DEFINE_SPARSE_ROWS(16)

#endif
