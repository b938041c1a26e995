#include "edgernn_programs.h"

#include "common/fixed.h"

static int32_t shifted(int32_t v, int32_t shift)
{
    if (shift > 1) {
        return edgernn_round(v, shift);
    }
    if (shift == 1) {
        return edgernn_half_up(v, 1);
    }
    /* 15 bits already take every value but 0 to the ends of int16_t. */
    return edgernn_sat16(v * ((int32_t)1 << (shift < -15 ? 15 : -shift)));
}

EDGERNN_API void edgernn_hand_over(const int16_t *of, int32_t count, int32_t shift, int16_t *to)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        to[j] = (int16_t)shifted(of[j], shift);
    }
}
