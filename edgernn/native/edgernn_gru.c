#include "edgernn_kernels.h"

#include "common/lanes.h"

/* Clause 7.6: the gate r becomes r * h. */
EDGERNN_INLINE void reset_lanes(int16_t *r, const int16_t *h, int32_t left)
{
    const edgernn_lanes gate = edgernn_lanes_load(r, left);
    const edgernn_lanes old = edgernn_lanes_load(h, left);
    edgernn_lanes_store(r, edgernn_lanes_scaled(gate, old), left);
}

static void reset_state(int16_t *r, const int16_t *h, int32_t units)
{
    EDGERNN_EACH_LANES(units, reset_lanes(r + j, h + j, left));
}

#if EDGERNN_HAS_WIDE_LANES
#include "common/gru_wide.h"
#else

/* Clause 7.5, from the gate z and the activated n. */
EDGERNN_INLINE void update_state_lanes(const int16_t *z, const int16_t *n, int16_t *h, int32_t left)
{
    const edgernn_lanes gate = edgernn_lanes_load(z, left);
    const edgernn_lanes weight = edgernn_lanes_sat16(32768 - gate);
    const edgernn_lanes kept = edgernn_lanes_scaled(gate, edgernn_lanes_load(h, left));
    const edgernn_lanes added = edgernn_lanes_scaled(weight, edgernn_lanes_load(n, left));
    edgernn_lanes_store(h, edgernn_lanes_sat16(kept + added), left);
}

/* Clause 7.5: h' = z * h + (1 - z) * n, from the gate z and the pre-activation n. */
static void update_state(const int16_t *z, int16_t *n, int32_t units, int16_t *h)
{
    edgernn_activate(EDGERNN_TANH, n, units);
    EDGERNN_EACH_LANES(units, update_state_lanes(z + j, n + j, h + j, left));
}

/* Clause 7.7: the input's part a of n becomes a + r * d. */
EDGERNN_INLINE void add_reset_lanes(int16_t *a, const int16_t *r, const int16_t *d, int32_t left)
{
    const edgernn_lanes reset =
        edgernn_lanes_scaled(edgernn_lanes_load(r, left), edgernn_lanes_load(d, left));
    const edgernn_lanes sum = edgernn_lanes_load(a, left) + reset;
    edgernn_lanes_store(a, edgernn_lanes_sat16(sum), left);
}

static void add_reset(int16_t *a, const int16_t *r, const int16_t *d, int32_t units)
{
    EDGERNN_EACH_LANES(units, add_reset_lanes(a + j, r + j, d + j, left));
}

/* Clauses 7.5 and 7.7, from the gates z and r and the pre-activations a and d. */
EDGERNN_INLINE void update_after(const int16_t *z, const int16_t *r, int16_t *a, const int16_t *d,
                                 int32_t units, int16_t *h)
{
    add_reset(a, r, d, units);
    update_state(z, a, units, h);
}

#endif

EDGERNN_API void edgernn_gru_before8_step(const edgernn_gru_before8 *layer, edgernn_code8 *operands,
                                          int16_t *z, int16_t *h)
{
    const int32_t units = layer->units;
    int16_t *r = z + units;
    int16_t *n = z + 2 * units;
    edgernn_operands8(h, units, operands + EDGERNN_PADDED(layer->inputs));
    edgernn_affine8(&layer->zr, operands, z);
    edgernn_activate(layer->gate, z, 2 * units);
    reset_state(r, h, units);
    edgernn_operands8(r, units, operands + EDGERNN_PADDED(layer->inputs));
    edgernn_affine8(&layer->n, operands, n);
    update_state(z, n, units, h);
}

EDGERNN_API void edgernn_gru_before16_step(const edgernn_gru_before16 *layer,
                                           edgernn_code16 *operands, int16_t *z, int16_t *h)
{
    const int32_t units = layer->units;
    int16_t *r = z + units;
    int16_t *n = z + 2 * units;
    edgernn_operands16(h, units, operands + EDGERNN_PADDED(layer->inputs));
    edgernn_affine16(&layer->zr, operands, z);
    edgernn_activate(layer->gate, z, 2 * units);
    reset_state(r, h, units);
    edgernn_operands16(r, units, operands + EDGERNN_PADDED(layer->inputs));
    edgernn_affine16(&layer->n, operands, n);
    update_state(z, n, units, h);
}

EDGERNN_API void edgernn_gru_after8_step(const edgernn_gru_after8 *layer, edgernn_code8 *operands,
                                         int16_t *z, int16_t *h)
{
    const int32_t units = layer->units;
    int16_t *r = z + units;
    int16_t *a = z + 2 * units;
    int16_t *d = z + 3 * units;
    edgernn_operands8(h, units, operands + EDGERNN_PADDED(layer->inputs));
    edgernn_affine8(&layer->zr, operands, z);
    edgernn_activate(layer->gate, z, 2 * units);
    edgernn_affine8(&layer->n_x, operands, a);
    edgernn_affine8(&layer->n_h, operands, d);
    update_after(z, r, a, d, units, h);
}

EDGERNN_API void edgernn_gru_after16_step(const edgernn_gru_after16 *layer,
                                          edgernn_code16 *operands, int16_t *z, int16_t *h)
{
    const int32_t units = layer->units;
    int16_t *r = z + units;
    int16_t *a = z + 2 * units;
    int16_t *d = z + 3 * units;
    edgernn_operands16(h, units, operands + EDGERNN_PADDED(layer->inputs));
    edgernn_affine16(&layer->zr, operands, z);
    edgernn_activate(layer->gate, z, 2 * units);
    edgernn_affine16(&layer->n_x, operands, a);
    edgernn_affine16(&layer->n_h, operands, d);
    update_after(z, r, a, d, units, h);
}
