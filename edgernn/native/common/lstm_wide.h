/* The element-wise part of edgernn_lstm.c behind its gates in one loop: between the pre-activation
 * of g and the new state nothing goes by way of memory.
 */
#ifndef EDGERNN_COMMON_LSTM_WIDE_H
#define EDGERNN_COMMON_LSTM_WIDE_H

#include "curves.h"

/* Clauses 7.3 and 7.4 from the gate i; `units` elements on lies f, then the pre-activation g, then
 * o; e is the cell exponent. */
EDGERNN_INLINE void lstm_lanes(int32_t e, const int16_t *z, int32_t units, int16_t *h, int16_t *c,
                               int32_t left)
{
    const edgernn_lanes i = edgernn_lanes_load(z, left);
    const edgernn_lanes f = edgernn_lanes_load(z + units, left);
    const edgernn_lanes g = hyperbolic_tangent(edgernn_lanes_load(z + 2 * units, left));
    const edgernn_lanes o = edgernn_lanes_load(z + 3 * units, left);
    const edgernn_lanes kept = edgernn_lanes_scaled(f, edgernn_lanes_load(c, left));
    const edgernn_lanes cell = edgernn_lanes_sat16(kept + edgernn_lanes_round(i * g, 30 - e));
    const edgernn_lanes out = hyperbolic_tangent(edgernn_lanes_round_any(cell, e - 10));
    edgernn_lanes_store(c, cell, left);
    edgernn_lanes_store(h, edgernn_lanes_scaled(o, out), left);
}

/* From the pre-activations z[4 * units] to the new state. */
EDGERNN_INLINE void update_cell(edgernn_activation gate, int32_t e, int32_t units, int16_t *z,
                                int16_t *h, int16_t *c)
{
    edgernn_activate(gate, z, 2 * units);
    edgernn_activate(gate, z + 3 * units, units);
    EDGERNN_EACH_LANES(units, lstm_lanes(e, z + j, units, h + j, c + j, left));
}

#endif
