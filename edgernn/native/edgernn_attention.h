/* Attention over a memory of rows: NUMERICS.md clauses 7.28, 7.30 and 7.31. */
#ifndef EDGERNN_ATTENTION_H
#define EDGERNN_ATTENTION_H

#include <stdint.h>

#include "edgernn_config.h"
#include "edgernn_ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out[t] = sat16(half_up(sum of query[j] * keys[t][j], shift)), of count keys, 1 <= shift <= 30. */
EDGERNN_API void edgernn_dot_scores(const int16_t *query, const int16_t *keys, int32_t width,
                                    int32_t shift, int32_t count, int16_t *out);

/* out[t] = sat16(half_up(sum of weight[j] * tanh(query[j] + keys[t][j]), shift)), of count keys; the
 * weights are the multipliers of the constants. */
EDGERNN_API void edgernn_additive_scores(const edgernn_scales *by, const int16_t *query,
                                         const int16_t *keys, int32_t width, int32_t count,
                                         int16_t *out);

/* The shares of count slots, at most 64, in Q0.15. They may take the place of the scores. */
EDGERNN_API void edgernn_softmax(const int16_t *scores, const int16_t *filled, int32_t count,
                                 int16_t *out);

/* out[h] = half_up(sum of shares[t] * values[t][h], 15), of this many slots and count elements. */
EDGERNN_API void edgernn_context(const int16_t *shares, const int16_t *values, int32_t slots,
                                 int32_t count, int16_t *out);

#ifdef __cplusplus
}
#endif

#endif
