#include "edgernn_border.h"

/* floor(a * b / 2^32) from four 16-bit products, because 64-bit ones are calls on small cores. */
static uint32_t high_word(uint32_t a, uint32_t b)
{
    const uint32_t a_low = a & 0xFFFFu;
    const uint32_t a_high = a >> 16;
    const uint32_t b_low = b & 0xFFFFu;
    const uint32_t b_high = b >> 16;
    const uint32_t first = a_high * b_low + ((a_low * b_low) >> 16);
    const uint32_t second = a_low * b_high + (first & 0xFFFFu);
    return a_high * b_high + (first >> 16) + (second >> 16);
}

static int32_t clamp(int32_t v, int32_t low, int32_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* The code before saturation. */
static int32_t nearest(const edgernn_input_channel *channel, int32_t x)
{
    const int32_t low = channel->center - channel->reach;
    const int32_t high = channel->center + channel->reach;
    const int32_t d = clamp(x, low, high) - channel->center;
    const uint32_t v = high_word((uint32_t)(d < 0 ? -d : d), channel->multiplier);
    const int32_t q = (int32_t)((v + ((uint32_t)1 << (channel->shift - 1))) >> channel->shift);
    return d < 0 ? -q : q;
}

EDGERNN_API int16_t edgernn_channel_value(const edgernn_input_channel *channel, int32_t x)
{
    return (int16_t)clamp(nearest(channel, x), -32767, 32767);
}

EDGERNN_API int32_t edgernn_channel_code(const edgernn_input_channel *channel, int32_t x)
{
    return nearest(channel, x);
}

EDGERNN_API int32_t edgernn_wide_value(uint32_t multiplier, int32_t code)
{
    const uint32_t size = (uint32_t)(code < 0 ? -code : code);
    const int32_t v = (int32_t)high_word(size << 12, multiplier);
    return code < 0 ? -v : v;
}

EDGERNN_API void edgernn_quantize8(const edgernn_input_channel *channels, int32_t count,
                                   const int32_t *x, int8_t *q_x)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        q_x[j] = (int8_t)clamp(nearest(&channels[j], x[j]), -128, 127);
    }
}

EDGERNN_API void edgernn_quantize16(const edgernn_input_channel *channels, int32_t count,
                                    const int32_t *x, int16_t *q_x)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        q_x[j] = (int16_t)(4 * clamp(nearest(&channels[j], x[j]), -8191, 8191));
    }
}

EDGERNN_API void edgernn_count_clipped8(const edgernn_input_channel *channels, int32_t count,
                                        const int32_t *x, uint32_t *counts)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        /* Below code -128 by half a step: reach is 128 steps, and the code stops there. */
        const int32_t reach = channels[j].reach;
        const int32_t lowest = channels[j].center - reach - (reach >> 8);
        counts[j] += x[j] < lowest || nearest(&channels[j], x[j]) > 127 ? 1u : 0u;
    }
}

EDGERNN_API void edgernn_count_clipped16(const edgernn_input_channel *channels, int32_t count,
                                         const int32_t *x, uint32_t *counts)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        const int32_t q = nearest(&channels[j], x[j]);
        counts[j] += q < -8191 || q > 8191 ? 1u : 0u;
    }
}

EDGERNN_API void edgernn_dequantize(const edgernn_output_channel *channels, int32_t count,
                                    const int16_t *q_y, int32_t *y)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        const int32_t code = q_y[j];
        const uint32_t size = (uint32_t)(code < 0 ? -code : code); /* at most 2^15 */
        const uint32_t high = size * (channels[j].multiplier >> 16);
        const uint32_t low = size * (channels[j].multiplier & 0xFFFFu);
        const int32_t value = (int32_t)(high + ((low + 0x8000u) >> 16));
        y[j] = code < 0 ? -value : value;
    }
}
