/* Sparse products of common/stored.h for cores without vectors, from dot.h:
 *
 *   sparse_dot8(weights, operands, index, tiles, acc), sparse_dot16(...): acc[4], the sums of the 4
 *   rows whose tiles begin at `weights` and have their places at `*index`, which moves behind them;
 *   returned is the first byte behind these tiles, of which there are 1 to EDGERNN_MOST_TILES
 */
#ifndef EDGERNN_ISA_SCALAR_SPARSE_H
#define EDGERNN_ISA_SCALAR_SPARSE_H

#ifndef EDGERNN_OWN_SPARSE_DOTS

#define DEFINE_SPARSE_DOT(name, operand)                                                         \
    EDGERNN_INLINE const int8_t *name(const int8_t *weights, const operand *all,                 \
                                      const uint8_t **index, int32_t tiles, int32_t *acc)        \
    {                                                                                            \
        const uint8_t *i = *index;                                                               \
        const uint8_t *end = i + tiles;                                                          \
        int32_t a0 = 0;                                                                          \
        int32_t a1 = 0;                                                                          \
        int32_t a2 = 0;                                                                          \
        int32_t a3 = 0;                                                                          \
        do {                                                                                     \
            const operand *operands = all + EDGERNN_TILE_COLUMNS * *i++;                         \
            ADD_COLUMN(0);                                                                       \
            ADD_COLUMN(1);                                                                       \
            ADD_COLUMN(2);                                                                       \
            ADD_COLUMN(3);                                                                       \
            weights += EDGERNN_TILE_BYTES;                                                       \
        } while (i != end);                                                                      \
        *index = i;                                                                              \
        acc[0] = a0;                                                                             \
        acc[1] = a1;                                                                             \
        acc[2] = a2;                                                                             \
        acc[3] = a3;                                                                             \
        return weights;                                                                          \
    }

DEFINE_SPARSE_DOT(sparse_dot16, edgernn_code16)
#ifndef EDGERNN_OWN_SPARSE_DOT8
DEFINE_SPARSE_DOT(sparse_dot8, edgernn_code8)
#endif

#endif

/* The sums of a term's next 4 rows. */
#define DEFINE_SPARSE_ROWS(bits)                                                              \
    EDGERNN_INLINE void sparse_rows##bits(stored_place *place,                                \
                                          const edgernn_code##bits *operands, int32_t *acc)   \
    {                                                                                         \
        int32_t left = *place->index++ + 1;                                                   \
        while (left > 0) {                                                                    \
            const int32_t tiles = left < EDGERNN_MOST_TILES ? left : EDGERNN_MOST_TILES;                      \
            int32_t part[EDGERNN_TILE_ROWS];                                                  \
            place->weights =                                                                  \
                sparse_dot##bits(place->weights, operands, &place->index, tiles, part);       \
            left -= tiles;                                                                    \
            add_sums(acc, part);                                                              \
        }                                                                                     \
    }

DEFINE_SPARSE_ROWS(8)
DEFINE_SPARSE_ROWS(16)

#endif
