#include "edgernn_adapt.h"

#include "common/fixed.h"

/* Clause 14.1. */
#define MOST_WEIGHT (((int32_t)1 << 30) - ((int32_t)1 << 14) - 1)
#define MOST_TARGET ((int32_t)1 << 18)
#define CONSTANT 128

static int32_t between(int32_t v, int32_t low, int32_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* Clause 1.2, for k >= 0. */
static int32_t rounded_shift(int32_t p, int32_t k)
{
    return k == 0 ? p : edgernn_half_up(p, k);
}

static int32_t bit_length(uint32_t n)
{
    int32_t bits = 0;
    while (n != 0) {
        n >>= 1;
        ++bits;
    }
    return bits;
}

/* floor(2^29 / u) for 2^14 <= u < 2^15, without the division that small cores lack. */
static int32_t reciprocal(uint32_t u)
{
    uint32_t rest = (uint32_t)1 << 29;
    uint32_t q = 0;
    int32_t bit;
    for (bit = 15; bit >= 0; --bit) {
        if (rest >= u << bit) {
            rest -= u << bit;
            q |= (uint32_t)1 << bit;
        }
    }
    return (int32_t)q;
}

/* Clause 14.2, of an output code or of an element of a state. */
static int32_t operand(int32_t v)
{
    return edgernn_sat8(edgernn_round(v, 8));
}

/* Clause 14.3 before the limit. */
static int32_t correction(const int32_t *weights, int32_t features, const int8_t *phi, int32_t own)
{
    int32_t sum = CONSTANT * edgernn_half_up(weights[0], 15) + own * edgernn_half_up(weights[1], 15);
    int32_t i;
    weights += EDGERNN_HEAD_OWN;
    for (i = 0; i < features; ++i) {
        sum += edgernn_half_up(weights[i], 15) * phi[i];
    }
    return edgernn_half_up(sum, 7);
}

/* The last line of clause 14.5, of one weight. */
static int32_t moved(int32_t weight, int32_t leak, int32_t step, int32_t shift)
{
    const int32_t lost = leak == 0 ? 0 : edgernn_half_up(weight, leak);
    return between(weight - lost + rounded_shift(step, shift), -MOST_WEIGHT, MOST_WEIGHT);
}

/* Clause 14.5 from the error on. */
static void move(const int32_t *of, int32_t *weights, const int8_t *phi, int32_t own,
                 int32_t power, int32_t error)
{
    const int32_t leak = of[EDGERNN_HEAD_LEAK];
    const int32_t q = of[EDGERNN_HEAD_RATE] * error;
    const int32_t size = bit_length((uint32_t)(q < 0 ? -q : q));
    const int32_t v = size > 15 ? size - 15 : 0;
    const int32_t b = bit_length((uint32_t)power) - 1;
    const int32_t r = reciprocal((uint32_t)power >> (b - 14));
    const int32_t g = edgernn_half_up(rounded_shift(q, v) * r, 7);
    const int32_t shift = 1 + b - v;
    int32_t i;
    weights[0] = moved(weights[0], leak, g * CONSTANT, shift);
    weights[1] = moved(weights[1], leak, g * own, shift);
    weights += EDGERNN_HEAD_OWN;
    for (i = 0; i < of[EDGERNN_HEAD_FEATURES]; ++i) {
        weights[i] = moved(weights[i], leak, g * phi[i], shift);
    }
}

EDGERNN_API void edgernn_head_begin(const int32_t *of, int32_t *weights, edgernn_steps *kept)
{
    const int32_t width = of[EDGERNN_HEAD_FEATURES] + EDGERNN_HEAD_OWN;
    int32_t i;
    for (i = 0; i < of[EDGERNN_HEAD_OUTPUTS] * width; ++i) {
        weights[i] = 0;
    }
    kept->place = 0;
    kept->count = 0;
}

EDGERNN_API void edgernn_head_step(const int32_t *of, const int32_t *weights, edgernn_steps *kept,
                                   int8_t *operands, int16_t *answers, const int16_t *h,
                                   const int16_t *y, int32_t *corrected)
{
    const int32_t features = of[EDGERNN_HEAD_FEATURES];
    const int32_t outputs = of[EDGERNN_HEAD_OUTPUTS];
    const int32_t limit = of[EDGERNN_HEAD_LIMIT];
    int8_t *const phi = operands + kept->place * features;
    int16_t *const answer = answers + kept->place * outputs;
    int32_t i;
    for (i = 0; i < features; ++i) {
        phi[i] = (int8_t)operand(h[i]);
    }
    for (i = 0; i < outputs; ++i) {
        answer[i] = y[i];
        corrected[i] =
            y[i] + between(correction(weights, features, phi, operand(y[i])), -limit, limit);
        weights += features + EDGERNN_HEAD_OWN;
    }
    kept->place = (int16_t)(kept->place + 1 == of[EDGERNN_HEAD_STEPS] ? 0 : kept->place + 1);
    if (kept->count < of[EDGERNN_HEAD_STEPS]) {
        ++kept->count;
    }
}

EDGERNN_API int32_t edgernn_head_learn(const int32_t *of, int32_t *weights,
                                       const edgernn_steps *kept, const int8_t *operands,
                                       const int16_t *answers, const int32_t *target,
                                       const uint8_t *missing, int32_t *error)
{
    const int32_t features = of[EDGERNN_HEAD_FEATURES];
    const int32_t outputs = of[EDGERNN_HEAD_OUTPUTS];
    const int32_t limit = of[EDGERNN_HEAD_LIMIT];
    const int32_t most = of[EDGERNN_HEAD_ERROR_LIMIT];
    /* The oldest step that is kept is the one that comes next to be replaced. */
    const int8_t *const phi = operands + kept->place * features;
    const int16_t *const answer = answers + kept->place * outputs;
    int32_t power = CONSTANT * CONSTANT;
    int32_t i;
    for (i = 0; i < outputs; ++i) {
        error[i] = 0;
    }
    if (kept->count < of[EDGERNN_HEAD_STEPS]) {
        return 0;
    }
    for (i = 0; i < features; ++i) {
        power += phi[i] * phi[i];
    }
    for (i = 0; i < outputs; ++i) {
        if (missing == 0 || missing[i] == 0) {
            const int32_t own = operand(answer[i]);
            const int32_t s = correction(weights, features, phi, own);
            const int32_t t = between(target[i], -MOST_TARGET, MOST_TARGET);
            int32_t e;
            error[i] = t - (answer[i] + between(s, -limit, limit));
            e = between(error[i], -most, most);
            if ((s > limit && e > 0) || (s < -limit && e < 0)) {
                e = 0;
            }
            move(of, weights, phi, own, power + own * own, e);
        }
        weights += features + EDGERNN_HEAD_OWN;
    }
    return 1;
}
