/* The layers of edgernn in C99: NUMERICS.md sections 6 to 8, bit for bit.
 *
 * No heap, no floating point, no C library, no variable that is not the caller's, no 64-bit
 * arithmetic. Weights are const. A step reads its input from the start of `operands`, writes the
 * operands of the hidden state behind it (both padded: edgernn_affine.h), and leaves the new state
 * in place of the old one. `z` is scratch of the stated length; nothing in it outlives the call.
 */
#ifndef EDGERNN_KERNELS_H
#define EDGERNN_KERNELS_H

#include <stdint.h>

#include "edgernn_affine.h"
#include "edgernn_border.h"
#include "edgernn_tables.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Clause 7.1. operands[padded inputs + padded units], h[units]; `activation` is tanh or relu. */
typedef struct {
    int32_t inputs;
    int32_t units;
    edgernn_activation activation;
    edgernn_map8 gates;
} edgernn_simple_rnn8;

typedef struct {
    int32_t inputs;
    int32_t units;
    edgernn_activation activation;
    edgernn_map16 gates;
} edgernn_simple_rnn16;

EDGERNN_API void edgernn_simple_rnn8_step(const edgernn_simple_rnn8 *layer, edgernn_code8 *operands,
                                          int16_t *h);
EDGERNN_API void edgernn_simple_rnn16_step(const edgernn_simple_rnn16 *layer,
                                           edgernn_code16 *operands, int16_t *h);

/* Clauses 7.2 to 7.4. operands[padded inputs + padded units], z[4 * units], h[units], c[units]. */
typedef struct {
    int32_t inputs;
    int32_t units;
    edgernn_activation gate;
    int32_t cell_exponent;
    edgernn_map8 gates;
} edgernn_lstm8;

typedef struct {
    int32_t inputs;
    int32_t units;
    edgernn_activation gate;
    int32_t cell_exponent;
    edgernn_map16 gates;
} edgernn_lstm16;

EDGERNN_API void edgernn_lstm8_step(const edgernn_lstm8 *layer, edgernn_code8 *operands, int16_t *z,
                                    int16_t *h, int16_t *c);
EDGERNN_API void edgernn_lstm16_step(const edgernn_lstm16 *layer, edgernn_code16 *operands,
                                     int16_t *z, int16_t *h, int16_t *c);

/* Clauses 7.5, 7.6. operands[padded inputs + padded units], z[3 * units], h[units]. */
typedef struct {
    int32_t inputs;
    int32_t units;
    edgernn_activation gate;
    edgernn_map8 zr;
    edgernn_map8 n;
} edgernn_gru_before8;

typedef struct {
    int32_t inputs;
    int32_t units;
    edgernn_activation gate;
    edgernn_map16 zr;
    edgernn_map16 n;
} edgernn_gru_before16;

EDGERNN_API void edgernn_gru_before8_step(const edgernn_gru_before8 *layer, edgernn_code8 *operands,
                                          int16_t *z, int16_t *h);
EDGERNN_API void edgernn_gru_before16_step(const edgernn_gru_before16 *layer,
                                           edgernn_code16 *operands, int16_t *z, int16_t *h);

/* Clauses 7.5, 7.7. operands[padded inputs + padded units], z[4 * units], h[units]. */
typedef struct {
    int32_t inputs;
    int32_t units;
    edgernn_activation gate;
    edgernn_map8 zr;
    edgernn_map8 n_x;
    edgernn_map8 n_h;
} edgernn_gru_after8;

typedef struct {
    int32_t inputs;
    int32_t units;
    edgernn_activation gate;
    edgernn_map16 zr;
    edgernn_map16 n_x;
    edgernn_map16 n_h;
} edgernn_gru_after16;

EDGERNN_API void edgernn_gru_after8_step(const edgernn_gru_after8 *layer, edgernn_code8 *operands,
                                         int16_t *z, int16_t *h);
EDGERNN_API void edgernn_gru_after16_step(const edgernn_gru_after16 *layer,
                                          edgernn_code16 *operands, int16_t *z, int16_t *h);

/* Clause 8.1. operands[padded inputs], y[units]. */
typedef struct {
    int32_t units;
    edgernn_activation activation;
    edgernn_map8 out;
} edgernn_dense8;

typedef struct {
    int32_t units;
    edgernn_activation activation;
    edgernn_map16 out;
} edgernn_dense16;

EDGERNN_API void edgernn_dense8_step(const edgernn_dense8 *layer, const edgernn_code8 *operands,
                                     int16_t *y);
EDGERNN_API void edgernn_dense16_step(const edgernn_dense16 *layer, const edgernn_code16 *operands,
                                      int16_t *y);

#ifdef __cplusplus
}
#endif

#endif
