/* Activations: NUMERICS.md section 3, int16_t Q5.10 to int16_t Q0.15. */
#ifndef EDGERNN_TABLES_H
#define EDGERNN_TABLES_H

#include <stdint.h>

#include "edgernn_config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    EDGERNN_LINEAR,
    EDGERNN_RELU,
    EDGERNN_TANH,
    EDGERNN_SIGMOID,
    EDGERNN_HARD_SIGMOID
} edgernn_activation;

/* Replace every element of a vector by its activation (clauses 3.2 to 3.4). */
EDGERNN_API void edgernn_activate(edgernn_activation activation, int16_t *z, int32_t count);

#ifdef __cplusplus
}
#endif

#endif
