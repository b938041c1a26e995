#include "edgernn_kernels.h"

#include "common/lanes.h"

#if EDGERNN_HAS_WIDE_LANES
#include "common/lstm_wide.h"
#else

/* Clause 7.3; the activated g becomes the input of tanh in clause 7.4. */
EDGERNN_INLINE void cell_lanes(const int16_t *i, const int16_t *f, int16_t *g, int16_t *c,
                               int32_t e, int32_t left)
{
    const edgernn_lanes kept =
        edgernn_lanes_scaled(edgernn_lanes_load(f, left), edgernn_lanes_load(c, left));
    const edgernn_lanes added = edgernn_lanes_round(
        edgernn_lanes_load(i, left) * edgernn_lanes_load(g, left), 30 - e);
    const edgernn_lanes cell = edgernn_lanes_sat16(kept + added);
    edgernn_lanes_store(c, cell, left);
    edgernn_lanes_store(g, edgernn_lanes_round_any(cell, e - 10), left);
}

/* Clause 7.4, from the activated cell. */
EDGERNN_INLINE void state_lanes(const int16_t *o, const int16_t *cell, int16_t *h, int32_t left)
{
    const edgernn_lanes gate = edgernn_lanes_load(o, left);
    const edgernn_lanes out = edgernn_lanes_load(cell, left);
    edgernn_lanes_store(h, edgernn_lanes_scaled(gate, out), left);
}

/* From the pre-activations z[4 * units] to the new state; e is the cell exponent. */
static void update_cell(edgernn_activation gate, int32_t e, int32_t units, int16_t *z, int16_t *h,
                        int16_t *c)
{
    int16_t *i = z;
    int16_t *f = z + units;
    int16_t *g = z + 2 * units;
    int16_t *o = z + 3 * units;
    edgernn_activate(gate, i, 2 * units);
    edgernn_activate(EDGERNN_TANH, g, units);
    edgernn_activate(gate, o, units);
    EDGERNN_EACH_LANES(units, cell_lanes(i + j, f + j, g + j, c + j, e, left));
    edgernn_activate(EDGERNN_TANH, g, units);
    EDGERNN_EACH_LANES(units, state_lanes(o + j, g + j, h + j, left));
}

#endif

EDGERNN_API void edgernn_lstm8_step(const edgernn_lstm8 *layer, edgernn_code8 *operands, int16_t *z,
                                    int16_t *h, int16_t *c)
{
    edgernn_operands8(h, layer->units, operands + EDGERNN_PADDED(layer->inputs));
    edgernn_affine8(&layer->gates, operands, z);
    update_cell(layer->gate, layer->cell_exponent, layer->units, z, h, c);
}

EDGERNN_API void edgernn_lstm16_step(const edgernn_lstm16 *layer, edgernn_code16 *operands,
                                     int16_t *z, int16_t *h, int16_t *c)
{
    edgernn_operands16(h, layer->units, operands + EDGERNN_PADDED(layer->inputs));
    edgernn_affine16(&layer->gates, operands, z);
    update_cell(layer->gate, layer->cell_exponent, layer->units, z, h, c);
}
