/* Operands of edgernn_affine.h on Armv8.1-M vectors: 8 lanes of 16 bits. */
#ifndef EDGERNN_ISA_MVE_OPERANDS_H
#define EDGERNN_ISA_MVE_OPERANDS_H

#include <arm_mve.h>

#include "../../edgernn_affine.h"

/* R(v, k) for k >= 2 is half_up of v + 1 or, where v < 0, v - 1 (for v = -1 both give 0). What
 * saturates here is rounded up with or without the 1. */
EDGERNN_INLINE int16x8_t before_half_up(int16x8_t v)
{
    return vqaddq_s16(v, vorrq_s16(vshrq_n_s16(v, 15), vdupq_n_s16(1)));
}

EDGERNN_INLINE int16x8_t operand8(int16x8_t v)
{
    return vreinterpretq_s16_s8(
        vqrshrnbq_n_s16(vreinterpretq_s8_s16(v), before_half_up(v), 8)); /* in the lower bytes */
}

EDGERNN_INLINE int16x8_t operand16(int16x8_t v)
{
    return vshlq_n_s16(vrshrq_n_s16(before_half_up(v), 3), 2);
}

/* Full vectors; then what is left, read as if zeros followed, and written with the padding. */
#define EACH_VECTOR(lanes, from, count, to, load, load_some, some, store, store_some, function)    \
    do {                                                                                           \
        for (; count >= (lanes); count -= (lanes)) {                                               \
            store(to, function(load(from)));                                                       \
            from += (lanes);                                                                       \
            to += (lanes);                                                                         \
        }                                                                                          \
        if (count > 0) {                                                                           \
            const mve_pred16_t there = some((uint32_t)count);                                      \
            const mve_pred16_t room = some((uint32_t)EDGERNN_PADDED(count));                       \
            store_some(to, function(load_some(from, there)), room);                                \
        }                                                                                          \
    } while (0)

#define SAME(v) (v)

EDGERNN_API void edgernn_operands8(const int16_t *value, int32_t count, edgernn_code8 *operands)
{
    EACH_VECTOR(8, value, count, operands, vldrhq_s16, vldrhq_z_s16, vctp16q, vstrbq_s16,
                vstrbq_p_s16, operand8);
}

EDGERNN_API void edgernn_operands16(const int16_t *value, int32_t count, edgernn_code16 *operands)
{
    EACH_VECTOR(8, value, count, operands, vldrhq_s16, vldrhq_z_s16, vctp16q, vstrhq_s16,
                vstrhq_p_s16, operand16);
}

EDGERNN_API void edgernn_codes8(const int8_t *codes, int32_t count, edgernn_code8 *operands)
{
    EACH_VECTOR(16, codes, count, operands, vldrbq_s8, vldrbq_z_s8, vctp8q, vstrbq_s8, vstrbq_p_s8,
                SAME);
}

EDGERNN_API void edgernn_codes16(const int16_t *codes, int32_t count, edgernn_code16 *operands)
{
    EACH_VECTOR(8, codes, count, operands, vldrhq_s16, vldrhq_z_s16, vctp16q, vstrhq_s16,
                vstrhq_p_s16, SAME);
}

#endif
