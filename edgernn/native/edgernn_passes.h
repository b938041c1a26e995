/* What a pass over a chunk reads of earlier ones (NUMERICS.md clause 6.11). */
#ifndef EDGERNN_PASSES_H
#define EDGERNN_PASSES_H

#include <stdint.h>

#include "edgernn_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* codes = O(value), clause 2.7, as input codes. */
EDGERNN_API void edgernn_pass_codes8(const int16_t *value, int32_t count, int8_t *codes);
EDGERNN_API void edgernn_pass_codes16(const int16_t *value, int32_t count, int16_t *codes);

/* The same codes as input of a pass: in int8_t, or in int16_t next to tokens. */
EDGERNN_API void edgernn_pass_read8(const int8_t *codes, int32_t count, int8_t *x);
EDGERNN_API void edgernn_pass_read8_16(const int8_t *codes, int32_t count, int16_t *x);
EDGERNN_API void edgernn_pass_read16(const int16_t *codes, int32_t count, int16_t *x);

#ifdef __cplusplus
}
#endif

#endif
