#include "edgernn_tokens.h"

static int32_t nearest_token(int32_t token, int32_t greatest)
{
    return token < 0 ? 0 : token > greatest ? greatest : token;
}

EDGERNN_API void edgernn_embed(const edgernn_embedding *embedding, const int16_t *tokens,
                               int32_t count, int16_t *out)
{
    const int32_t columns = embedding->columns;
    int32_t t;
    for (t = 0; t < count; ++t) {
        const int32_t row = nearest_token(tokens[t], embedding->rows - 1);
        const int8_t *from = embedding->table + row * columns;
        int32_t j;
        for (j = 0; j < columns; ++j) {
            *out++ = (int16_t)(from[j] * 256);
        }
    }
}

EDGERNN_API void edgernn_code_values8(const int16_t *codes, int32_t count, int16_t *out)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        out[j] = (int16_t)(codes[j] * 256);
    }
}

static int is_token(const edgernn_input_channel *channel)
{
    return channel->multiplier == 0;
}

EDGERNN_API void edgernn_quantize_tokens8(const edgernn_input_channel *channels, int32_t count,
                                          const int32_t *x, int16_t *q_x)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        if (is_token(&channels[j])) {
            q_x[j] = (int16_t)nearest_token(x[j], channels[j].reach);
        } else {
            int8_t code;
            edgernn_quantize8(&channels[j], 1, &x[j], &code);
            q_x[j] = code;
        }
    }
}

EDGERNN_API void edgernn_quantize_tokens16(const edgernn_input_channel *channels, int32_t count,
                                           const int32_t *x, int16_t *q_x)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        if (is_token(&channels[j])) {
            q_x[j] = (int16_t)nearest_token(x[j], channels[j].reach);
        } else {
            edgernn_quantize16(&channels[j], 1, &x[j], &q_x[j]);
        }
    }
}

static uint32_t is_no_token(const edgernn_input_channel *channel, int32_t x)
{
    return x < 0 || x > channel->reach ? 1u : 0u;
}

EDGERNN_API void edgernn_count_clipped_tokens8(const edgernn_input_channel *channels, int32_t count,
                                               const int32_t *x, uint32_t *counts)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        if (is_token(&channels[j])) {
            counts[j] += is_no_token(&channels[j], x[j]);
        } else {
            edgernn_count_clipped8(&channels[j], 1, &x[j], &counts[j]);
        }
    }
}

EDGERNN_API void edgernn_count_clipped_tokens16(const edgernn_input_channel *channels,
                                                int32_t count, const int32_t *x, uint32_t *counts)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        if (is_token(&channels[j])) {
            counts[j] += is_no_token(&channels[j], x[j]);
        } else {
            edgernn_count_clipped16(&channels[j], 1, &x[j], &counts[j]);
        }
    }
}
