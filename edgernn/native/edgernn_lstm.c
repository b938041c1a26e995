#include "edgernn_kernels.h"

#include "edgernn_lanes.h"

/* From the pre-activations z[4 * units] to the new state; e is the cell exponent. */
static void update(edgernn_activation gate, int32_t e, int32_t units, int16_t *z, int16_t *h,
                   int16_t *c)
{
    int16_t *i = z;
    int16_t *f = z + units;
    int16_t *g = z + 2 * units;
    int16_t *o = z + 3 * units;
    int32_t j;
    edgernn_activate(gate, i, 2 * units);
    edgernn_activate(EDGERNN_TANH, g, units);
    edgernn_activate(gate, o, units);
    for (j = 0; j < units; j += EDGERNN_LANES) { /* clause 7.3; g becomes the input of its tanh */
        const int32_t left = units - j;
        const edgernn_lanes kept =
            edgernn_lanes_scaled(edgernn_lanes_load(f + j, left), edgernn_lanes_load(c + j, left));
        const edgernn_lanes added = edgernn_lanes_round(
            edgernn_lanes_load(i + j, left) * edgernn_lanes_load(g + j, left), 30 - e);
        const edgernn_lanes cell = edgernn_lanes_sat16(kept + added);
        edgernn_lanes_store(c + j, cell, left);
        edgernn_lanes_store(g + j, edgernn_lanes_round(cell, e - 10), left);
    }
    edgernn_activate(EDGERNN_TANH, g, units);
    for (j = 0; j < units; j += EDGERNN_LANES) { /* clause 7.4 */
        const edgernn_lanes gated = edgernn_lanes_load(o + j, units - j);
        const edgernn_lanes out = edgernn_lanes_load(g + j, units - j);
        edgernn_lanes_store(h + j, edgernn_lanes_scaled(gated, out), units - j);
    }
}

EDGERNN_API void edgernn_lstm8_step(const edgernn_lstm8 *layer, edgernn_code8 *operands, int16_t *z, int16_t *h,
                        int16_t *c)
{
    edgernn_operands8(h, layer->units, operands + EDGERNN_PADDED(layer->inputs));
    edgernn_affine8(&layer->gates, operands, z);
    update(layer->gate, layer->cell_exponent, layer->units, z, h, c);
}

EDGERNN_API void edgernn_lstm16_step(const edgernn_lstm16 *layer, edgernn_code16 *operands, int16_t *z, int16_t *h,
                         int16_t *c)
{
    edgernn_operands16(h, layer->units, operands + EDGERNN_PADDED(layer->inputs));
    edgernn_affine16(&layer->gates, operands, z);
    update(layer->gate, layer->cell_exponent, layer->units, z, h, c);
}
