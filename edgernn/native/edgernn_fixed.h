/* Rounding and saturation: NUMERICS.md section 1. Callers keep every value within int32_t; the
 * bounds of clauses 4.4 and 5.5 and the widths of int16_t products guarantee it.
 */
#ifndef EDGERNN_FIXED_H
#define EDGERNN_FIXED_H

#include <stdint.h>

#include "edgernn_config.h"

/* NUMERICS.md's a >> k is floor division. C leaves it to the compiler; this one must do it. */
typedef char edgernn_static_assert_arithmetic_shift[((-1 >> 1) == -1) ? 1 : -1];

/* Clause 1.1: the nearest value in [-128, 127]. */
static inline int8_t edgernn_sat8(int32_t v)
{
#if EDGERNN_VARIANT == EDGERNN_DSP
    int32_t nearest;
    __asm__("ssat %0, #8, %1" : "=r"(nearest) : "r"(v));
    return (int8_t)nearest;
#else
    return (int8_t)(v < -128 ? -128 : v > 127 ? 127 : v);
#endif
}

/* Clause 1.1: the nearest value in [-32768, 32767]. */
static inline int16_t edgernn_sat16(int32_t v)
{
#if EDGERNN_VARIANT == EDGERNN_DSP
    int32_t nearest;
    __asm__("ssat %0, #16, %1" : "=r"(nearest) : "r"(v));
    return (int16_t)nearest;
#else
    return (int16_t)(v < -32768 ? -32768 : v > 32767 ? 32767 : v);
#endif
}

/* Clause 1.2, half_up(p, k) for k >= 1: p / 2^k, ties towards plus infinity. */
static inline int32_t edgernn_half_up(int32_t p, int32_t k)
{
    return (p + ((int32_t)1 << (k - 1))) >> k;
}

/* Clause 1.3, R(p, k) for k >= 0. */
static inline int32_t edgernn_round(int32_t p, int32_t k)
{
    if (k == 0) {
        return p;
    }
    if (k == 1) {
        return (p + 1) >> 1;
    }
    return (p + ((int32_t)1 << (k - 1)) + (p < -1 ? -1 : 1)) >> k;
}

/* R(a * b, 15): the product of an int16_t code and a Q0.15 one, in the format of the first. */
static inline int32_t edgernn_scaled(int32_t a, int32_t b)
{
    return edgernn_round(a * b, 15);
}

#endif
