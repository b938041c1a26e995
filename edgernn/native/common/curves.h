/* The activations in every lane: NUMERICS.md section 3. */
#ifndef EDGERNN_COMMON_CURVES_H
#define EDGERNN_COMMON_CURVES_H

#include "lanes.h"

/* Clause 3.1: T - 32768, the sigmoid of i/24 less 1/2 as 16-bit fraction, corrected for linear
 * interpolation. */
static const uint16_t table[256] = {
    0, 683, 1365, 2045, 2725, 3401, 4075, 4745, 5412, 6073, 6730, 7381,
    8026, 8664, 9296, 9920, 10536, 11144, 11743, 12334, 12915, 13487, 14049, 14601,
    15143, 15675, 16196, 16707, 17207, 17696, 18174, 18641, 19097, 19543, 19977, 20401,
    20813, 21215, 21606, 21987, 22357, 22717, 23066, 23406, 23735, 24055, 24365, 24665,
    24956, 25239, 25512, 25776, 26032, 26280, 26520, 26751, 26975, 27191, 27400, 27602,
    27797, 27985, 28167, 28342, 28511, 28673, 28831, 28982, 29128, 29268, 29404, 29534,
    29660, 29781, 29898, 30010, 30118, 30222, 30322, 30418, 30511, 30600, 30686, 30768,
    30847, 30923, 30997, 31067, 31135, 31200, 31262, 31322, 31380, 31436, 31489, 31540,
    31589, 31637, 31682, 31726, 31768, 31808, 31846, 31884, 31919, 31953, 31986, 32018,
    32048, 32077, 32105, 32132, 32158, 32182, 32206, 32229, 32251, 32271, 32292, 32311,
    32329, 32347, 32364, 32381, 32396, 32411, 32426, 32440, 32453, 32466, 32478, 32490,
    32501, 32512, 32523, 32533, 32542, 32551, 32560, 32569, 32577, 32584, 32592, 32599,
    32606, 32613, 32619, 32625, 32631, 32636, 32642, 32647, 32652, 32657, 32661, 32665,
    32670, 32674, 32677, 32681, 32685, 32688, 32691, 32694, 32697, 32700, 32703, 32706,
    32708, 32711, 32713, 32715, 32717, 32720, 32721, 32723, 32725, 32727, 32729, 32730,
    32732, 32733, 32735, 32736, 32737, 32739, 32740, 32741, 32742, 32743, 32744, 32745,
    32746, 32747, 32748, 32749, 32749, 32750, 32751, 32752, 32752, 32753, 32754, 32754,
    32755, 32755, 32756, 32756, 32757, 32757, 32758, 32758, 32758, 32759, 32759, 32760,
    32760, 32760, 32761, 32761, 32761, 32761, 32762, 32762, 32762, 32762, 32763, 32763,
    32763, 32763, 32763, 32764, 32764, 32764, 32764, 32764, 32764, 32765, 32765, 32765,
    32765, 32765, 32765, 32765, 32765, 32766, 32766, 32766, 32766, 32766, 32766, 32766,
    32766, 32766, 32766, 32767,
};

#ifdef EDGERNN_TABLES_HEADER
#include EDGERNN_TABLES_HEADER
#else

/* q = (T[u] + (t / 2^bits) * (T[u+1] - T[u]) - 32768) * 2^bits for z >= 0, else -q - 1. Here
 * u * 2^bits + t is 3 * |z|, a quarter of the clauses' m, which is a multiple of 4. What it gives
 * for u > 254 is after rounding what the last m before it gives. */
EDGERNN_INLINE edgernn_lanes interpolated(edgernn_lanes z, int32_t bits)
{
    const edgernn_lanes sign = z >> 31;
    const edgernn_lanes m = EDGERNN_THRICE(z, sign);
    const edgernn_lanes last = edgernn_lanes_all(((int32_t)255 << bits) - 1);
    const edgernn_lanes inside = edgernn_lanes_min(m, last);
    const edgernn_lanes u = inside >> bits;
    const edgernn_lanes t = inside & edgernn_lanes_all(((int32_t)1 << bits) - 1);
#if EDGERNN_HAS_WIDE_LANES
    return edgernn_lanes_between(table, u, t, bits) ^ sign;
#else
    edgernn_lanes low;
    const edgernn_lanes rise = edgernn_lanes_rise(table, u, &low);
    return (low * edgernn_lanes_all((int32_t)1 << bits) + t * rise) ^ sign;
#endif
}

/* Clause 3.2, divided by 4: 1/2 is 2^22, and rounding adds 128 to q or, where z < 0, 127 to -q. */
EDGERNN_INLINE edgernn_lanes sigmoid(edgernn_lanes z)
{
    return (interpolated(z, 7) + edgernn_lanes_all(((int32_t)1 << 22) + 128)) >> 8;
}

/* Clause 3.3, likewise. */
EDGERNN_INLINE edgernn_lanes hyperbolic_tangent(edgernn_lanes z)
{
    return (interpolated(z, 6) + edgernn_lanes_all(32)) >> 6;
}

#endif

/* Clause 3.4. */
EDGERNN_INLINE edgernn_lanes hard_sigmoid(edgernn_lanes z)
{
    const edgernn_lanes slope = edgernn_lanes_sat16(edgernn_lanes_round(z * 21845, 12));
    const edgernn_lanes line = edgernn_lanes_sat16(slope + 16384);
    return line & ~(line >> 31);
}

EDGERNN_INLINE edgernn_lanes relu(edgernn_lanes z)
{
    return z & ~(z >> 31);
}

#endif
