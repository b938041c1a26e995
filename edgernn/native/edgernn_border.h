/* The border between physical values and codes (NUMERICS.md section 9) in integers alone.
 *
 * A physical value v is the int32_t v * 2^frac_bits, rounded; the generated header states the
 * frac_bits of every channel. Clause 9.1 is written in floating point; these functions differ from
 * it by at most one code, and only for a reading as close to a rounding boundary as the generated
 * header says.
 */
#ifndef EDGERNN_BORDER_H
#define EDGERNN_BORDER_H

#include <stdint.h>

#include "edgernn_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One input channel: code = (x - center) * multiplier / 2^(32 + shift), rounded to the nearest,
 * ties away from zero. */
typedef struct {
    int32_t center;      /* code 0 */
    int32_t reach;       /* beyond center +- reach every value saturates */
    uint32_t multiplier; /* 2^31 .. 2^32 - 1 */
    int32_t shift;       /* >= 1 */
} edgernn_input_channel;

/* One output channel: value = code * multiplier / 2^16, rounded to the nearest, ties away from
 * zero. */
typedef struct {
    uint32_t multiplier; /* 2^30 .. 2^31 */
} edgernn_output_channel;

/* Clause 12.1: the value of a raw channel, in [-32767, 32767]. */
EDGERNN_API int16_t edgernn_channel_value(const edgernn_input_channel *channel, int32_t x);

/* Clause 14.7: the code of a target, which the channel's reach alone limits. */
EDGERNN_API int32_t edgernn_channel_code(const edgernn_input_channel *channel, int32_t x);

/* Clause 14.7: code * multiplier / 2^20 of a corrected output, rounded down in magnitude;
 * |code| < 2^19. */
EDGERNN_API int32_t edgernn_wide_value(uint32_t multiplier, int32_t code);

/* Clause 9.1: w8a8 codes, and w8a16 codes (multiples of 4). */
EDGERNN_API void edgernn_quantize8(const edgernn_input_channel *channels, int32_t count,
                                   const int32_t *x, int8_t *q_x);
EDGERNN_API void edgernn_quantize16(const edgernn_input_channel *channels, int32_t count,
                                    const int32_t *x, int16_t *q_x);

/* Adds 1 to counts[j] where the reading x[j] lies beyond the range of its channel, so that its code
 * saturates. */
EDGERNN_API void edgernn_count_clipped8(const edgernn_input_channel *channels, int32_t count,
                                        const int32_t *x, uint32_t *counts);
EDGERNN_API void edgernn_count_clipped16(const edgernn_input_channel *channels, int32_t count,
                                         const int32_t *x, uint32_t *counts);

/* Clause 9.2. */
EDGERNN_API void edgernn_dequantize(const edgernn_output_channel *channels, int32_t count,
                                    const int16_t *q_y, int32_t *y);

#ifdef __cplusplus
}
#endif

#endif
