/* Rounding and saturation: NUMERICS.md section 1. Callers keep every value within int32_t; the
 * bounds of clauses 4.4 and 5.5 and the widths of int16_t products guarantee it.
 */
#ifndef EDGERNN_COMMON_FIXED_H
#define EDGERNN_COMMON_FIXED_H

#include <stdint.h>

#include "../edgernn_variant.h"

/* NUMERICS.md's a >> k is floor division. C leaves it to the compiler; this one must do it. */
typedef char edgernn_static_assert_arithmetic_shift[((-1 >> 1) == -1) ? 1 : -1];

/* SSAT, of all Arm cores but the smallest; clang promises it to Thumb-1 code, which has none. */
#if EDGERNN_GNU_LITTLE && defined(__ARM_FEATURE_SAT) && !EDGERNN_ONLY_THUMB1
#define EDGERNN_HAS_SSAT 1
#else
#define EDGERNN_HAS_SSAT 0
#endif

/* Clause 1.1: the nearest value in [-128, 127]. */
EDGERNN_INLINE int32_t edgernn_sat8(int32_t v)
{
#if EDGERNN_HAS_SSAT
    int32_t nearest;
    __asm__("ssat %0, #8, %1" : "=r"(nearest) : "r"(v));
    return nearest;
#else
    return v < -128 ? -128 : v > 127 ? 127 : v;
#endif
}

/* Clause 1.1: the nearest value in [-32768, 32767]. */
EDGERNN_INLINE int32_t edgernn_sat16(int32_t v)
{
#if EDGERNN_HAS_SSAT
    int32_t nearest;
    __asm__("ssat %0, #16, %1" : "=r"(nearest) : "r"(v));
    return nearest;
#else
    return EDGERNN_SAT16(v);
#endif
}

/* Clause 1.2, half_up(p, k) for k >= 1: p / 2^k, ties towards plus infinity. */
EDGERNN_INLINE int32_t edgernn_half_up(int32_t p, int32_t k)
{
    return (p + ((int32_t)1 << (k - 1))) >> k;
}

/* Clause 1.3, R(p, k) for k >= 2. Where p is between -1 and -2^(k-1), its sign does not matter. */
EDGERNN_INLINE int32_t edgernn_round(int32_t p, int32_t k)
{
#if EDGERNN_HAS_SSAT /* and with it shifted operands, which compilers do not find here */
    const int32_t sum = p + (((int32_t)1 << (k - 1)) - 1);
    int32_t carry;
    __asm__("bic %0, %1, %2, asr #31" : "=r"(carry) : "r"(2), "r"(sum));
    return (sum + carry) >> k;
#else
    return (p + (((int32_t)1 << (k - 1)) + 1) + (p >> 31) * 2) >> k;
#endif
}

#endif
