#include "edgernn_readings.h"

#include "common/fixed.h"

static int32_t within(int32_t v, int32_t low, int32_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* n / d for d < 2^13 and a quotient < 2^17, without the division that small cores lack. */
static uint32_t quotient(uint32_t n, uint32_t d)
{
    uint32_t q = 0;
    int32_t bit;
    for (bit = 16; bit >= 0; --bit) {
        if (n >= d << bit) {
            n -= d << bit;
            q |= (uint32_t)1 << bit;
        }
    }
    return q;
}

/* Clause 12.2: sums are made positive, so that the quotient is a floor. */
static int32_t mean(const edgernn_window *window)
{
    const int32_t count = window->count;
    const uint32_t sum = (uint32_t)(window->sum + 32768 * count);
    return (int32_t)quotient(2 * sum + (uint32_t)count, 2 * (uint32_t)count) - 32768;
}

/* The greatest r with r * r <= w, for w < 2^30. */
static int32_t root(int32_t w)
{
    int32_t r = 0;
    int32_t bit;
    for (bit = 1 << 14; bit != 0; bit >>= 1) {
        const int32_t more = r | bit;
        r = more * more <= w ? more : r;
    }
    return r;
}

/* Clause 12.3. */
static int32_t deviation(const edgernn_window *window, const int16_t *ring, int32_t fraction)
{
    const int32_t count = window->count;
    const int32_t middle = mean(window);
    int32_t most = 0;
    int32_t bits = 0;
    int32_t e = 0;
    int32_t g = 0;
    int32_t squares = 0;
    int32_t whole = 0;
    int32_t rest = 0;
    int32_t bit;
    int32_t i;
    for (i = 0; i < count; ++i) {
        const int32_t d = ring[i] - middle;
        most = within(d < 0 ? -d : d, most, 65535);
    }
    while (1 << bits < count) {
        ++bits;
    }
    bits = (30 - bits) >> 1;
    while (most >> e >= 1 << bits) {
        ++e;
    }
    for (i = 0; i < count; ++i) {
        const int32_t d = ring[i] - middle;
        const int32_t t = e == 0 ? d : edgernn_half_up(d, e);
        squares += t * t;
    }
    if (squares == 0) {
        return 0;
    }
    /* Long division of the squares, and on, two bits at a time. */
    for (bit = 30; bit >= 0; --bit) {
        rest = 2 * rest + ((squares >> bit) & 1);
        whole *= 2;
        if (rest >= count) {
            rest -= count;
            ++whole;
        }
    }
    while (whole < 1 << 28) {
        for (bit = 0; bit < 2; ++bit) {
            rest *= 2;
            whole *= 2;
            if (rest >= count) {
                rest -= count;
                ++whole;
            }
        }
        ++g;
    }
    whole = root(whole);
    g -= e + fraction;
    if (g < 0) {
        return whole > 32767 >> -g ? 32767 : whole << -g;
    }
    return g == 0 ? whole : edgernn_half_up(whole, g);
}

/* Takes a value into a ring. */
static void take(edgernn_window *window, int16_t *ring, int32_t length, int32_t value)
{
    int16_t *const place = ring + window->place;
    window->sum += value;
    if (window->count == length) {
        window->sum -= *place;
    } else {
        ++window->count;
    }
    *place = (int16_t)value;
    window->place = (int16_t)(window->place + 1 == length ? 0 : window->place + 1);
}

/* Clause 12.2, of the ring behind its newest value. */
static int32_t feature(const int32_t *of, const edgernn_window *window, const int16_t *ring,
                       int32_t newest)
{
    const int32_t count = window->count;
    const int32_t oldest = ring[count == of[EDGERNN_FEATURE_RING] ? window->place : 0];
    int32_t found = newest;
    int32_t i;
    switch (of[EDGERNN_FEATURE_KIND]) {
    case EDGERNN_LAG:
        return oldest;
    case EDGERNN_DIFFERENCE:
        return newest - oldest;
    case EDGERNN_MEAN:
        return mean(window);
    case EDGERNN_MINIMUM:
        for (i = 0; i < count; ++i) {
            found = ring[i] < found ? ring[i] : found;
        }
        return found;
    case EDGERNN_MAXIMUM:
        for (i = 0; i < count; ++i) {
            found = ring[i] > found ? ring[i] : found;
        }
        return found;
    case EDGERNN_DEVIATION:
        return deviation(window, ring, of[EDGERNN_FEATURE_FRACTION]);
    default:
        return newest;
    }
}

EDGERNN_API void edgernn_begin_readings(const edgernn_preparation *of, int16_t *values,
                                        edgernn_window *windows)
{
    int32_t i;
    for (i = 0; i < of->channels; ++i) {
        values[i] = 0;
    }
    for (i = 0; i < of->features; ++i) {
        windows[i].sum = 0;
        windows[i].place = 0;
        windows[i].count = 0;
    }
}

EDGERNN_API void edgernn_prepare(const edgernn_preparation *of,
                                 const edgernn_input_channel *channels, const int32_t *x,
                                 const uint8_t *missing, int16_t *values, edgernn_window *windows,
                                 int16_t *rings, int16_t *codes)
{
    const int32_t *own = of->of_features;
    int32_t i;
    for (i = 0; i < of->channels; ++i) {
        if (missing == 0 || missing[i] == 0) {
            values[i] = edgernn_channel_value(&channels[i], x[i]);
        }
    }
    for (i = 0; i < of->features; ++i) {
        const int32_t length = own[EDGERNN_FEATURE_RING];
        const int32_t newest = within(values[own[EDGERNN_FEATURE_CHANNEL]],
                                      own[EDGERNN_FEATURE_LEAST], own[EDGERNN_FEATURE_GREATEST]);
        int32_t w = newest;
        if (own[EDGERNN_FEATURE_KIND] != EDGERNN_VALUE) {
            take(&windows[i], rings, length, newest);
            w = feature(own, &windows[i], rings, newest);
            rings += length;
        }
        w = edgernn_half_up(own[EDGERNN_FEATURE_MULTIPLIER] * w + own[EDGERNN_FEATURE_BIAS],
                            own[EDGERNN_FEATURE_SHIFT]);
        codes[i] = (int16_t)within(w, own[EDGERNN_FEATURE_LOW], own[EDGERNN_FEATURE_HIGH]);
        own += EDGERNN_FEATURE_MEMBERS;
    }
}

EDGERNN_API int32_t edgernn_decide_threshold(const int32_t *of, const int16_t *y,
                                             edgernn_switch *state)
{
    const int32_t code = y[of[EDGERNN_THRESHOLD_OUTPUT]];
    const int32_t on = of[EDGERNN_THRESHOLD_ON];
    const int32_t off = of[EDGERNN_THRESHOLD_OFF];
    const int32_t below = of[EDGERNN_THRESHOLD_BELOW];
    const int32_t needed = state->is_on != 0 ? of[EDGERNN_THRESHOLD_OFF_READINGS]
                                             : of[EDGERNN_THRESHOLD_ON_READINGS];
    int32_t changes;
    if (state->is_on != 0) {
        changes = below != 0 ? code > off : code < off;
    } else {
        changes = below != 0 ? code <= on : code >= on;
    }
    state->count = changes != 0 ? state->count + 1 : 0;
    if (changes != 0 && state->count >= needed) {
        state->is_on = state->is_on == 0;
        state->count = 0;
    }
    return state->is_on;
}

EDGERNN_API int32_t edgernn_decide_majority(const int16_t *outputs, int32_t count,
                                            int32_t readings, const int16_t *y,
                                            edgernn_window *state, int16_t *ring, int16_t *votes)
{
    int32_t best = 0;
    int32_t i;
    for (i = 1; i < count; ++i) {
        best = y[outputs[i]] > y[outputs[best]] ? i : best;
    }
    if (state->count == readings) {
        --votes[ring[state->place]];
    }
    ++votes[best];
    take(state, ring, readings, best);
    best = 0;
    for (i = 1; i < count; ++i) {
        best = votes[i] > votes[best] ? i : best;
    }
    return best;
}
