/* Tokens and embeddings (NUMERICS.md clauses 6.8 and 8.3), and the border of a model that reads
 * tokens. */
#ifndef EDGERNN_TOKENS_H
#define EDGERNN_TOKENS_H

#include <stdint.h>

#include "edgernn_border.h"
#include "edgernn_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The table of an embedding. */
typedef struct {
    int32_t rows;
    int32_t columns;
    const int8_t *table; /* [rows * columns] */
} edgernn_embedding;

/* Clause 8.3: out[count * columns]. For what is no token of the table the nearest one is taken:
 * nothing outside of the table is read. */
EDGERNN_API void edgernn_embed(const edgernn_embedding *embedding, const int16_t *tokens,
                               int32_t count, int16_t *out);

/* Codes of the real channels next to tokens as values whose w8a8 operands they are. */
EDGERNN_API void edgernn_code_values8(const int16_t *codes, int32_t count, int16_t *out);

/* edgernn_quantize8 and edgernn_quantize16 of models that read tokens. A channel of tokens has the
 * multiplier 0, and reach is its greatest token: x is the token, and the nearest one is taken for
 * what is none. */
EDGERNN_API void edgernn_quantize_tokens8(const edgernn_input_channel *channels, int32_t count,
                                          const int32_t *x, int16_t *q_x);
EDGERNN_API void edgernn_quantize_tokens16(const edgernn_input_channel *channels, int32_t count,
                                           const int32_t *x, int16_t *q_x);

/* edgernn_count_clipped8 and edgernn_count_clipped16 of such models: what is no token counts too.
 */
EDGERNN_API void edgernn_count_clipped_tokens8(const edgernn_input_channel *channels, int32_t count,
                                               const int32_t *x, uint32_t *counts);
EDGERNN_API void edgernn_count_clipped_tokens16(const edgernn_input_channel *channels,
                                                int32_t count, const int32_t *x, uint32_t *counts);

#ifdef __cplusplus
}
#endif

#endif
