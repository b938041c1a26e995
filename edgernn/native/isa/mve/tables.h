/* Sigmoid and tanh of edgernn_tables.c on Armv8.1-M vectors: 8 lanes of 16 bits.
 *
 * With 3 * |z| = u * 2^bits + t, t * rise fits no 16 bits. Of t * 2^(16 - bits), which 3 * |z|
 * becomes when u is shifted out, and rise the upper half of the product is what is needed:
 * t * rise / 2^bits, rounded down or to the nearest.
 */
#ifndef EDGERNN_ISA_MVE_TABLES_H
#define EDGERNN_ISA_MVE_TABLES_H

#include <arm_mve.h>

/* 3 * |z|. Where |z| is more, the tables have reached the value of `most`. */
EDGERNN_INLINE uint16x8_t thrice(int16x8_t z, uint16_t most)
{
    return vmulq_n_u16(vminq_u16(vreinterpretq_u16_s16(vabsq_s16(z)), vdupq_n_u16(most)), 3);
}

/* v where z >= 0, else -v. */
EDGERNN_INLINE int16x8_t with_sign_of(int16x8_t z, uint16x8_t v)
{
    const int16x8_t sign = vshrq_n_s16(z, 15);
    return vsubq_s16(veorq_s16(vreinterpretq_s16_u16(v), sign), sign);
}

EDGERNN_INLINE uint16x8_t rise_of(uint16x8_t u, uint16x8_t *low)
{
    *low = vldrhq_gather_shifted_offset_u16(table, u);
    return vsubq_u16(vldrhq_gather_shifted_offset_u16(table + 1, u), *low);
}

/* Clause 3.2 is 16384 + (low + floor(t * rise / 2^7) + 1) / 2 for z >= 0, mirrored for others. */
EDGERNN_INLINE int16x8_t sigmoid(int16x8_t z)
{
    const uint16x8_t m = thrice(z, 10879);
    uint16x8_t low;
    const uint16x8_t rise = rise_of(vshrq_n_u16(m, 7), &low);
    const uint16x8_t value = vrhaddq_u16(low, vmulhq_u16(vshlq_n_u16(m, 9), rise));
    return vaddq_n_s16(with_sign_of(z, value), 16384);
}

/* Clause 3.3 is low + t * rise / 2^6, rounded, for z >= 0, with the other sign for others. */
EDGERNN_INLINE int16x8_t hyperbolic_tangent(int16x8_t z)
{
    const uint16x8_t m = thrice(z, 5439);
    uint16x8_t low;
    const uint16x8_t rise = rise_of(vshrq_n_u16(m, 6), &low);
    return with_sign_of(z, vaddq_u16(low, vrmulhq_u16(vshlq_n_u16(m, 10), rise)));
}

#define DEFINE_EACH(function)                                                                      \
    EDGERNN_INLINE void function##_each(int16_t *z, int32_t count)                                 \
    {                                                                                              \
        for (; count >= 8; count -= 8) {                                                           \
            vstrhq_s16(z, function(vldrhq_s16(z)));                                                \
            z += 8;                                                                                \
        }                                                                                          \
        if (count > 0) {                                                                           \
            const mve_pred16_t there = vctp16q((uint32_t)count);                                   \
            vstrhq_p_s16(z, function(vldrhq_z_s16(z, there)), there);                              \
        }                                                                                          \
    }

DEFINE_EACH(sigmoid)
DEFINE_EACH(hyperbolic_tangent)

#define SIGMOID_EACH sigmoid_each(z, count);
#define TANH_EACH hyperbolic_tangent_each(z, count);

#endif
