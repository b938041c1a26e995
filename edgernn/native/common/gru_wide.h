/* The element-wise part of edgernn_gru.c behind its gates, in one loop for each clause: between the
 * pre-activation of n and the new state nothing goes by way of memory.
 */
#ifndef EDGERNN_COMMON_GRU_WIDE_H
#define EDGERNN_COMMON_GRU_WIDE_H

#include "curves.h"

/* Clause 7.5, from the gate z and the activated n. */
EDGERNN_INLINE void store_state(edgernn_lanes z, edgernn_lanes n, int16_t *h, int32_t left)
{
    const edgernn_lanes kept = edgernn_lanes_scaled(z, edgernn_lanes_load(h, left));
    const edgernn_lanes added = edgernn_lanes_scaled(edgernn_lanes_sat16(32768 - z), n);
    edgernn_lanes_store(h, edgernn_lanes_sat16(kept + added), left);
}

EDGERNN_INLINE void update_lanes(const int16_t *z, const int16_t *n, int16_t *h, int32_t left)
{
    store_state(edgernn_lanes_load(z, left), hyperbolic_tangent(edgernn_lanes_load(n, left)), h,
                left);
}

/* Clause 7.5, from the gate z and the pre-activation n. */
EDGERNN_INLINE void update_state(const int16_t *z, const int16_t *n, int32_t units, int16_t *h)
{
    EDGERNN_EACH_LANES(units, update_lanes(z + j, n + j, h + j, left));
}

EDGERNN_INLINE void after_lanes(const int16_t *z, const int16_t *r, const int16_t *a,
                                const int16_t *d, int16_t *h, int32_t left)
{
    const edgernn_lanes reset =
        edgernn_lanes_scaled(edgernn_lanes_load(r, left), edgernn_lanes_load(d, left));
    const edgernn_lanes n = edgernn_lanes_sat16(edgernn_lanes_load(a, left) + reset);
    store_state(edgernn_lanes_load(z, left), hyperbolic_tangent(n), h, left);
}

/* Clauses 7.5 and 7.7, from the gates z and r and the pre-activations a and d. */
EDGERNN_INLINE void update_after(const int16_t *z, const int16_t *r, const int16_t *a,
                                 const int16_t *d, int32_t units, int16_t *h)
{
    EDGERNN_EACH_LANES(units, after_lanes(z + j, r + j, a + j, d + j, h + j, left));
}

#endif
