/* Element-wise arithmetic on vectors of int16_t, as many elements at once as the variant has lanes.
 *
 * edgernn_lanes holds EDGERNN_LANES values of int32_t. Every variant's type takes the operators
 * + - * & ^ ~ and >>, also with an int32_t on one side; what operators cannot say is a function of
 * edgernn_lanes_*.h:
 *
 *   load, store        `left` elements, at most EDGERNN_LANES of them, of int16_t
 *   store_code8        the same to w8a8 operands
 *   all(v)             v in every lane
 *   min(a, b), sat8(v), sat16(v)
 *   rise(table, u, &low)       table[u + 1] - table[u], and low = table[u]
 *
 * A loop over a vector reads
 *
 *   for (j = 0; j < count; j += EDGERNN_LANES) {
 *       const edgernn_lanes v = edgernn_lanes_load(x + j, count - j);
 *
 * and never touches an element at `count` or behind it.
 */
#ifndef EDGERNN_LANES_H
#define EDGERNN_LANES_H

#include <stdint.h>

#include "edgernn_config.h"

#if EDGERNN_VARIANT == EDGERNN_MVE
#include "edgernn_lanes_mve.h"
#elif EDGERNN_VARIANT == EDGERNN_AVX2
#include "edgernn_lanes_avx2.h"
#elif EDGERNN_VARIANT == EDGERNN_AVX512
#include "edgernn_lanes_avx512.h"
#elif EDGERNN_VARIANT == EDGERNN_NEON || EDGERNN_VARIANT == EDGERNN_DOT
#include "edgernn_lanes_neon.h"
#else
#include "edgernn_lanes_one.h"
#endif

/* Clause 1.3, R(p, k) for k >= 0, in every lane; p + 1 is negative where p < -1. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_round(edgernn_lanes p, int32_t k)
{
    if (k == 0) {
        return p;
    }
    if (k == 1) {
        return (p + 1) >> 1;
    }
    return (p + (((int32_t)1 << (k - 1)) + 1) + ((p + 1) >> 31) * 2) >> k;
}

/* R(a * b, 15): the product of an int16_t code and a Q0.15 one, in the format of the first. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_scaled(edgernn_lanes a, edgernn_lanes b)
{
    return edgernn_lanes_round(a * b, 15);
}

#endif
