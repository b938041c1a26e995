#include "edgernn_wide.h"

#include "common/fixed.h"

/* The E of clause 3.5: sigmoid(-i/16) in Q0.30, corrected for linear interpolation. */
static const int32_t fine_gates[257] = {
    536870912, 520097110, 503356028, 486680131, 470101379, 453650984, 437359179, 421255006,
    405366118, 389718605, 374336843, 359243369, 344458779, 330001656, 315888517, 302133795,
    288749835, 275746917, 263133302, 250915287, 239097286, 227681920, 216670114, 206061210,
    195853082, 186042255, 176624031, 167592605, 158941195, 150662151, 142747081, 135186953,
    127972201, 121092830, 114538500, 108298617, 102362408, 96718998, 91357468, 86266916, 81436511,
    76855536, 72513427, 68399809, 64504524, 60817656, 57329552, 54030837, 50912424, 47965530,
    45181675, 42552691, 40070724, 37728227, 35517967, 33433016, 31466747, 29612827, 27865216,
    26218152, 24666149, 23203983, 21826689, 20529549, 19308082, 18158038, 17075385, 16056303,
    15097172, 14194567, 13345245, 12546141, 11794354, 11087145, 10421926, 9796251, 9207814, 8654435,
    8134059, 7644749, 7184675, 6752113, 6345440, 5963123, 5603720, 5265872, 4948299, 4649794,
    4369223, 4105517, 3857669, 3624734, 3405818, 3200085, 3006744, 2825054, 2654316, 2493872,
    2343105, 2201435, 2068313, 1943227, 1825693, 1715257, 1611490, 1513993, 1422386, 1336315,
    1255447, 1179466, 1108080, 1041010, 977996, 918793, 863170, 810913, 761817, 715692, 672357,
    631645, 593397, 557463, 523705, 491990, 462194, 434203, 407906, 383201, 359992, 338188, 317704,
    298461, 280383, 263399, 247444, 232456, 218375, 205147, 192720, 181045, 170078, 159775, 150096,
    141003, 132462, 124437, 116899, 109817, 103164, 96914, 91043, 85527, 80346, 75478, 70906, 66610,
    62574, 58784, 55222, 51877, 48734, 45781, 43008, 40402, 37954, 35655, 33495, 31465, 29559,
    27768, 26086, 24505, 23021, 21626, 20316, 19085, 17929, 16842, 15822, 14863, 13963, 13117,
    12322, 11576, 10874, 10216, 9597, 9015, 8469, 7956, 7474, 7021, 6596, 6196, 5821, 5468, 5137,
    4825, 4533, 4258, 4000, 3758, 3530, 3317, 3116, 2927, 2749, 2583, 2426, 2279, 2141, 2012, 1890,
    1775, 1668, 1567, 1472, 1383, 1299, 1220, 1146, 1077, 1011, 950, 893, 839, 788, 740, 695, 653,
    613, 576, 541, 509, 478, 449, 422, 396, 372, 350, 328, 308, 290, 272, 256, 240, 226, 212, 199,
    187, 176, 165, 155, 146, 137, 129, 121,
};

/* The ends of a wide state (clause 2.8), and what is added to one at most (clauses 7.22, 7.23). */
#define LEAST (-0x40000000)
#define MOST 0x3FFFFFFF
#define FARTHEST (0x40000000 - 0x10000)
#define FARTHEST_ENTRY 32766

EDGERNN_INLINE int32_t limited(int32_t v, int32_t low, int32_t high)
{
    const int32_t least = v < low ? low : v;
    return least < high ? least : high;
}

/* The nearest value from LEAST to MOST. */
EDGERNN_INLINE int32_t sat31(int32_t v)
{
#if EDGERNN_HAS_SSAT
    int32_t nearest;
    __asm__("ssat %0, #31, %1" : "=r"(nearest) : "r"(v));
    return nearest;
#else
    return limited(v, LEAST, MOST);
#endif
}

/* The nearest value from 0 to 16383, of v >= 0. */
EDGERNN_INLINE int32_t in_table(int32_t v)
{
#if EDGERNN_HAS_SSAT
    int32_t nearest;
    __asm__("usat %0, #14, %1" : "=r"(nearest) : "r"(v));
    return nearest;
#else
    return v < 16383 ? v : 16383;
#endif
}

/* What makes a gate a share: of a fine one, which sign of the pre-activation is turned; of another,
 * gate * sign + first. */
typedef struct {
    int32_t first;
    int32_t sign;
} share_form;

EDGERNN_INLINE share_form fine_form(int32_t one_less)
{
    const share_form form = {one_less - 1, 0};
    return form;
}

EDGERNN_INLINE share_form plain_form(int32_t one_less)
{
    const share_form form = {one_less * 32767, 1 - 2 * one_less};
    return form;
}

