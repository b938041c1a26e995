#include "edgernn_tables.h"

#include "edgernn_lanes.h"

/* Clause 3.1: T, the sigmoid of i/24 as 16-bit fraction, corrected for linear interpolation. */
static const uint16_t table[256] = {
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149,
    40794, 41432, 42064, 42688, 43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369,
    47911, 48443, 48964, 49475, 49975, 50464, 50942, 51409, 51865, 52311, 52745, 53169,
    53581, 53983, 54374, 54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433,
    57724, 58007, 58280, 58544, 58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370,
    60565, 60753, 60935, 61110, 61279, 61441, 61599, 61750, 61896, 62036, 62172, 62302,
    62428, 62549, 62666, 62778, 62886, 62990, 63090, 63186, 63279, 63368, 63454, 63536,
    63615, 63691, 63765, 63835, 63903, 63968, 64030, 64090, 64148, 64204, 64257, 64308,
    64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652, 64687, 64721, 64754, 64786,
    64816, 64845, 64873, 64900, 64926, 64950, 64974, 64997, 65019, 65039, 65060, 65079,
    65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208, 65221, 65234, 65246, 65258,
    65269, 65280, 65291, 65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360, 65367,
    65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415, 65420, 65425, 65429, 65433,
    65438, 65442, 65445, 65449, 65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474,
    65476, 65479, 65481, 65483, 65485, 65488, 65489, 65491, 65493, 65495, 65497, 65498,
    65500, 65501, 65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513,
    65514, 65515, 65516, 65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522,
    65523, 65523, 65524, 65524, 65525, 65525, 65526, 65526, 65526, 65527, 65527, 65528,
    65528, 65528, 65529, 65529, 65529, 65529, 65530, 65530, 65530, 65530, 65531, 65531,
    65531, 65531, 65531, 65532, 65532, 65532, 65532, 65532, 65532, 65533, 65533, 65533,
    65533, 65533, 65533, 65533, 65533, 65534, 65534, 65534, 65534, 65534, 65534, 65534,
    65534, 65534, 65534, 65535,
};

/* T[u] + (t / 2^bits) * (T[u+1] - T[u]), times 2^bits, for m = u * 2^bits + t. Clauses 3.2 and 3.3
 * say what u >= 255 gives; after rounding it is what the last m below gives. */
EDGERNN_INLINE edgernn_lanes interpolated(edgernn_lanes m, int32_t bits)
{
    const edgernn_lanes last = edgernn_lanes_all(((int32_t)255 << bits) - 1);
    const edgernn_lanes inside = edgernn_lanes_min(m, last);
    const edgernn_lanes u = inside >> bits;
    const edgernn_lanes t = inside & (((int32_t)1 << bits) - 1);
    edgernn_lanes low;
    const edgernn_lanes rise = edgernn_lanes_rise(table, u, &low);
    return low * ((int32_t)1 << bits) + t * rise;
}

/* Clauses 3.2 and 3.3: for negative d, sign is -1, and v ^ sign is -v - 1. */
EDGERNN_INLINE edgernn_lanes sigmoid(edgernn_lanes z)
{
    const edgernn_lanes sign = z >> 31;
    const edgernn_lanes r = interpolated(((z ^ sign) - sign) * 12, 9);
    return ((r ^ sign) + (sign & ((int32_t)1 << 25)) + 512) >> 10;
}

EDGERNN_INLINE edgernn_lanes hyperbolic_tangent(edgernn_lanes z)
{
    const edgernn_lanes sign = z >> 31;
    const edgernn_lanes q = interpolated(((z ^ sign) - sign) * 12, 8) - ((int32_t)1 << 23);
    return ((q ^ sign) + 128) >> 8;
}

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

#define REPLACE_EACH(function)                                                    \
    for (j = 0; j < count; j += EDGERNN_LANES) {                                  \
        const edgernn_lanes v = function(edgernn_lanes_load(z + j, count - j));   \
        edgernn_lanes_store(z + j, v, count - j);                                 \
    }

EDGERNN_API void edgernn_activate(edgernn_activation activation, int16_t *z, int32_t count)
{
    int32_t j;
    switch (activation) {
    case EDGERNN_LINEAR:
        break;
    case EDGERNN_RELU:
        REPLACE_EACH(relu)
        break;
    case EDGERNN_TANH:
        REPLACE_EACH(hyperbolic_tangent)
        break;
    case EDGERNN_SIGMOID:
        REPLACE_EACH(sigmoid)
        break;
    case EDGERNN_HARD_SIGMOID:
        REPLACE_EACH(hard_sigmoid)
        break;
    }
}
