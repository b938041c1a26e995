/* Steps of dense layers that take the rows of their maps in either order, for isa/body.h. Where
 * weights are larger than a cache, a step that begins where the one before it ended finds what it
 * reads first there, and only the rest in the next cache.
 *
 * Each is the step of edgernn_kernels.h but for the order; it returns 0, with nothing done, where
 * the layer is not dense.
 */
#ifndef EDGERNN_EXTENSION_ISA_ALTERNATING_STEPS_H
#define EDGERNN_EXTENSION_ISA_ALTERNATING_STEPS_H

#define DEFINE_TURNED_STEPS(bits)                                                              \
    static int turned_lstm##bits(const edgernn_lstm##bits *layer, edgernn_code##bits *operands, \
                                 int16_t *z, int16_t *h, int16_t *c, int32_t backwards)        \
    {                                                                                          \
        if (!IS_DENSE(bits, &layer->gates)) {                                                  \
            return 0;                                                                          \
        }                                                                                      \
        edgernn_operands##bits(h, layer->units, operands + EDGERNN_PADDED(layer->inputs));     \
        all_rows##bits(&layer->gates, operands, backwards, z);                                 \
        update_cell(layer->gate, layer->cell_exponent, layer->units, z, h, c);                 \
        return 1;                                                                              \
    }                                                                                          \
    static int turned_gru_before##bits(const edgernn_gru_before##bits *layer,                  \
                                       edgernn_code##bits *operands, int16_t *z, int16_t *h,   \
                                       int32_t backwards)                                      \
    {                                                                                          \
        const int32_t units = layer->units;                                                    \
        edgernn_code##bits *hidden = operands + EDGERNN_PADDED(layer->inputs);                 \
        int16_t *r = z + units;                                                                \
        int16_t *n = z + 2 * units;                                                            \
        if (!IS_DENSE(bits, &layer->zr) || !IS_DENSE(bits, &layer->n)) {                       \
            return 0;                                                                          \
        }                                                                                      \
        edgernn_operands##bits(h, units, hidden);                                              \
        all_rows##bits(&layer->zr, operands, backwards, z);                                    \
        edgernn_activate(layer->gate, z, 2 * units);                                           \
        reset_state(r, h, units);                                                              \
        edgernn_operands##bits(r, units, hidden);                                              \
        all_rows##bits(&layer->n, operands, backwards, n);                                     \
        update_state(z, n, units, h);                                                          \
        return 1;                                                                              \
    }                                                                                          \
    static int turned_gru_after##bits(const edgernn_gru_after##bits *layer,                    \
                                      edgernn_code##bits *operands, int16_t *z, int16_t *h,    \
                                      int32_t backwards)                                       \
    {                                                                                          \
        const int32_t units = layer->units;                                                    \
        int16_t *r = z + units;                                                                \
        int16_t *a = z + 2 * units;                                                            \
        int16_t *d = z + 3 * units;                                                            \
        if (!IS_DENSE(bits, &layer->zr) || !IS_DENSE(bits, &layer->n_x) ||                     \
            !IS_DENSE(bits, &layer->n_h)) {                                                    \
            return 0;                                                                          \
        }                                                                                      \
        edgernn_operands##bits(h, units, operands + EDGERNN_PADDED(layer->inputs));            \
        if (backwards) {                                                                       \
            all_rows##bits(&layer->n_h, operands, 1, d);                                       \
            all_rows##bits(&layer->n_x, operands, 1, a);                                       \
            all_rows##bits(&layer->zr, operands, 1, z);                                        \
        } else {                                                                               \
            all_rows##bits(&layer->zr, operands, 0, z);                                        \
            all_rows##bits(&layer->n_x, operands, 0, a);                                       \
            all_rows##bits(&layer->n_h, operands, 0, d);                                       \
        }                                                                                      \
        edgernn_activate(layer->gate, z, 2 * units);                                           \
        update_after(z, r, a, d, units, h);                                                    \
        return 1;                                                                              \
    }

DEFINE_TURNED_STEPS(8)
DEFINE_TURNED_STEPS(16)

#endif
