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
 *   round, scaled              only where they define EDGERNN_OWN_LANES_ROUND, _SCALED; see below
 *
 * A loop over vectors is EDGERNN_EACH_LANES(count, statement). The statement calls an inline
 * function with the addresses x + j and with `left`, and never touches an element at `count` or
 * behind it.
 */
#ifndef EDGERNN_COMMON_LANES_H
#define EDGERNN_COMMON_LANES_H

#include <stdint.h>

#include "../edgernn_variant.h"

#include EDGERNN_LANES_HEADER

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

#ifndef EDGERNN_OWN_LANES_ROUND
/* Clause 1.3, R(p, k) for k >= 2, in every lane. Where p is between -1 and -2^(k-1), its sign does
 * not matter: hence the sum with all of the constant but 2 decides on these 2. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_round(edgernn_lanes p, int32_t k)
{
    const edgernn_lanes sum = p + edgernn_lanes_all(((int32_t)1 << (k - 1)) - 1);
    return (sum + (~(sum >> 31) & edgernn_lanes_all(2))) >> k;
}
#endif

/* The same for k >= 0. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_round_any(edgernn_lanes p, int32_t k)
{
    const int32_t up = ((int32_t)1 << k >> 1) + (k > 1);
    const int32_t down = k > 1 ? -2 : 0;
    return (p + edgernn_lanes_all(up) + ((p >> 31) & edgernn_lanes_all(down))) >> k;
}

#ifndef EDGERNN_OWN_LANES_SCALED
/* R(a * b, 15): the product of an int16_t code and a Q0.15 one, in the format of the first. */
EDGERNN_INLINE edgernn_lanes edgernn_lanes_scaled(edgernn_lanes a, edgernn_lanes b)
{
    return edgernn_lanes_round(a * b, 15);
}
#endif

#endif
