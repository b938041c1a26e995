/* Affine maps and operands: NUMERICS.md clause 2.7, section 4 (w8a8) and section 5 (w8a16).
 *
 * The operands of one layer lie in one buffer, the layer input first and the hidden state after
 * it, each filled up with zeros to a multiple of 4: x starts at 0, h and the reset h at
 * EDGERNN_PADDED(inputs), and xh is the whole buffer. Columns of weights are filled up likewise.
 */
#ifndef EDGERNN_AFFINE_H
#define EDGERNN_AFFINE_H

#include <stdint.h>

#include "common/tile.h"
#include "edgernn_variant.h"
#if EDGERNN_HAS_INT4
#include "common/tile4.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define EDGERNN_PADDED(count) (((count) + 3) & ~3)

/* Whether terms say how their weights are stored. */
#define EDGERNN_HAS_STORAGES (EDGERNN_HAS_SPARSE || EDGERNN_HAS_INT4)

/* The last members of a term, each with a comma behind it. */
#if EDGERNN_HAS_SPARSE
#define EDGERNN_TERM_INDEX(index) index,
#else
#define EDGERNN_TERM_INDEX(index)
#endif
#if EDGERNN_HAS_INT4
#define EDGERNN_TERM_BITS(bits) bits,
#else
#define EDGERNN_TERM_BITS(bits)
#endif
#define EDGERNN_DENSE8 EDGERNN_TERM_INDEX(0) EDGERNN_TERM_BITS(8)
#define EDGERNN_SPARSE8(index) EDGERNN_TERM_INDEX(index) EDGERNN_TERM_BITS(8)
#define EDGERNN_DENSE4 EDGERNN_TERM_INDEX(0) EDGERNN_TERM_BITS(4)

/* One product of a w8a8 map (clause 4.1). */
typedef struct {
    int32_t first;             /* first operand it reads */
    int32_t tiles;             /* tiles of 4 columns */
    const int8_t *weights;     /* [padded rows / 4][tiles] tiles */
    const int32_t *multiplier; /* [padded rows] */
#if EDGERNN_HAS_SPARSE
    const uint8_t *index; /* which tiles are there (common/tile.h); 0: all */
#endif
#if EDGERNN_HAS_INT4
    int32_t bits; /* of a weight: 8 or 4 */
#endif
} edgernn_term8;

/* A w8a8 map: sat16(half_up(sum of acc * multiplier + bias, shift)). */
typedef struct {
    int32_t rows;
    int32_t shift;
    const int32_t *bias; /* [padded rows] */
    int32_t term_count;
    const edgernn_term8 *terms; /* [term_count] */
} edgernn_map8;

/* One product of a w8a16 map (clause 5.1). */
typedef struct {
    int32_t first;
    int32_t tiles;
    const int8_t *weights;     /* [padded rows / 4][tiles] tiles */
    const int32_t *bias;       /* [padded rows] */
    const uint8_t *shift;      /* [padded rows] */
    const int16_t *multiplier; /* [padded rows], Q0.15 */
#if EDGERNN_HAS_SPARSE
    const uint8_t *index; /* which tiles are there (common/tile.h); 0: all */
#endif
#if EDGERNN_HAS_INT4
    int32_t bits; /* of a weight: 8 or 4 */
#endif
} edgernn_term16;

/* A w8a16 map: the saturating sum of its terms. */
typedef struct {
    int32_t rows;
    int32_t term_count; /* 1 or 2 */
    const edgernn_term16 *terms;
} edgernn_map16;

/* Clauses 4.2, 4.3: z[rows] from the layer's operands. */
EDGERNN_API void edgernn_affine8(const edgernn_map8 *map, const edgernn_code8 *operands,
                                 int16_t *z);

/* Clauses 5.2, 5.3: z[rows] from the layer's operands. */
EDGERNN_API void edgernn_affine16(const edgernn_map16 *map, const edgernn_code16 *operands,
                                  int16_t *z);

/* Clause 2.7: operands[EDGERNN_PADDED(count)] of an int16_t vector. */
EDGERNN_API void edgernn_operands8(const int16_t *value, int32_t count, edgernn_code8 *operands);
EDGERNN_API void edgernn_operands16(const int16_t *value, int32_t count, edgernn_code16 *operands);

/* The same of operand codes. */
EDGERNN_API void edgernn_codes8(const int8_t *codes, int32_t count, edgernn_code8 *operands);
EDGERNN_API void edgernn_codes16(const int16_t *codes, int32_t count, edgernn_code16 *operands);

/* So that nothing here needs a C library. */
EDGERNN_API void edgernn_copy16(const int16_t *from, int32_t count, int16_t *to);
EDGERNN_API void edgernn_zero16(int16_t *vector, int32_t count);

#ifdef __cplusplus
}
#endif

#endif
