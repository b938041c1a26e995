#include "edgernn_kernels.h"

/* The map reads operands alone, so its result may take the place of the old state. */

void edgernn_simple_rnn8_step(const edgernn_simple_rnn8 *layer, int8_t *operands, int16_t *h)
{
    edgernn_operands8(h, layer->units, operands + layer->inputs);
    edgernn_affine8(&layer->gates, operands, h);
    edgernn_activate(layer->activation, h, layer->units);
}

void edgernn_simple_rnn16_step(const edgernn_simple_rnn16 *layer, int16_t *operands, int16_t *h)
{
    edgernn_operands16(h, layer->units, operands + layer->inputs);
    edgernn_affine16(&layer->gates, operands, h);
    edgernn_activate(layer->activation, h, layer->units);
}
