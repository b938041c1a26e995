#include "edgernn_ops.h"

#include "common/lanes.h"

EDGERNN_INLINE void product_lanes(const int16_t *a, const int16_t *b, int32_t shift, int16_t *out,
                                  int32_t left)
{
    const edgernn_lanes p = edgernn_lanes_load(a, left) * edgernn_lanes_load(b, left);
    edgernn_lanes_store(out, edgernn_lanes_sat16(edgernn_lanes_round_any(p, shift)), left);
}

EDGERNN_API void edgernn_product(const int16_t *a, const int16_t *b, int32_t shift, int32_t count,
                                 int16_t *out)
{
    EDGERNN_EACH_LANES(count, product_lanes(a + j, b + j, shift, out + j, left));
}

EDGERNN_INLINE void sum_lanes(const int16_t *a, const int16_t *b, int16_t *out, int32_t left)
{
    const edgernn_lanes sum = edgernn_lanes_load(a, left) + edgernn_lanes_load(b, left);
    edgernn_lanes_store(out, edgernn_lanes_sat16(sum), left);
}

EDGERNN_API void edgernn_sum(const int16_t *a, const int16_t *b, int32_t count, int16_t *out)
{
    EDGERNN_EACH_LANES(count, sum_lanes(a + j, b + j, out + j, left));
}

EDGERNN_INLINE void rescale_lanes(const int16_t *v, int32_t shift, int16_t *out, int32_t left)
{
    edgernn_lanes_store(out, edgernn_lanes_round_any(edgernn_lanes_load(v, left), shift), left);
}

EDGERNN_API void edgernn_rescale(const int16_t *v, int32_t shift, int32_t count, int16_t *out)
{
    EDGERNN_EACH_LANES(count, rescale_lanes(v + j, shift, out + j, left));
}

EDGERNN_INLINE void complement_lanes(const int16_t *v, int16_t *out, int32_t left)
{
    edgernn_lanes_store(out, edgernn_lanes_sat16(32768 - edgernn_lanes_load(v, left)), left);
}

EDGERNN_API void edgernn_complement(const int16_t *v, int32_t count, int16_t *out)
{
    EDGERNN_EACH_LANES(count, complement_lanes(v + j, out + j, left));
}
