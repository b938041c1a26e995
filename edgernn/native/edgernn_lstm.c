#include "edgernn_kernels.h"

#include "edgernn_fixed.h"

/* From the pre-activations z[4 * units] to the new state; e is the cell exponent. */
static void update(edgernn_activation gate, int32_t e, int32_t units, int16_t *z, int16_t *h,
                   int16_t *c)
{
    int16_t *i = z;
    int16_t *f = z + units;
    int16_t *g = z + 2 * units;
    int16_t *o = z + 3 * units;
    int32_t j;
    edgernn_activate(gate, i, units);
    edgernn_activate(gate, f, units);
    edgernn_activate(EDGERNN_TANH, g, units);
    edgernn_activate(gate, o, units);
    for (j = 0; j < units; ++j) {
        const int32_t kept = edgernn_scaled(f[j], c[j]);
        const int32_t added = edgernn_round((int32_t)i[j] * g[j], 30 - e);
        c[j] = edgernn_sat16(kept + added); /* clause 7.3 */
        h[j] = (int16_t)edgernn_scaled(
            o[j], edgernn_tanh((int16_t)edgernn_round(c[j], e - 10))); /* clause 7.4 */
    }
}

void edgernn_lstm8_step(const edgernn_lstm8 *layer, int8_t *operands, int16_t *z, int16_t *h,
                        int16_t *c)
{
    edgernn_operands8(h, layer->units, operands + layer->inputs);
    edgernn_affine8(&layer->gates, operands, z);
    update(layer->gate, layer->cell_exponent, layer->units, z, h, c);
}

void edgernn_lstm16_step(const edgernn_lstm16 *layer, int16_t *operands, int16_t *z, int16_t *h,
                         int16_t *c)
{
    edgernn_operands16(h, layer->units, operands + layer->inputs);
    edgernn_affine16(&layer->gates, operands, z);
    update(layer->gate, layer->cell_exponent, layer->units, z, h, c);
}
