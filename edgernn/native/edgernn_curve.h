/* Functions as tables, NUMERICS.md clause 3.6, and what cells with values of any range add to
 * edgernn_ops.h. A result may take the place of what it is made of.
 */
#ifndef EDGERNN_CURVE_H
#define EDGERNN_CURVE_H

#include <stdint.h>

#include "edgernn_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A function of int16_t codes; letters are those of the clause. */
typedef struct {
    int32_t step_bits;      /* s, 4 to 12 */
    int32_t low;            /* least result */
    int32_t high;           /* largest */
    const int16_t *entries; /* F[2^(16 - s) + 1] */
} edgernn_curve;

/* Clause 3.6: out = the function of v. */
EDGERNN_API void edgernn_interpolate(const edgernn_curve *by, const int16_t *v, int32_t count,
                                     int16_t *out);

/* Clause 1.6, S(v, -bits): out = sat16(v * 2^bits), 1 <= bits <= 15. */
EDGERNN_API void edgernn_enlarge(const int16_t *v, int32_t bits, int32_t count, int16_t *out);

/* Clause 7.25: out = sat16(one - v), 1 <= one <= 32768. */
EDGERNN_API void edgernn_one_less(const int16_t *v, int32_t one, int32_t count, int16_t *out);

#ifdef __cplusplus
}
#endif

#endif
