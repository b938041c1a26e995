/* What a stream of samples keeps, apart from the samples (NUMERICS.md section 11). */
#ifndef EDGERNN_SOUND_H
#define EDGERNN_SOUND_H

#include <stdint.h>

typedef struct {
    int32_t due;  /* samples until a frame is complete */
    int32_t next; /* where the next sample goes */
    int16_t last; /* the sample before, for clause 11.12 */
} edgernn_sound;

#endif
