#include "edgernn_attention.h"

#include "common/fixed.h"
#include "edgernn_tables.h"

/* Elements of a sum whose tanh is computed at once. */
#define TANH_PIECE 16

/* The A and B of clause 7.28: e^(-i/16) and e^(-j/1024) in Q0.15. */
static const int16_t coarse_exponentials[179] = {
    32767, 30783, 28918, 27166, 25520, 23974, 22521, 21157, 19875, 18671, 17539, 16477, 15479,
    14541, 13660, 12832, 12055, 11324, 10638, 9994, 9388, 8819, 8285, 7783, 7312, 6869, 6452,
    6061, 5694, 5349, 5025, 4721, 4435, 4166, 3914, 3676, 3454, 3244, 3048, 2863, 2690, 2527,
    2374, 2230, 2095, 1968, 1849, 1737, 1631, 1533, 1440, 1352, 1271, 1194, 1121, 1053, 990,
    930, 873, 820, 771, 724, 680, 639, 600, 564, 530, 498, 467, 439, 412, 387, 364, 342, 321,
    302, 283, 266, 250, 235, 221, 207, 195, 183, 172, 162, 152, 143, 134, 126, 118, 111, 104,
    98, 92, 86, 81, 76, 72, 67, 63, 59, 56, 52, 49, 46, 43, 41, 38, 36, 34, 32, 30, 28, 26, 25,
    23, 22, 21, 19, 18, 17, 16, 15, 14, 13, 12, 12, 11, 10, 10, 9, 9, 8, 8, 7, 7, 6, 6, 6, 5, 5,
    5, 4, 4, 4, 4, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 0,
};
static const uint16_t fine_exponentials[64] = {
    32768, 32736, 32704, 32672, 32640, 32608, 32577, 32545, 32513, 32481, 32450, 32418, 32386,
    32355, 32323, 32291, 32260, 32228, 32197, 32166, 32134, 32103, 32072, 32040, 32009, 31978,
    31946, 31915, 31884, 31853, 31822, 31791, 31760, 31729, 31698, 31667, 31636, 31605, 31574,
    31543, 31513, 31482, 31451, 31420, 31390, 31359, 31329, 31298, 31267, 31237, 31206, 31176,
    31146, 31115, 31085, 31054, 31024, 30994, 30964, 30933, 30903, 30873, 30843, 30813,
};

EDGERNN_API void edgernn_dot_scores(const int16_t *query, const int16_t *keys, int32_t width,
                                    int32_t shift, int32_t count, int16_t *out)
{
    int32_t t;
    int32_t j;
    for (t = 0; t < count; ++t) {
        int32_t sum = 0;
        for (j = 0; j < width; ++j) {
            sum += query[j] * keys[j];
        }
        keys += width;
        out[t] = (int16_t)edgernn_sat16(edgernn_half_up(sum, shift));
    }
}

EDGERNN_API void edgernn_additive_scores(const edgernn_scales *by, const int16_t *query,
                                         const int16_t *keys, int32_t width, int32_t count,
                                         int16_t *out)
{
    int16_t bent[TANH_PIECE];
    int32_t t;
    int32_t start;
    int32_t j;
    for (t = 0; t < count; ++t) {
        int32_t sum = 0;
        for (start = 0; start < width; start += TANH_PIECE) {
            const int32_t piece = width - start < TANH_PIECE ? width - start : TANH_PIECE;
            edgernn_sum(query + start, keys + start, piece, bent);
            edgernn_activate(EDGERNN_TANH, bent, piece);
            for (j = 0; j < piece; ++j) {
                sum += by->multiplier[start + j] * bent[j];
            }
        }
        keys += width;
        out[t] = (int16_t)edgernn_sat16(edgernn_half_up(sum, by->shift));
    }
}

/* A score that counts: at least -16384 in a slot that is filled, -32768 in an empty one. */
static int32_t counted_score(int32_t score, int32_t filled)
{
    score = score > -16384 ? score : -16384;
    return score < filled ? score : filled;
}

/* (2^31 - 1) / sum, of a sum of 32767 or more; some cores have no division. */
static int32_t reciprocal_of(int32_t sum)
{
    int32_t rest = 0x7FFFFFFF;
    int32_t quotient = 0;
    int32_t bit;
    for (bit = 16; bit >= 0; --bit) {
        if (rest >> bit >= sum) {
            rest -= sum << bit;
            quotient |= (int32_t)1 << bit;
        }
    }
    return quotient;
}

EDGERNN_API void edgernn_softmax(const int16_t *scores, const int16_t *filled, int32_t count,
                                 int16_t *out)
{
    int32_t largest = -32768;
    int32_t sum = 0;
    int32_t r;
    int32_t i;
    for (i = 0; i < count; ++i) {
        const int32_t z = counted_score(scores[i], filled[i]);
        largest = z > largest ? z : largest;
    }
    for (i = 0; i < count; ++i) {
        int32_t d = largest - counted_score(scores[i], filled[i]);
        int32_t e;
        d = d < 11392 ? d : 11392;
        e = edgernn_half_up(coarse_exponentials[d >> 6] * (int32_t)fine_exponentials[d & 63], 15);
        sum += e;
        out[i] = (int16_t)e;
    }
    r = reciprocal_of(sum);
    for (i = 0; i < count; ++i) {
        out[i] = (int16_t)((out[i] * r) >> 16);
    }
}

EDGERNN_API void edgernn_context(const int16_t *shares, const int16_t *values, int32_t slots,
                                 int32_t count, int16_t *out)
{
    int32_t h;
    int32_t t;
    for (h = 0; h < count; ++h) {
        const int16_t *value = values + h;
        int32_t sum = 0;
        for (t = 0; t < slots; ++t) {
            sum += shares[t] * *value;
            value += count;
        }
        out[h] = (int16_t)edgernn_half_up(sum, 15);
    }
}
