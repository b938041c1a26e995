/* What a program of several begins with (NUMERICS.md clause 6.10). */
#ifndef EDGERNN_PROGRAMS_H
#define EDGERNN_PROGRAMS_H

#include <stdint.h>

#include "edgernn_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* to = sat16(R(of, shift)), and of a negative shift sat16(of * 2^-shift), -30 <= shift <= 30:
 * values that others left as a state whose format has shift fraction bits less. */
EDGERNN_API void edgernn_hand_over(const int16_t *of, int32_t count, int32_t shift, int16_t *to);

#ifdef __cplusplus
}
#endif

#endif
