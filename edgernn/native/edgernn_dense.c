#include "edgernn_kernels.h"

void edgernn_dense8_step(const edgernn_dense8 *layer, const int8_t *operands, int16_t *y)
{
    edgernn_affine8(&layer->out, operands, y);
    edgernn_activate(layer->activation, y, layer->units);
}

void edgernn_dense16_step(const edgernn_dense16 *layer, const int16_t *operands, int16_t *y)
{
    edgernn_affine16(&layer->out, operands, y);
    edgernn_activate(layer->activation, y, layer->units);
}
