#include "edgernn_ops.h"

#include "common/lanes.h"

EDGERNN_INLINE void product_lanes(const int16_t *a, const int16_t *b, int32_t shift, int16_t *out,
                                  int32_t left)
{
    const edgernn_lanes p = edgernn_lanes_load(a, left) * edgernn_lanes_load(b, left);
    edgernn_lanes_store(out, edgernn_lanes_sat16(edgernn_lanes_round_any(p, shift)), left);
}

EDGERNN_API void edgernn_product(const int16_t *a, const int16_t *b, int32_t shift, int32_t count,
                                 int16_t *out)
{
    EDGERNN_EACH_LANES(count, product_lanes(a + j, b + j, shift, out + j, left));
}

EDGERNN_INLINE void sum_lanes(const int16_t *a, const int16_t *b, int16_t *out, int32_t left)
{
    const edgernn_lanes sum = edgernn_lanes_load(a, left) + edgernn_lanes_load(b, left);
    edgernn_lanes_store(out, edgernn_lanes_sat16(sum), left);
}

EDGERNN_API void edgernn_sum(const int16_t *a, const int16_t *b, int32_t count, int16_t *out)
{
    EDGERNN_EACH_LANES(count, sum_lanes(a + j, b + j, out + j, left));
}

EDGERNN_INLINE void rescale_lanes(const int16_t *v, int32_t shift, int16_t *out, int32_t left)
{
    edgernn_lanes_store(out, edgernn_lanes_round_any(edgernn_lanes_load(v, left), shift), left);
}

EDGERNN_API void edgernn_rescale(const int16_t *v, int32_t shift, int32_t count, int16_t *out)
{
    EDGERNN_EACH_LANES(count, rescale_lanes(v + j, shift, out + j, left));
}

EDGERNN_INLINE void complement_lanes(const int16_t *v, int16_t *out, int32_t left)
{
    edgernn_lanes_store(out, edgernn_lanes_sat16(32768 - edgernn_lanes_load(v, left)), left);
}

EDGERNN_API void edgernn_complement(const int16_t *v, int32_t count, int16_t *out)
{
    EDGERNN_EACH_LANES(count, complement_lanes(v + j, out + j, left));
}

EDGERNN_INLINE void scale_lanes(const edgernn_scales *by, const int16_t *v, int32_t j, int16_t *out,
                                int32_t left)
{
    const edgernn_lanes p =
        edgernn_lanes_load(v + j, left) * edgernn_lanes_load(by->multiplier + j, left);
    edgernn_lanes y = edgernn_lanes_sat16(edgernn_lanes_round_any(p, by->shift));
    if (by->bias != 0) {
        y = edgernn_lanes_sat16(y + edgernn_lanes_load(by->bias + j, left));
    }
    edgernn_lanes_store(out + j, y, left);
}

EDGERNN_API void edgernn_scale(const edgernn_scales *by, const int16_t *v, int32_t count,
                               int16_t *out)
{
    EDGERNN_EACH_LANES(count, scale_lanes(by, v, j, out, left));
}

/* What is to be added to b for the smaller of a and b: |a - b| < 2^16, so nothing overflows. */
EDGERNN_INLINE edgernn_lanes less_than(edgernn_lanes a, edgernn_lanes b)
{
    const edgernn_lanes above = a - b;
    return above & (above >> 31);
}

EDGERNN_INLINE void maximum_lanes(const int16_t *a, const int16_t *b, int16_t *out, int32_t left)
{
    const edgernn_lanes v = edgernn_lanes_load(a, left);
    edgernn_lanes_store(out, v - less_than(v, edgernn_lanes_load(b, left)), left);
}

EDGERNN_API void edgernn_maximum(const int16_t *a, const int16_t *b, int32_t count, int16_t *out)
{
    EDGERNN_EACH_LANES(count, maximum_lanes(a + j, b + j, out + j, left));
}

EDGERNN_INLINE void minimum_lanes(const int16_t *a, const int16_t *b, int16_t *out, int32_t left)
{
    const edgernn_lanes w = edgernn_lanes_load(b, left);
    edgernn_lanes_store(out, w + less_than(edgernn_lanes_load(a, left), w), left);
}

