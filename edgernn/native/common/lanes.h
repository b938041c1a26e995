/* Element-wise arithmetic on vectors of int16_t, as many elements at once as the variant has lanes.
 *
 * edgernn_lanes holds EDGERNN_LANES values of int32_t. Every variant's type takes the operators
 * + - * & ^ ~ and >>, also with an int32_t on one side; what operators cannot say is a function of
 * isa/<name>/lanes.h:
 *
 *   load, store        `left` elements, at most EDGERNN_LANES of them, of int16_t
 *   store_code8        the same to w8a8 operands
 *   all(v)             v in every lane
 *   min(a, b), sat8(v), sat16(v)
 *   rise(table, u, &low)       table[u + 1] - table[u], and low = table[u]
 *   between(table, u, t, bits) low * 2^bits + t * rise; instead of `rise` where lanes are wide
 *
 * A loop over vectors is EDGERNN_EACH_LANES(count, statement). The statement calls an inline
 * function with the addresses x + j and with `left`, and never touches an element at `count` or
 * behind it.
 */
#ifndef EDGERNN_COMMON_LANES_H
#define EDGERNN_COMMON_LANES_H

#include <stdint.h>

#include "../edgernn_config.h"

#if EDGERNN_VARIANT == EDGERNN_MVE
#include "../isa/mve/lanes.h"
#elif EDGERNN_VARIANT == EDGERNN_AVX2
#include "../isa/avx2/lanes.h"
#elif EDGERNN_VARIANT == EDGERNN_AVX512
#include "../isa/avx512/lanes.h"
#elif EDGERNN_VARIANT == EDGERNN_NEON || EDGERNN_VARIANT == EDGERNN_DOT
#include "../isa/neon/lanes.h"
#else
#include "../isa/scalar/lanes.h"
#endif

/* Whether the element-wise part of a cell is one loop (gru_wide.h, lstm_wide.h), short in latency;
 * on other variants it is several, with fewer registers and less code. */
#define EDGERNN_HAS_WIDE_LANES (EDGERNN_VARIANT == EDGERNN_AVX512)

/* The statement at j = 0, EDGERNN_LANES, and so on, where `left` elements follow. It stands here
 * twice so that it knows of full vectors while it is compiled that they are full. */
#define EDGERNN_EACH_LANES(count, statement)                                \
    do {                                                                    \
        int32_t j = 0;                                                      \
        for (; j + EDGERNN_LANES <= (count); j += EDGERNN_LANES) {          \
            const int32_t left = EDGERNN_LANES;                             \
            statement;                                                      \
        }                                                                   \
        if (EDGERNN_LANES > 1 && j < (count)) {                             \
            const int32_t left = (count) - j;                               \
            statement;                                                      \
        }                                                                   \
    } while (0)

#if EDGERNN_HAS_WIDE_LANES

/* Clause 1.3, R(p, k) for k >= 2, in every lane: what depends on the sign beside what does not. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_round(edgernn_lanes p, int32_t k)
{
    const edgernn_lanes up = p + edgernn_lanes_all(((int32_t)1 << (k - 1)) + 1);
    return (up + ((p >> 31) & edgernn_lanes_all(-2))) >> k;
}

#else

/* Clause 1.3, R(p, k) for k >= 2, in every lane. Where p is between -1 and -2^(k-1), its sign does
 * not matter: hence the sum with all of the constant but 2 decides on these 2. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_round(edgernn_lanes p, int32_t k)
{
#if EDGERNN_LANES == 1
    return edgernn_round(p, k);
#elif EDGERNN_VARIANT == EDGERNN_MVE
    return edgernn_lanes_rounded(vaddq_n_s32(p, 1), k);
#else
    const edgernn_lanes sum = p + edgernn_lanes_all(((int32_t)1 << (k - 1)) - 1);
    return (sum + (~(sum >> 31) & edgernn_lanes_all(2))) >> k;
#endif
}

#endif

/* The same for k >= 0. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_round_any(edgernn_lanes p, int32_t k)
{
    const int32_t up = ((int32_t)1 << k >> 1) + (k > 1);
    const int32_t down = k > 1 ? -2 : 0;
    return (p + edgernn_lanes_all(up) + ((p >> 31) & edgernn_lanes_all(down))) >> k;
}

/* R(a * b, 15): the product of an int16_t code and a Q0.15 one, in the format of the first. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_scaled(edgernn_lanes a, edgernn_lanes b)
{
#if EDGERNN_VARIANT == EDGERNN_MVE
    return edgernn_lanes_rounded(vmlasq_n_s32(a, b, 1), 15);
#else
    return edgernn_lanes_round(a * b, 15);
#endif
}

#endif
