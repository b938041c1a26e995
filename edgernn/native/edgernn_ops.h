/* The operations of NUMERICS.md section 7 on whole vectors, for layers that have no kernel of their
 * own. A result may take the place of what it is made of.
 */
#ifndef EDGERNN_OPS_H
#define EDGERNN_OPS_H

#include <stdint.h>

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

#ifdef __cplusplus
}
#endif

#endif