EDGERNN_API void edgernn_minimum(const int16_t *a, const int16_t *b, int32_t count, int16_t *out)
{
    EDGERNN_EACH_LANES(count, minimum_lanes(a + j, b + j, out + j, left));
}

/* Bit by bit from above: r is the root of s, or 32767. No square leaves int32, as s < 2^31. */
EDGERNN_INLINE void hypotenuse_lanes(const int16_t *a, const int16_t *b, int16_t *out,
                                     int32_t left)
{
    const edgernn_lanes least = edgernn_lanes_all(-32767);
    edgernn_lanes v = edgernn_lanes_load(a, left);
    edgernn_lanes w = edgernn_lanes_load(b, left);
    edgernn_lanes r = edgernn_lanes_all(0);
    edgernn_lanes s;
    int32_t bit;
    v = v - less_than(v, least);
    w = w - less_than(w, least);
    s = v * v + w * w;
    for (bit = 1 << 14; bit != 0; bit >>= 1) {
        const edgernn_lanes tried = r + edgernn_lanes_all(bit);
        r = r + (edgernn_lanes_all(bit) & ~((s - tried * tried) >> 31));
    }
    r = r - ((r - (s - r * r)) >> 31);
    edgernn_lanes_store(out, edgernn_lanes_sat16(r), left);
}

EDGERNN_API void edgernn_hypotenuse(const int16_t *a, const int16_t *b, int32_t count, int16_t *out)
{
    EDGERNN_EACH_LANES(count, hypotenuse_lanes(a + j, b + j, out + j, left));
}

EDGERNN_API void edgernn_values8(const int8_t *codes, int32_t count, int16_t *out)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        out[j] = codes[j];
    }
}

#define HELD_AT_ONCE 32 /* a multiple of what EDGERNN_PADDED fills up to */

EDGERNN_API void edgernn_held8(const int16_t *codes, int32_t count, edgernn_code8 *operands)
{
    int8_t narrow[HELD_AT_ONCE];
    int32_t done;
    int32_t j;
    for (done = 0; done < count; done += HELD_AT_ONCE) {
        const int32_t left = count - done < HELD_AT_ONCE ? count - done : HELD_AT_ONCE;
        for (j = 0; j < left; ++j) {
            narrow[j] = (int8_t)codes[done + j];
        }
        edgernn_codes8(narrow, left, operands + done);
    }
}

EDGERNN_API void edgernn_held16(const int16_t *codes, int32_t count, edgernn_code16 *operands)
{
    edgernn_codes16(codes, count, operands);
}

#define DEFINE_ROW(name, type)                                           \
    EDGERNN_API void name(const type *operands, int32_t count, type *row) \
    {                                                                    \
        int32_t j;                                                       \
        for (j = 0; j < count; ++j) {                                    \
            row[j] = operands[j];                                        \
        }                                                                \
        for (; j < EDGERNN_PADDED(count); ++j) {                         \
            row[j] = 0;                                                  \
        }                                                                \
    }

DEFINE_ROW(edgernn_row8, edgernn_code8)
DEFINE_ROW(edgernn_row16, edgernn_code16)

EDGERNN_API void edgernn_push(const int16_t *row, int32_t width, int32_t count, int16_t *rows)
{
    int32_t j;
    for (j = count - 1; j >= width; --j) {
        rows[j] = rows[j - width];
    }
    edgernn_copy16(row, width, rows);
}

EDGERNN_API void edgernn_repeat(const edgernn_rows *of, int32_t count, int16_t *rows)
{
    int32_t done;
    for (done = 0; done < count; done += of->width) {
        edgernn_copy16(of->start, of->width, rows + done);
    }
}

EDGERNN_API void edgernn_copy8(const int8_t *codes, int32_t count, int8_t *row)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        row[j] = codes[j];
    }
}

EDGERNN_API void edgernn_repeat8(const edgernn_rows *of, int32_t count, int8_t *rows)
{
    int32_t done;
    int32_t j;
    for (done = 0; done < count; done += of->width) {
        for (j = 0; j < of->width; ++j) {
            rows[done + j] = (int8_t)of->start[j];
        }
    }
}
