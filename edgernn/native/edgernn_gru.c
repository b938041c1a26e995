#include "edgernn_kernels.h"

#include "edgernn_fixed.h"

/* Clause 7.5: h' = z * h + (1 - z) * n, from the gate z and the pre-activation n. */
static void update(const int16_t *z, int16_t *n, int32_t units, int16_t *h)
{
    int32_t j;
    edgernn_activate(EDGERNN_TANH, n, units);
    for (j = 0; j < units; ++j) {
        const int32_t w = edgernn_sat16((int32_t)32768 - z[j]);
        h[j] = edgernn_sat16(edgernn_scaled(z[j], h[j]) + edgernn_scaled(w, n[j]));
    }
}

/* Clause 7.6: the gate r becomes r * h. */
static void reset_state(int16_t *r, const int16_t *h, int32_t units)
{
    int32_t j;
    for (j = 0; j < units; ++j) {
        r[j] = (int16_t)edgernn_scaled(r[j], h[j]);
    }
}

/* Clause 7.7: the input's part a of n becomes a + r * d. */
static void add_reset(int16_t *a, const int16_t *r, const int16_t *d, int32_t units)
{
    int32_t j;
    for (j = 0; j < units; ++j) {
        a[j] = edgernn_sat16(a[j] + edgernn_scaled(r[j], d[j]));
    }
}

void edgernn_gru_before8_step(const edgernn_gru_before8 *layer, int8_t *operands, int16_t *z,
                              int16_t *h)
{
    const int32_t units = layer->units;
    int16_t *r = z + units;
    int16_t *n = z + 2 * units;
    edgernn_operands8(h, units, operands + layer->inputs);
    edgernn_affine8(&layer->zr, operands, z);
    edgernn_activate(layer->gate, z, 2 * units);
    reset_state(r, h, units);
    edgernn_operands8(r, units, operands + layer->inputs);
    edgernn_affine8(&layer->n, operands, n);
    update(z, n, units, h);
}

void edgernn_gru_before16_step(const edgernn_gru_before16 *layer, int16_t *operands, int16_t *z,
                               int16_t *h)
{
    const int32_t units = layer->units;
    int16_t *r = z + units;
    int16_t *n = z + 2 * units;
    edgernn_operands16(h, units, operands + layer->inputs);
    edgernn_affine16(&layer->zr, operands, z);
    edgernn_activate(layer->gate, z, 2 * units);
    reset_state(r, h, units);
    edgernn_operands16(r, units, operands + layer->inputs);
    edgernn_affine16(&layer->n, operands, n);
    update(z, n, units, h);
}

void edgernn_gru_after8_step(const edgernn_gru_after8 *layer, int8_t *operands, int16_t *z,
                             int16_t *h)
{
    const int32_t units = layer->units;
    int16_t *r = z + units;
    int16_t *a = z + 2 * units;
    int16_t *d = z + 3 * units;
    edgernn_operands8(h, units, operands + layer->inputs);
    edgernn_affine8(&layer->zr, operands, z);
    edgernn_activate(layer->gate, z, 2 * units);
    edgernn_affine8(&layer->n_x, operands, a);
    edgernn_affine8(&layer->n_h, operands, d);
    add_reset(a, r, d, units);
    update(z, a, units, h);
}

void edgernn_gru_after16_step(const edgernn_gru_after16 *layer, int16_t *operands, int16_t *z,
                              int16_t *h)
{
    const int32_t units = layer->units;
    int16_t *r = z + units;
    int16_t *a = z + 2 * units;
    int16_t *d = z + 3 * units;
    edgernn_operands16(h, units, operands + layer->inputs);
    edgernn_affine16(&layer->zr, operands, z);
    edgernn_activate(layer->gate, z, 2 * units);
    edgernn_affine16(&layer->n_x, operands, a);
    edgernn_affine16(&layer->n_h, operands, d);
    add_reset(a, r, d, units);
    update(z, a, units, h);
}
