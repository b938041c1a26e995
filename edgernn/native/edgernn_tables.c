#include "edgernn_tables.h"

#include "common/curves.h"

#ifndef EDGERNN_TABLES_HEADER
#define TANH_EACH REPLACE_EACH(hyperbolic_tangent)
#define SIGMOID_EACH REPLACE_EACH(sigmoid)
#endif

#define REPLACE_EACH(function)                                                            \
    EDGERNN_EACH_LANES(                                                                   \
        count, edgernn_lanes_store(z + j, function(edgernn_lanes_load(z + j, left)), left));

EDGERNN_API void edgernn_activate(edgernn_activation activation, int16_t *z, int32_t count)
{
    switch (activation) {
    case EDGERNN_LINEAR:
        break;
    case EDGERNN_RELU:
        REPLACE_EACH(relu)
        break;
    case EDGERNN_TANH:
        TANH_EACH
        break;
    case EDGERNN_SIGMOID:
        SIGMOID_EACH
        break;
    case EDGERNN_HARD_SIGMOID:
        REPLACE_EACH(hard_sigmoid)
        break;
    }
}
