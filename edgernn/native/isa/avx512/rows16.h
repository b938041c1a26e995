/* Maps of w8a16 on AVX-512 with VNNI, as isa/avx512/rows8.h: a register holds 2 tiles of a
 * block, widened to int16_t, for VPDPWSSD.
 */
#ifndef EDGERNN_ISA_AVX512_ROWS16_H
#define EDGERNN_ISA_AVX512_ROWS16_H

#include "rows8.h"

/* Operands of up to 2 tiles. */
EDGERNN_INLINE __m512i spread16(const edgernn_code16 *operands, int32_t tiles)
{
    const __m512i part = _mm512_setr_epi64(0, 0, 0, 0, 1, 1, 1, 1);
    const void *from = operands;
    const __m128i words =
        tiles == 2 ? _mm_loadu_si128((const __m128i *)from) : _mm_loadu_si64(from);
    return _mm512_permutexvar_epi64(part, _mm512_castsi128_si512(words));
}

/* Weights of up to 2 tiles. */
EDGERNN_INLINE __m512i wide(const int8_t *from, int32_t tiles)
{
    return _mm512_cvtepi8_epi16(tiles == 2 ? _mm256_loadu_si256((const __m256i *)(const void *)from)
                                           : _mm256_maskz_loadu_epi32(0x0F, from));
}

EDGERNN_INLINE void add_tiles16(blocks w, __m512i x, int32_t t, int32_t count, block_sums *s)
{
    const int32_t at = EDGERNN_TILE_BYTES * t;
    s->a = _mm512_dpwssd_epi32(s->a, wide(w.a + at, count), x);
    s->b = _mm512_dpwssd_epi32(s->b, wide(w.b + at, count), x);
    s->c = _mm512_dpwssd_epi32(s->c, wide(w.c + at, count), x);
    s->d = _mm512_dpwssd_epi32(s->d, wide(w.d + at, count), x);
}

/* Words 0 and 2 of every 128-bit part of a and b plus their words 1 and 3. */
EDGERNN_INLINE __m512i add_neighbours(__m512i a, __m512i b)
{
    const __m512 u = _mm512_castsi512_ps(a);
    const __m512 v = _mm512_castsi512_ps(b);
    return _mm512_add_epi32(_mm512_castps_si512(_mm512_shuffle_ps(u, v, 0x88)),
                            _mm512_castps_si512(_mm512_shuffle_ps(u, v, 0xDD)));
}

/* The sums over pairs of words and over both tiles, in the order of rows. */
EDGERNN_INLINE edgernn_lanes rows_of_pairs(block_sums s)
{
    const __m512i ab = add_neighbours(s.a, s.b);
    const __m512i cd = add_neighbours(s.c, s.d);
    const __m512i sum = _mm512_add_epi32(_mm512_shuffle_i32x4(ab, cd, 0x44),
                                         _mm512_shuffle_i32x4(ab, cd, 0xEE));
    return (edgernn_lanes)_mm512_permutex_epi64(sum, 0xD8);
}

EDGERNN_INLINE edgernn_lanes sums16(blocks w, const edgernn_code16 *operands, int32_t tiles)
{
    const __m512i zero = _mm512_setzero_si512();
    block_sums s = {zero, zero, zero, zero};
    int32_t t;
    for (t = 0; t + 2 <= tiles; t += 2) {
        add_tiles16(w, spread16(operands + EDGERNN_TILE_COLUMNS * t, 2), t, 2, &s);
    }
    if (t < tiles) {
        add_tiles16(w, spread16(operands + EDGERNN_TILE_COLUMNS * t, 1), t, 1, &s);
    }
    return rows_of_pairs(s);
}

