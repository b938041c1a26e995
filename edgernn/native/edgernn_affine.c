#include "edgernn_affine.h"

#include "edgernn_fixed.h"

/* acc of clause 4.2. No partial sum leaves int32_t: 131072 products of at most 2^14. */
static int32_t dot8(const int8_t *weights, const int8_t *operands, int32_t count)
{
    int32_t acc = 0;
    int32_t j;
    for (j = 0; j < count; ++j) {
        acc += (int32_t)weights[j] * operands[j];
    }
    return acc;
}

/* acc of clause 5.2, which bounds it with its bias in any order of summation. */
static int32_t dot16(int32_t bias, const int8_t *weights, const int16_t *operands, int32_t count)
{
    int32_t acc = bias;
    int32_t j;
    for (j = 0; j < count; ++j) {
        acc += (int32_t)weights[j] * operands[j];
    }
    return acc;
}

void edgernn_affine8(const edgernn_map8 *map, const int8_t *operands, int16_t *z)
{
    int32_t row;
    for (row = 0; row < map->rows; ++row) {
        int32_t u = map->bias[row];
        int32_t t;
        for (t = 0; t < map->term_count; ++t) {
            const edgernn_term8 *term = &map->terms[t];
            const int8_t *weights = term->weights + row * term->columns;
            u += dot8(weights, operands + term->first, term->columns) * term->multiplier[row];
        }
        z[row] = edgernn_sat16(edgernn_half_up(u, map->shift));
    }
}

/* p of clause 5.2 for one row. */
static int32_t product16(const edgernn_term16 *term, int32_t row, const int16_t *operands)
{
    const int8_t *weights = term->weights + row * term->columns;
    const int32_t acc = dot16(term->bias[row], weights, operands + term->first, term->columns);
    return edgernn_scaled(edgernn_sat16(edgernn_half_up(acc, term->shift[row])),
                          term->multiplier[row]);
}

void edgernn_affine16(const edgernn_map16 *map, const int16_t *operands, int16_t *z)
{
    int32_t row;
    for (row = 0; row < map->rows; ++row) {
        int32_t sum = 0;
        int32_t t;
        for (t = 0; t < map->term_count; ++t) {
            sum += product16(&map->terms[t], row, operands);
        }
        z[row] = edgernn_sat16(sum);
    }
}

void edgernn_operands8(const int16_t *value, int32_t count, int8_t *operands)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        operands[j] = edgernn_sat8(edgernn_round(value[j], 8));
    }
}

void edgernn_operands16(const int16_t *value, int32_t count, int16_t *operands)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        operands[j] = (int16_t)(4 * edgernn_round(value[j], 3));
    }
}

void edgernn_copy8(const int8_t *from, int32_t count, int8_t *to)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        to[j] = from[j];
    }
}

void edgernn_copy16(const int16_t *from, int32_t count, int16_t *to)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        to[j] = from[j];
    }
}

void edgernn_zero16(int16_t *vector, int32_t count)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        vector[j] = 0;
    }
}
