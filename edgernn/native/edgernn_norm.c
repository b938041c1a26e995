#include "edgernn_norm.h"

#include "common/fixed.h"

/* The I of clause 7.11, from I[64] on: 2^18 / sqrt(u), corrected for linear interpolation. */
static const uint16_t inverse_roots[193] = {
    32768, 32515, 32267, 32026, 31789, 31558, 31332, 31110, 30894, 30681, 30473, 30270, 30070,
    29874, 29682, 29493, 29308, 29127, 28949, 28774, 28602, 28433, 28268, 28105, 27944, 27787,
    27632, 27480, 27330, 27183, 27038, 26895, 26755, 26617, 26480, 26346, 26214, 26084, 25956,
    25830, 25705, 25583, 25462, 25342, 25225, 25109, 24994, 24882, 24770, 24660, 24552, 24445,
    24339, 24235, 24132, 24031, 23930, 23831, 23733, 23637, 23541, 23447, 23354, 23261, 23170,
    23080, 22991, 22904, 22817, 22731, 22646, 22562, 22479, 22396, 22315, 22235, 22155, 22076,
    21999, 21922, 21845, 21770, 21695, 21621, 21548, 21476, 21404, 21333, 21263, 21193, 21124,
    21056, 20988, 20921, 20855, 20789, 20724, 20660, 20596, 20533, 20470, 20408, 20346, 20285,
    20225, 20165, 20105, 20047, 19988, 19930, 19873, 19816, 19760, 19704, 19648, 19594, 19539,
    19485, 19431, 19378, 19325, 19273, 19221, 19170, 19119, 19068, 19018, 18968, 18919, 18870,
    18821, 18772, 18725, 18677, 18630, 18583, 18536, 18490, 18444, 18399, 18354, 18309, 18264,
    18220, 18176, 18133, 18090, 18047, 18004, 17962, 17920, 17878, 17837, 17795, 17755, 17714,
    17674, 17634, 17594, 17554, 17515, 17476, 17438, 17399, 17361, 17323, 17285, 17248, 17211,
    17174, 17137, 17100, 17064, 17028, 16992, 16957, 16921, 16886, 16851, 16817, 16782, 16748,
    16714, 16680, 16646, 16613, 16579, 16546, 16514, 16481, 16448, 16416, 16384,
};

/* r * 2^(j - 14) is what makes v of the clause, whose squares add up to this, a result. */
static int32_t inverse_root(const edgernn_norm *by, int32_t squares, int32_t *j)
{
    int32_t place;
    int32_t high;
    int32_t fall;
    const uint16_t *from;
    *j = 0;
    while (*j < 14 && squares >> (2 * *j + 2) != 0) {
        ++*j;
    }
    place = squares << (28 - 2 * *j);
    from = inverse_roots + ((place >> 22) - 64);
    high = from[0];
    fall = ((place >> 12) & 1023) * (high - from[1]);
    return edgernn_half_up((high - (fall >> 10)) * by->gain, 15);
}

EDGERNN_API void edgernn_normalize(const edgernn_norm *by, const int16_t *v, int32_t count,
                                   int16_t *out)
{
    const int32_t to_value = by->most_bits - 15;
    const int32_t to_square = by->most_bits - by->square_bits;
    int32_t sum = 0;
    int32_t least = v[0];
    int32_t most = v[0];
    int32_t squares = 0;
    int32_t bits = by->least_bits;
    int32_t factor;
    int32_t r;
    int32_t j;
    int32_t i;
    for (i = 0; i < count; ++i) {
        sum += v[i];
        least = v[i] < least ? v[i] : least;
        most = v[i] > most ? v[i] : most;
    }
    least = sum - count * least; /* distances from the sum, 0 at least */
    most = count * most - sum;
    most = least > most ? least : most;
    while (most >> bits != 0) {
        ++bits;
    }
    factor = (int32_t)1 << (by->most_bits - bits);
    for (i = 0; i < count; ++i) {
        const int32_t q = edgernn_half_up((count * v[i] - sum) * factor, to_square);
        squares += q * q;
    }
    squares += by->epsilon[bits - by->least_bits];
    squares = squares < 0x3FFFFFFF ? squares : 0x3FFFFFFF;
    r = inverse_root(by, squares, &j);
    for (i = 0; i < count; ++i) {
        const int32_t value = edgernn_half_up((count * v[i] - sum) * factor, to_value);
        out[i] = (int16_t)edgernn_sat16(edgernn_half_up(value * r, by->shift + j));
    }
}
