/* The operations of NUMERICS.md section 7 on whole vectors, for layers without a dedicated
 * kernel. A result may replace its input.
 */
#ifndef EDGERNN_OPS_H
#define EDGERNN_OPS_H

#include <stdint.h>

#include "edgernn_affine.h"
#include "edgernn_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out = sat16(R(a * b, shift)), 0 <= shift <= 30. */
EDGERNN_API void edgernn_product(const int16_t *a, const int16_t *b, int32_t shift, int32_t count,
                                 int16_t *out);

/* out = sat16(a + b). */
EDGERNN_API void edgernn_sum(const int16_t *a, const int16_t *b, int32_t count, int16_t *out);

/* out = R(v, shift), 0 <= shift <= 15. */
EDGERNN_API void edgernn_rescale(const int16_t *v, int32_t shift, int32_t count, int16_t *out);

/* out = sat16(32768 - v). */
EDGERNN_API void edgernn_complement(const int16_t *v, int32_t count, int16_t *out);

/* Constants of clause 7.9, one multiplier and one offset for each element. */
typedef struct {
    int32_t shift;             /* 1 to 30 */
    const int16_t *multiplier; /* [count] */
    const int16_t *bias;       /* [count]; 0: no offsets */
} edgernn_scales;

/* Clause 7.9: out = sat16(sat16(R(v * multiplier, shift)) + bias), without the sum where there are
 * no offsets. */
EDGERNN_API void edgernn_scale(const edgernn_scales *by, const int16_t *v, int32_t count,
                               int16_t *out);

/* The larger and the smaller of a and b. */
EDGERNN_API void edgernn_maximum(const int16_t *a, const int16_t *b, int32_t count, int16_t *out);
EDGERNN_API void edgernn_minimum(const int16_t *a, const int16_t *b, int32_t count, int16_t *out);

/* The hypotenuse of clause 7.10: the rounded root of a * a + b * b, at most 32767. */
EDGERNN_API void edgernn_hypotenuse(const int16_t *a, const int16_t *b, int32_t count,
                                    int16_t *out);

/* Clause 6.7: input codes of a w8a8 model as values. */
EDGERNN_API void edgernn_values8(const int8_t *codes, int32_t count, int16_t *out);

/* Clause 6.6: operands of input codes that a layer holds, filled up with zeros. */
EDGERNN_API void edgernn_held8(const int16_t *codes, int32_t count, edgernn_code8 *operands);
EDGERNN_API void edgernn_held16(const int16_t *codes, int32_t count, edgernn_code16 *operands);

/* Clause 8.5: some of the operands of a layer's input, filled up with zeros. */
EDGERNN_API void edgernn_row8(const edgernn_code8 *operands, int32_t count, edgernn_code8 *row);
EDGERNN_API void edgernn_row16(const edgernn_code16 *operands, int32_t count, edgernn_code16 *row);

/* Clause 8.4: a row in front of rows of count elements in all, whose last one goes. */
EDGERNN_API void edgernn_push(const int16_t *row, int32_t width, int32_t count, int16_t *rows);

/* The row that stands for those before the stream, and rows of count elements that begin so. */
typedef struct {
    int32_t width;
    const int16_t *start; /* [width] */
} edgernn_rows;

EDGERNN_API void edgernn_repeat(const edgernn_rows *of, int32_t count, int16_t *rows);

/* Clause 6.9: the codes of a reading, and of those before the stream, in a w8a8 model. */
EDGERNN_API void edgernn_copy8(const int8_t *codes, int32_t count, int8_t *row);
EDGERNN_API void edgernn_repeat8(const edgernn_rows *of, int32_t count, int8_t *rows);

#ifdef __cplusplus
}
#endif

#endif
