/* Dense maps of NATIVE_GROUP streams at once on AVX-512 with VNNI, for isa/group_steps.h: 16 rows at
 * a time, as isa/avx512/rows8.h and rows16.h, every register of weights loaded once for all streams.
 * Before, the operands of each tile were repeated as often as they stand in such a register.
 */
#ifndef EDGERNN_EXTENSION_ISA_STREAMS_AVX512_H
#define EDGERNN_EXTENSION_ISA_STREAMS_AVX512_H

/* Bytes of a tile's operands, 4 times each. */
#define SPREAD8 16
#define SPREAD16 32

static const void *spread_for_streams8(const edgernn_code8 *operands, int32_t count, void *spread)
{
    char *to = spread;
    int32_t j;
    for (j = 0; j < count; j += EDGERNN_TILE_COLUMNS) {
        const __m128i four = _mm_broadcastd_epi32(_mm_loadu_si32(operands + j));
        _mm_storeu_si128((__m128i *)(void *)to, four);
        to += SPREAD8;
    }
    return spread;
}

static const void *spread_for_streams16(const edgernn_code16 *operands, int32_t count, void *spread)
{
    char *to = spread;
    int32_t j;
    for (j = 0; j < count; j += EDGERNN_TILE_COLUMNS) {
        const __m256i four = _mm256_broadcastq_epi64(_mm_loadu_si64(operands + j));
        _mm256_storeu_si256((__m256i *)(void *)to, four);
        to += SPREAD16;
    }
    return spread;
}

/* The operands of a term's first tile, of every stream. */
typedef struct {
    const char *of0;
    const char *of1;
    const char *of2;
    const char *of3;
} group_operands;

EDGERNN_INLINE group_operands operands_from(const void *const *spread, int32_t first, int32_t bytes)
{
    const size_t at = (size_t)(first / EDGERNN_TILE_COLUMNS) * (size_t)bytes;
    group_operands x;
    x.of0 = (const char *)spread[0] + at;
    x.of1 = (const char *)spread[1] + at;
    x.of2 = (const char *)spread[2] + at;
    x.of3 = (const char *)spread[3] + at;
    return x;
}

/* As many words as `which` names, zeros for the others. */
EDGERNN_INLINE __m512i spread_load(const char *from, __mmask16 which)
{
    return _mm512_maskz_loadu_epi32(which, from);
}

/* The words of `tiles` tiles, at most 64 bytes of them. */
EDGERNN_INLINE __mmask16 words_of(int32_t tiles, int32_t words)
{
    return (__mmask16)(tiles * words >= 16 ? 0xFFFFu : (1u << (tiles * words)) - 1u);
}

EDGERNN_INLINE __m512i add_bytes(__m512i sum, __m512i w, __m512i x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
}

EDGERNN_INLINE __m512i add_words(__m512i sum, __m512i w, __m512i x)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
}

/* The sums without bias of 16 rows, for every stream. `load` makes a register of weights of `step`
 * tiles from where they are and how many there are. */
#define DEFINE_SUMS_OF_STREAMS(bits, step, words, load, add)                                   \
    EDGERNN_INLINE void sums_of_streams##bits(blocks at, group_operands x, int32_t tiles,      \
                                              edgernn_lanes *sums)                             \
    {                                                                                          \
        const __m512i zero = _mm512_setzero_si512();                                           \
        block_sums s0 = {zero, zero, zero, zero};                                              \
        block_sums s1 = s0;                                                                    \
        block_sums s2 = s0;                                                                    \
        block_sums s3 = s0;                                                                    \
        int32_t t;                                                                             \
        for (t = 0; t < tiles; t += (step)) {                                                  \
            const __mmask16 which = words_of(tiles - t, words);                                \
            const size_t from = (size_t)t * (size_t)(4 * (words));                             \
            const int32_t w = EDGERNN_TILE_BYTES * t;                                          \
            const __m512i a = load(at.a + w, tiles - t);                                       \
            const __m512i b = load(at.b + w, tiles - t);                                       \
            const __m512i c = load(at.c + w, tiles - t);                                       \
            const __m512i d = load(at.d + w, tiles - t);                                       \
            __m512i four = spread_load(x.of0 + from, which);                                   \
            s0.a = add(s0.a, a, four);                                                         \
            s0.b = add(s0.b, b, four);                                                         \
            s0.c = add(s0.c, c, four);                                                         \
            s0.d = add(s0.d, d, four);                                                         \
            four = spread_load(x.of1 + from, which);                                           \
            s1.a = add(s1.a, a, four);                                                         \
            s1.b = add(s1.b, b, four);                                                         \
            s1.c = add(s1.c, c, four);                                                         \
            s1.d = add(s1.d, d, four);                                                         \
            four = spread_load(x.of2 + from, which);                                           \
            s2.a = add(s2.a, a, four);                                                         \
            s2.b = add(s2.b, b, four);                                                         \
            s2.c = add(s2.c, c, four);                                                         \
            s2.d = add(s2.d, d, four);                                                         \
            four = spread_load(x.of3 + from, which);                                           \
            s3.a = add(s3.a, a, four);                                                         \
            s3.b = add(s3.b, b, four);                                                         \
            s3.c = add(s3.c, c, four);                                                         \
            s3.d = add(s3.d, d, four);                                                         \
        }                                                                                      \
        sums[0] = rows_of_##bits(s0);                                                          \
        sums[1] = rows_of_##bits(s1);                                                          \
        sums[2] = rows_of_##bits(s2);                                                          \
        sums[3] = rows_of_##bits(s3);                                                          \
    }