/* The sums of two times 16 rows. */
EDGERNN_INLINE void twice_sums16(const edgernn_code16 *operands, blocks v, blocks w, int32_t tiles,
                                 edgernn_lanes *first, edgernn_lanes *second)
{
    const __m512i zero = _mm512_setzero_si512();
    block_sums s = {zero, zero, zero, zero};
    block_sums u = s;
    int32_t t;
    for (t = 0; t + 2 <= tiles; t += 2) {
        const __m512i x = spread16(operands + EDGERNN_TILE_COLUMNS * t, 2);
        add_tiles16(v, x, t, 2, &s);
        add_tiles16(w, x, t, 2, &u);
    }
    if (t < tiles) {
        const __m512i x = spread16(operands + EDGERNN_TILE_COLUMNS * t, 1);
        add_tiles16(v, x, t, 1, &s);
        add_tiles16(w, x, t, 1, &u);
    }
    *first = rows_of_pairs(s);
    *second = rows_of_pairs(u);
}

/* Clause 5.2, p from the sum without bias. */
EDGERNN_INLINE edgernn_lanes product16(const edgernn_term16 *term, int32_t row, int32_t left,
                                       edgernn_lanes sum)
{
    const edgernn_lanes shift = rows_load_bytes(term->shift + row, left);
    const edgernn_lanes half = (edgernn_lanes_all(1) << shift) >> 1;
    const edgernn_lanes v = (sum + rows_load(term->bias + row, left) + half) >> shift;
    const edgernn_lanes multiplier = edgernn_lanes_load(term->multiplier + row, left);
    return edgernn_lanes_scaled(edgernn_lanes_sat16(v), multiplier);
}

/* Clauses 5.2 and 5.3, rows row .. row + left - 1. */
EDGERNN_INLINE edgernn_lanes some_rows16(const edgernn_map16 *map, const edgernn_code16 *operands,
                                         int32_t row, int32_t left)
{
    const edgernn_term16 *end = map->terms + map->term_count;
    const edgernn_term16 *term;
    edgernn_lanes u = edgernn_lanes_all(0);
    for (term = map->terms; term != end; ++term) {
        const blocks w = blocks_from(term->weights, term->tiles, row, left);
        const edgernn_lanes sum = sums16(w, operands + term->first, term->tiles);
        u += product16(term, row, left, sum);
    }
    return u;
}

/* The same of the 16 rows from `row` on and of the 16 behind them. */
EDGERNN_INLINE void twice_rows16(const edgernn_map16 *map, const edgernn_code16 *operands,
                                 int32_t row, edgernn_lanes *first, edgernn_lanes *second)
{
    const edgernn_term16 *end = map->terms + map->term_count;
    const int32_t next = row + EDGERNN_LANES;
    const edgernn_term16 *term;
    edgernn_lanes u = edgernn_lanes_all(0);
    edgernn_lanes v = u;
    for (term = map->terms; term != end; ++term) {
        edgernn_lanes a;
        edgernn_lanes b;
        twice_sums16(operands + term->first,
                   blocks_from(term->weights, term->tiles, row, EDGERNN_LANES),
                   blocks_from(term->weights, term->tiles, next, EDGERNN_LANES), term->tiles, &a,
                   &b);
        u += product16(term, row, EDGERNN_LANES, a);
        v += product16(term, next, EDGERNN_LANES, b);
    }
    *first = u;
    *second = v;
}

/* Clauses 5.2 and 5.3 of a map of dense terms, in either order of rows. */
EDGERNN_NOT_INLINE void all_rows16(const edgernn_map16 *map, const edgernn_code16 *operands,
                                   int32_t backwards, int16_t *z)
{
    const int32_t rows = map->rows;
    const int32_t paired = rows - rows % TWICE;
    int32_t row;
    for (row = 0; row < paired; row += TWICE) {
        const int32_t j = backwards ? paired - TWICE - row : row;
        edgernn_lanes u;
        edgernn_lanes v;
        twice_rows16(map, operands, j, &u, &v);
        rows_store_sat16(z + j, u, EDGERNN_LANES);
        rows_store_sat16(z + j + EDGERNN_LANES, v, EDGERNN_LANES);
    }
    for (; row < rows; row += EDGERNN_LANES) {
        const int32_t left = rows - row;
        rows_store_sat16(z + row, some_rows16(map, operands, row, left), left);
    }
}

#endif
