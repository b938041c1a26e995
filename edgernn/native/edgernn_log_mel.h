/* Log-mel energies of sound (NUMERICS.md section 11) in 16- and 32-bit integers.
 *
 * Frames may overlap: a ring keeps the last samples. Nothing else is carried from frame to frame.
 */
#ifndef EDGERNN_LOG_MEL_H
#define EDGERNN_LOG_MEL_H

#include <stdint.h>

#include "edgernn_config.h"
#include "edgernn_sound.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Constants of one front end; F = 2 half is its transform length. */
typedef struct {
    int32_t frame;            /* N <= F */
    int32_t hop;              /* H */
    int32_t half;             /* n, a power of two from 32 to 512 */
    int32_t bands;            /* B */
    int32_t first_bin;        /* K0 */
    const int16_t *window;    /* [frame]: w */
    const int16_t *twiddles;  /* [n / 2 - 1][2]: c and s of the last stage, from j = 1 on */
    const int16_t *split;     /* [bins][2]: C and S */
    const int16_t *rising;    /* [bins]: rho */
    const int16_t *segments;  /* [bands + 2]: first bin, from K0, of each segment; the end */
    const int32_t *floors;    /* [14][2]: FH and FL */
    const int32_t *exponents; /* [14]: E */
    int32_t emphasis;         /* alpha of clause 11.12; 0: none */
    int32_t coefficients;     /* of MFCC; 0: none */
    const int16_t *cosines;   /* [coefficients][bands]: Delta; 0 without MFCC */
    const int32_t *codes;     /* [bands or coefficients][3]: multiplier, bias, shift (11.10) */
} edgernn_log_mel;

/* The beginning of a stream; the ring is not read before it is filled. */
EDGERNN_API void edgernn_begin_sound(const edgernn_log_mel *of, edgernn_sound *sound);

/* Takes a sample into ring[frame]. 1: a frame is complete, which stays so until the next sample. */
EDGERNN_API int32_t edgernn_push_sample(const edgernn_log_mel *of, edgernn_sound *sound,
                                        int16_t *ring, int16_t sample);

/* Levels of the frame in the ring, or sums of clause 11.11.
 *
 * z:      scratch [2 half].
 * levels: [bands]; of them, the first `coefficients` with MFCC.
 */
EDGERNN_API void edgernn_levels(const edgernn_log_mel *of, const edgernn_sound *sound,
                                const int16_t *ring, int16_t *z, int32_t *levels);

/* Clause 11.10: the codes of all channels. */
EDGERNN_API void edgernn_level_codes8(const edgernn_log_mel *of, const int32_t *levels,
                                      int8_t *q_x);
EDGERNN_API void edgernn_level_codes16(const edgernn_log_mel *of, const int32_t *levels,
                                       int16_t *q_x);

#ifdef __cplusplus
}
#endif

#endif