/* The last tiles may reach into the next block, where operands are zeros. */
EDGERNN_INLINE __m512i four_tiles(const int8_t *from, int32_t tiles)
{
    (void)tiles;
    return _mm512_loadu_si512(from);
}

EDGERNN_INLINE __m512i two_tiles(const int8_t *from, int32_t tiles)
{
    return wide(from, tiles >= 2 ? 2 : 1);
}

#define rows_of_8 rows_of_parts
#define rows_of_16 rows_of_pairs
DEFINE_SUMS_OF_STREAMS(8, 4, SPREAD8 / 4, four_tiles, add_bytes)
DEFINE_SUMS_OF_STREAMS(16, 2, SPREAD16 / 4, two_tiles, add_words)

/* -128 times the sum of a term's operands, in every word: weights are stored with 128 added. */
EDGERNN_INLINE edgernn_lanes minus_128_times(const char *spread, int32_t tiles)
{
    const __m512i all_128 = _mm512_set1_epi8(-128);
    __m512i sum = _mm512_setzero_si512();
    int32_t t;
    for (t = 0; t < tiles; t += 4) {
        sum = _mm512_dpbusd_epi32(
            sum, all_128, spread_load(spread + SPREAD8 * t, words_of(tiles - t, SPREAD8 / 4)));
    }
    sum = _mm512_add_epi32(sum, _mm512_shuffle_i32x4(sum, sum, 0x4E));
    sum = _mm512_add_epi32(sum, _mm512_shuffle_i32x4(sum, sum, 0xB1));
    return (edgernn_lanes)_mm512_sub_epi32(_mm512_setzero_si512(), sum);
}

/* z[s][rows] of every stream s, from its spread operands. */
EDGERNN_NOT_INLINE void map_of_streams8(const edgernn_map8 *map, const void *const *spread,
                                        int16_t *const *z)
{
    const int32_t shift = map->shift;
    edgernn_lanes start[2][NATIVE_GROUP]; /* of as many terms as there may be (clause 4.1) */
    int32_t row;
    int32_t i;
    int32_t s;
    for (i = 0; i < map->term_count; ++i) {
        const edgernn_term8 *term = map->terms + i;
        for (s = 0; s < NATIVE_GROUP; ++s) {
            const char *from =
                (const char *)spread[s] + (ptrdiff_t)term->first / EDGERNN_TILE_COLUMNS * SPREAD8;
            start[i][s] = minus_128_times(from, term->tiles);
        }
    }
    for (row = 0; row < map->rows; row += EDGERNN_LANES) {
        const int32_t left = map->rows - row;
        const edgernn_lanes bias =
            rows_load(map->bias + row, left) + edgernn_lanes_all((int32_t)1 << (shift - 1));
        edgernn_lanes u[NATIVE_GROUP] = {bias, bias, bias, bias};
        for (i = 0; i < map->term_count; ++i) {
            const edgernn_term8 *term = map->terms + i;
            const edgernn_lanes multiplier = rows_load(term->multiplier + row, left);
            edgernn_lanes sums[NATIVE_GROUP];
            sums_of_streams8(blocks_from(term->weights, term->tiles, row, left),
                             operands_from(spread, term->first, SPREAD8), term->tiles, sums);
            for (s = 0; s < NATIVE_GROUP; ++s) {
                u[s] += (sums[s] + start[i][s]) * multiplier;
            }
        }
        for (s = 0; s < NATIVE_GROUP; ++s) {
            rows_store_sat16(z[s] + row, u[s] >> shift, left);
        }
    }
}

EDGERNN_NOT_INLINE void map_of_streams16(const edgernn_map16 *map, const void *const *spread,
                                         int16_t *const *z)
{
    const edgernn_term16 *end = map->terms + map->term_count;
    int32_t row;
    for (row = 0; row < map->rows; row += EDGERNN_LANES) {
        const int32_t left = map->rows - row;
        const edgernn_lanes zero = edgernn_lanes_all(0);
        edgernn_lanes u[NATIVE_GROUP] = {zero, zero, zero, zero};
        const edgernn_term16 *term;
        int32_t s;
        for (term = map->terms; term != end; ++term) {
            edgernn_lanes sums[NATIVE_GROUP];
            sums_of_streams16(blocks_from(term->weights, term->tiles, row, left),
                              operands_from(spread, term->first, SPREAD16), term->tiles, sums);
            for (s = 0; s < NATIVE_GROUP; ++s) {
                u[s] += product16(term, row, left, sums[s]);
            }
        }
        for (s = 0; s < NATIVE_GROUP; ++s) {
            rows_store_sat16(z[s] + row, u[s], left);
        }
    }
}

#endif
