#include "edgernn_kernels.h"

/* The map reads operands alone, so its result may take the place of the old state. */

EDGERNN_API void edgernn_simple_rnn8_step(const edgernn_simple_rnn8 *layer, edgernn_code8 *operands,
                                          int16_t *h)
{
    edgernn_operands8(h, layer->units, operands + EDGERNN_PADDED(layer->inputs));
    edgernn_affine8(&layer->gates, operands, h);
    edgernn_activate(layer->activation, h, layer->units);
}

EDGERNN_API void edgernn_simple_rnn16_step(const edgernn_simple_rnn16 *layer,
                                           edgernn_code16 *operands, int16_t *h)
{
    edgernn_operands16(h, layer->units, operands + EDGERNN_PADDED(layer->inputs));
    edgernn_affine16(&layer->gates, operands, h);
    edgernn_activate(layer->activation, h, layer->units);
}
