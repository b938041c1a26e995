/* Dense maps of NATIVE_GROUP streams at once on AVX2, for isa/group_steps.h: 8 rows at a time, every
 * tile of weights widened to int16_t once for all streams, the 4 operands of its columns in every
 * row, VPMADDWD. w8a8 operands are widened before.
 */
#ifndef EDGERNN_EXTENSION_ISA_STREAMS_AVX2_H
#define EDGERNN_EXTENSION_ISA_STREAMS_AVX2_H

/* The operands of a stream, as int16_t. */
static const void *spread_for_streams8(const edgernn_code8 *operands, int32_t count, void *spread)
{
    int16_t *wide = spread;
    int32_t j;
    for (j = 0; j < count; ++j) {
        wide[j] = operands[j];
    }
    return wide;
}

static const void *spread_for_streams16(const edgernn_code16 *operands, int32_t count, void *spread)
{
    (void)count;
    (void)spread;
    return operands;
}

/* Add the products of two tiles v and w with the 4 operands from `at` on to the sums a and b. Given
 * intrinsics, compilers order them so that sums do not fit the registers. */
EDGERNN_INLINE void add_products(__m256i *a, __m256i *b, __m256i v, __m256i w, const int16_t *at)
{
    __m256i x;
    __m256i product;
    __asm__("vpbroadcastq %[at], %[x]\n\t"
            "vpmaddwd %[x], %[v], %[product]\n\t"
            "vpaddd %[product], %[a], %[a]\n\t"
            "vpmaddwd %[x], %[w], %[x]\n\t"
            "vpaddd %[x], %[b], %[b]"
            : [a] "+x"(*a), [b] "+x"(*b), [x] "=&x"(x), [product] "=&x"(product)
            : [v] "x"(v), [w] "x"(w), [at] "m"(*(const int16_t(*)[EDGERNN_TILE_COLUMNS])at));
}

EDGERNN_INLINE __m256i wide_tile(const int8_t *tile)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)tile));
}

/* The sums without bias of 8 rows, whose blocks begin at a and b, for every stream. */
EDGERNN_INLINE void sums_of_streams(const int8_t *a, const int8_t *b, const int16_t *const *x,
                                    int32_t first, int32_t tiles, edgernn_lanes *sums)
{
    const int16_t *x0 = x[0] + first;
    const int16_t *x1 = x[1] + first;
    const int16_t *x2 = x[2] + first;
    const int16_t *x3 = x[3] + first;
    __m256i a0 = _mm256_setzero_si256();
    __m256i a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    int32_t t;
    for (t = 0; t < tiles; ++t) {
        const __m256i v = wide_tile(a + EDGERNN_TILE_BYTES * t);
        const __m256i w = wide_tile(b + EDGERNN_TILE_BYTES * t);
        add_products(&a0, &b0, v, w, x0 + EDGERNN_TILE_COLUMNS * t);
        add_products(&a1, &b1, v, w, x1 + EDGERNN_TILE_COLUMNS * t);
        add_products(&a2, &b2, v, w, x2 + EDGERNN_TILE_COLUMNS * t);
        add_products(&a3, &b3, v, w, x3 + EDGERNN_TILE_COLUMNS * t);
    }
    sums[0] = rows_of_pairs(a0, b0);
    sums[1] = rows_of_pairs(a1, b1);
    sums[2] = rows_of_pairs(a2, b2);
    sums[3] = rows_of_pairs(a3, b3);
}

#define ROWS_AT_ONCE 8

/* z[s][rows] of every stream s, from its spread operands. */
EDGERNN_NOT_INLINE void map_of_streams8(const edgernn_map8 *map, const void *const *spread,
                                        int16_t *const *z)
{
    const int16_t *const x[NATIVE_GROUP] = {spread[0], spread[1], spread[2], spread[3]};
    const edgernn_term8 *end = map->terms + map->term_count;
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    int32_t row;
    for (row = 0; row < map->rows; row += ROWS_AT_ONCE) {
        const int32_t left = map->rows - row;
        const edgernn_lanes bias = load8(map->bias + row, left) + half;
        edgernn_lanes u[NATIVE_GROUP] = {bias, bias, bias, bias};
        const edgernn_term8 *term;
        int32_t s;
        for (term = map->terms; term != end; ++term) {
            const blocks w = blocks_from(term->weights, term->tiles, row, left);
            const edgernn_lanes multiplier = load8(term->multiplier + row, left);
            edgernn_lanes sums[NATIVE_GROUP];
            sums_of_streams(w.a, w.b, x, term->first, term->tiles, sums);
            for (s = 0; s < NATIVE_GROUP; ++s) {
                u[s] += sums[s] * multiplier;
            }
        }
        for (s = 0; s < NATIVE_GROUP; ++s) {
            edgernn_lanes_store(z[s] + row, u[s] >> shift, left); /* saturates */
        }
    }
}

EDGERNN_NOT_INLINE void map_of_streams16(const edgernn_map16 *map, const void *const *spread,
                                         int16_t *const *z)
{
    const int16_t *const x[NATIVE_GROUP] = {spread[0], spread[1], spread[2], spread[3]};
    const edgernn_term16 *end = map->terms + map->term_count;
    int32_t row;
    for (row = 0; row < map->rows; row += ROWS_AT_ONCE) {
        const int32_t left = map->rows - row;
        const edgernn_lanes zero = edgernn_lanes_all(0);
        edgernn_lanes u[NATIVE_GROUP] = {zero, zero, zero, zero};
        const edgernn_term16 *term;
        int32_t s;
        for (term = map->terms; term != end; ++term) {
            const blocks w = blocks_from(term->weights, term->tiles, row, left);
            const constants16 k = constants_load(term, row, left);
            edgernn_lanes sums[NATIVE_GROUP];
            sums_of_streams(w.a, w.b, x, term->first, term->tiles, sums);
            for (s = 0; s < NATIVE_GROUP; ++s) {
                u[s] += product_of(k, sums[s]);
            }
        }
        for (s = 0; s < NATIVE_GROUP; ++s) {
            edgernn_lanes_store(z[s] + row, u[s], left); /* saturates */
        }
    }
}

#endif
