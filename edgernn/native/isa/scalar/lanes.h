/* common/lanes.h for cores without vectors: one lane. */
#ifndef EDGERNN_ISA_SCALAR_LANES_H
#define EDGERNN_ISA_SCALAR_LANES_H

#include <stdint.h>

#include "../../common/fixed.h"
#include "../../common/tile.h"

#define EDGERNN_LANES 1
typedef int32_t edgernn_lanes;

EDGERNN_INLINE edgernn_lanes edgernn_lanes_load(const int16_t *from, int32_t left)
{
    (void)left;
    return *from;
}

EDGERNN_INLINE void edgernn_lanes_store(int16_t *to, edgernn_lanes v, int32_t left)
{
    (void)left;
    *to = (int16_t)v;
}

EDGERNN_INLINE void edgernn_lanes_store_code8(edgernn_code8 *to, edgernn_lanes v, int32_t left)
{
    (void)left;
    *to = (edgernn_code8)v;
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_all(int32_t v)
{
    return v;
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_min(edgernn_lanes a, edgernn_lanes b)
{
    return a < b ? a : b;
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_sat8(edgernn_lanes v)
{
    return edgernn_sat8(v);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_sat16(edgernn_lanes v)
{
    return edgernn_sat16(v);
}

EDGERNN_INLINE edgernn_lanes edgernn_lanes_rise(const uint16_t *table, edgernn_lanes u,
                                               edgernn_lanes *low)
{
    EDGERNN_TABLE_AT(table, u);
    *low = table[u];
    return table[u + 1] - *low;
}

#define EDGERNN_OWN_LANES_ROUND
EDGERNN_INLINE edgernn_lanes edgernn_lanes_round(edgernn_lanes p, int32_t k)
{
    return edgernn_round(p, k);
}

#endif