/* Clause 7.20: P(share, v, low), F of clause 3.5 with its halves. F(a) and F(-a) add up to 2^30. */
EDGERNN_INLINE int32_t fine_part(share_form form, int32_t gate, int32_t v, int32_t low)
{
    const int32_t sign = gate >> 31;
    const int32_t turned = sign ^ form.first;
    const int32_t m = in_table((gate ^ sign) - sign);
    const int32_t *const from = fine_gates + (m >> 6);
    const int32_t first = from[0];
    const int32_t p = first - (((first - from[1]) * (m & 63)) >> 6);
    const int32_t share = (p ^ turned) - turned * (1 + 0x40000000);
    const int32_t upper = share >> 15;
    return upper * v + (((share & 32767) * v + upper * low + 16384) >> 15);
}

EDGERNN_INLINE int32_t plain_part(share_form form, int32_t gate, int32_t v, int32_t low)
{
    const int32_t upper = gate * form.sign + form.first;
    return upper * v + ((upper * low + 16384) >> 15);
}

/* Leave a wide state: its low part where it lies, the high one where it goes. */
EDGERNN_INLINE int16_t parted(int32_t state, int16_t *low)
{
    *low = (int16_t)(state & 32767);
    return (int16_t)(state >> 15);
}

#define DEFINE_BLEND(name, form_of, part)                                                  \
    EDGERNN_API void name(const int16_t *high, int16_t *low, const int16_t *target,        \
                          const int16_t *gate, int32_t one_less, int32_t count, int16_t *out) \
    {                                                                                      \
        const share_form form = form_of(one_less);                                         \
        int32_t j;                                                                         \
        for (j = 0; j < count; ++j) {                                                      \
            const int32_t s = high[j];                                                     \
            const int32_t t = low[j] + part(form, gate[j], target[j] - s, 0);              \
            low[j] = (int16_t)(t & 32767);                                                 \
            out[j] = (int16_t)edgernn_sat16(s + (t >> 15));                                \
        }                                                                                  \
    }

DEFINE_BLEND(edgernn_blend, plain_form, plain_part)
DEFINE_BLEND(edgernn_blend_fine, fine_form, fine_part)

/* Clause 1.3, R(p, shift) for shift >= 0. */
typedef struct {
    int32_t up;
    int32_t down;
    int32_t shift;
} rounding;

EDGERNN_INLINE rounding rounding_of(int32_t shift)
{
    const rounding by = {((int32_t)1 << shift >> 1) + (shift > 1), shift > 1 ? -2 : 0, shift};
    return by;
}

EDGERNN_INLINE int32_t rounded(rounding by, int32_t p)
{
    return (p + by.up + ((p >> 31) & by.down)) >> by.shift;
}

#define DEFINE_GATED_SUM(name, loss_form_of, loss_part, gain_form_of, gain_part)                 \
    EDGERNN_API void name(const int16_t *high, int16_t *low, const int16_t *loss,                \
                          const int16_t *candidate, const int16_t *gain, int32_t loss_less,      \
                          int32_t gain_less, int32_t shift, int32_t count, int16_t *out)         \
    {                                                                                            \
        const share_form loss_form = loss_form_of(loss_less);                                    \
        const share_form gain_form = gain_form_of(gain_less);                                    \
        const rounding by = rounding_of(shift);                                                  \
        int32_t j;                                                                               \
        for (j = 0; j < count; ++j) {                                                            \
            const int32_t s = high[j];                                                           \
            const int32_t gained = rounded(by, gain_part(gain_form, gain[j], candidate[j], 0));  \
            const int32_t left = s * 32768 + low[j] - loss_part(loss_form, loss[j], s, low[j]);  \
            out[j] = parted(sat31(left + limited(gained, -FARTHEST, FARTHEST)), low + j);        \
        }                                                                                        \
    }

DEFINE_GATED_SUM(edgernn_gated_sum, plain_form, plain_part, plain_form, plain_part)
DEFINE_GATED_SUM(edgernn_gated_sum_fine, fine_form, fine_part, fine_form, fine_part)
DEFINE_GATED_SUM(edgernn_gated_sum_fine_loss, fine_form, fine_part, plain_form, plain_part)
DEFINE_GATED_SUM(edgernn_gated_sum_fine_gain, plain_form, plain_part, fine_form, fine_part)

EDGERNN_API void edgernn_leaky_sum(const edgernn_leak *by, const int16_t *high, int16_t *low,
                                   const int16_t *entry, int32_t rectified, int32_t count,
                                   int16_t *out)
{
    const int32_t least = rectified ? 0 : LEAST;
    int32_t j;
    for (j = 0; j < count; ++j) {
        const int32_t s = high[j];
        const int32_t lost =
            by->high[j] * s + ((by->low[j] * s + by->high[j] * low[j] + 16384) >> 15);
        const int32_t taken =
            limited(entry[j], -FARTHEST_ENTRY, FARTHEST_ENTRY) * ((int32_t)1 << by->shift[j]);
        out[j] = parted(limited(s * 32768 + low[j] - lost + taken, least, MOST), low + j);
    }
}

EDGERNN_API void edgernn_wide_rescale(const int16_t *high, const int16_t *low, int32_t shift,
                                      int32_t count, int16_t *out)
{
    const rounding by = rounding_of(shift);
    int32_t j;
    for (j = 0; j < count; ++j) {
        out[j] = (int16_t)edgernn_sat16(rounded(by, high[j] * 32768 + low[j]));
    }
}
