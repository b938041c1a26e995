#include "edgernn_curve.h"

#include "common/lanes.h"

EDGERNN_API void edgernn_interpolate(const edgernn_curve *by, const int16_t *v, int32_t count,
                                     int16_t *out)
{
    const int16_t *const entries = by->entries;
    const int32_t bits = by->step_bits;
    const int32_t inside = ((int32_t)1 << bits) - 1;
    const int32_t half = (int32_t)1 << (bits - 1);
    const int32_t low = by->low;
    const int32_t high = by->high;
    int32_t j;
    for (j = 0; j < count; ++j) {
        const int32_t u = v[j] + 32768;
        const int16_t *const from = entries + (u >> bits);
        const int32_t first = from[0];
        int32_t y = first + (((from[1] - first) * (u & inside) + half) >> bits);
        y = y < low ? low : y;
        out[j] = (int16_t)(y < high ? y : high);
    }
}

EDGERNN_INLINE void enlarge_lanes(const int16_t *v, int32_t factor, int16_t *out, int32_t left)
{
    edgernn_lanes_store(out, edgernn_lanes_sat16(edgernn_lanes_load(v, left) * factor), left);
}

EDGERNN_API void edgernn_enlarge(const int16_t *v, int32_t bits, int32_t count, int16_t *out)
{
    const int32_t factor = (int32_t)1 << bits;
    EDGERNN_EACH_LANES(count, enlarge_lanes(v + j, factor, out + j, left));
}

EDGERNN_INLINE void one_less_lanes(const int16_t *v, int32_t one, int16_t *out, int32_t left)
{
    edgernn_lanes_store(out, edgernn_lanes_sat16(one - edgernn_lanes_load(v, left)), left);
}

EDGERNN_API void edgernn_one_less(const int16_t *v, int32_t one, int32_t count, int16_t *out)
{
    EDGERNN_EACH_LANES(count, one_less_lanes(v + j, one, out + j, left));
}
