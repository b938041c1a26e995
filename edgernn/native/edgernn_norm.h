/* Normalization: NUMERICS.md clause 7.11. A result may take the place of what it is made of. */
#ifndef EDGERNN_NORM_H
#define EDGERNN_NORM_H

#include <stdint.h>

#include "edgernn_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Constants of the normalized elements, at most 256; letters are those of the clause. */
typedef struct {
    int32_t least_bits;     /* p */
    int32_t most_bits;      /* t */
    int32_t square_bits;    /* w */
    int32_t gain;           /* G */
    int32_t shift;          /* 19 - w - a */
    const int32_t *epsilon; /* [t - p + 1] */
} edgernn_norm;

/* out = v with mean 0 and variance 1, in Q4.11. */
EDGERNN_API void edgernn_normalize(const edgernn_norm *by, const int16_t *v, int32_t count,
                                   int16_t *out);

#ifdef __cplusplus
}
#endif

#endif
