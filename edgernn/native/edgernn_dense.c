#include "edgernn_kernels.h"

EDGERNN_API void edgernn_dense8_step(const edgernn_dense8 *layer, const edgernn_code8 *operands,
                                     int16_t *y)
{
    edgernn_affine8(&layer->out, operands, y);
    edgernn_activate(layer->activation, y, layer->units);
}

EDGERNN_API void edgernn_dense16_step(const edgernn_dense16 *layer, const edgernn_code16 *operands,
                                      int16_t *y)
{
    edgernn_affine16(&layer->out, operands, y);
    edgernn_activate(layer->activation, y, layer->units);
}
