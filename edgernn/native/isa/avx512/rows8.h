/* Maps of w8a8 on AVX-512 with VNNI: 32 rows at a time, whose sums hide VPDPBUSD's latency, and the
 * last ones 16 at a time. 4 rows are a block.
 *
 * A register holds 4 tiles of a block, one in each 128-bit part, and the operands of tile t in
 * every word of part t. VPDPBUSD multiplies weights that are stored with 128 added, so a sum starts
 * at -128 times the sum of its operands; arithmetic modulo 2^32 brings every sum back into the
 * bounds of clause 4.4.
 */
#ifndef EDGERNN_ISA_AVX512_ROWS8_H
#define EDGERNN_ISA_AVX512_ROWS8_H

#include <stddef.h>

#include "../../edgernn_affine.h"
#include "../../common/lanes.h"

#define MOST_TERMS 2 /* clauses 4.1, 5.1 */
#define TWICE (2 * EDGERNN_LANES)

/* Weights of 4 blocks. Blocks behind the last row repeat the last one; their sums are not used. */
typedef struct {
    const int8_t *a;
    const int8_t *b;
    const int8_t *c;
    const int8_t *d;
} blocks;

typedef struct {
    __m512i a;
    __m512i b;
    __m512i c;
    __m512i d;
} block_sums;

EDGERNN_INLINE blocks blocks_from(const int8_t *weights, int32_t tiles, int32_t row, int32_t left)
{
    const int32_t size = tiles * EDGERNN_TILE_BYTES;
    blocks w;
    w.a = weights + row / EDGERNN_TILE_ROWS * size;
    w.b = left > 4 ? w.a + size : w.a;
    w.c = left > 8 ? w.b + size : w.b;
    w.d = left > 12 ? w.c + size : w.c;
    return w;
}

/* Values of 16 rows, or of the `left` last ones. */
EDGERNN_INLINE edgernn_lanes rows_load(const int32_t *from, int32_t left)
{
    return (edgernn_lanes)(left >= EDGERNN_LANES
                               ? _mm512_loadu_si512(from)
                               : _mm512_maskz_loadu_epi32(edgernn_lanes_first(left), from));
}

EDGERNN_INLINE edgernn_lanes rows_load_bytes(const uint8_t *from, int32_t left)
{
    const __m128i v = left >= EDGERNN_LANES
                          ? _mm_loadu_si128((const __m128i *)(const void *)from)
                          : _mm_maskz_loadu_epi8(edgernn_lanes_first(left), from);
    return (edgernn_lanes)_mm512_cvtepu8_epi32(v);
}

EDGERNN_INLINE void rows_store_sat16(int16_t *z, edgernn_lanes v, int32_t left)
{
    const __m256i narrow = _mm512_cvtsepi32_epi16((__m512i)v);
    if (left >= EDGERNN_LANES) {
        _mm256_storeu_si256((__m256i *)(void *)z, narrow);
    } else {
        _mm256_mask_storeu_epi16(z, edgernn_lanes_first(left), narrow);
    }
}

/* Words of operands, at most 4, in pieces: a load of bytes from two stores waits for the cache. */
EDGERNN_INLINE __m128i words4(const char *from, int32_t count)
{
    if (count >= 4) {
        return _mm_unpacklo_epi64(_mm_loadu_si64(from), _mm_loadu_si64(from + 8));
    }
    return count == 3 ? _mm_unpacklo_epi64(_mm_loadu_si64(from), _mm_loadu_si32(from + 8))
                      : count == 2 ? _mm_loadu_si64(from) : _mm_loadu_si32(from);
}

/* Operands of up to 4 tiles. */
EDGERNN_INLINE __m512i spread8(const edgernn_code8 *operands, int32_t tiles)
{
    const __m512i part = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m128i words = words4((const char *)operands, tiles);
    return _mm512_permutexvar_epi32(part, _mm512_castsi128_si512(words));
}

/* The sums over 128-bit parts, in the order of rows. */
EDGERNN_INLINE edgernn_lanes rows_of_parts(block_sums s)
{
    const __m512i ab = _mm512_add_epi32(_mm512_shuffle_i32x4(s.a, s.b, 0x88),
                                        _mm512_shuffle_i32x4(s.a, s.b, 0xDD));
    const __m512i cd = _mm512_add_epi32(_mm512_shuffle_i32x4(s.c, s.d, 0x88),
                                        _mm512_shuffle_i32x4(s.c, s.d, 0xDD));
    return (edgernn_lanes)_mm512_add_epi32(_mm512_shuffle_i32x4(ab, cd, 0x88),
                                           _mm512_shuffle_i32x4(ab, cd, 0xDD));
}

/* Tiles of operands that are kept spread for all rows; of longer terms the others are spread for
 * every 16 rows anew. */
#define KEPT_TILES 128

/* The operands of a term. */
typedef struct {
    const edgernn_code8 *operands;
    __m512i minus_128; /* times their sum, in every word */
    __m512i spread[KEPT_TILES / 4];
} operands8;

static void spread_all(const edgernn_term8 *term, const edgernn_code8 *operands, operands8 *x)
{
    const __m512i all_128 = _mm512_set1_epi8(-128);
    const int32_t tiles = term->tiles;
    __m512i sum = _mm512_setzero_si512();
    __m512i other = sum;
    int32_t t;
    x->operands = operands + term->first;
    for (t = 0; t < tiles; t += 4) {
        const __m512i four = spread8(x->operands + EDGERNN_TILE_COLUMNS * t, tiles - t);
        const __m512i now = _mm512_dpbusd_epi32(sum, all_128, four);
        sum = other;
        other = now;
        if (t < KEPT_TILES) {
            x->spread[t / 4] = four;
        }
    }
    sum = _mm512_add_epi32(sum, other);
    sum = _mm512_add_epi32(sum, _mm512_shuffle_i32x4(sum, sum, 0x4E));
    sum = _mm512_add_epi32(sum, _mm512_shuffle_i32x4(sum, sum, 0xB1));
    x->minus_128 = _mm512_sub_epi32(_mm512_setzero_si512(), sum);
}

/* VPDPBUSD of 64 weights. Given the intrinsic, compilers copy every sum to and fro. */
EDGERNN_INLINE __m512i add_products8(__m512i sum, const int8_t *weights, __m512i x)
{
    const __m512i w = _mm512_loadu_si512(weights);
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
}

/* 4 tiles of every block. The last ones may reach into the next block, where operands are zeros. */
EDGERNN_INLINE void add_tiles8(blocks w, ptrdiff_t at, __m512i x, block_sums *s)
{
    s->a = add_products8(s->a, w.a + at, x);
    s->b = add_products8(s->b, w.b + at, x);
    s->c = add_products8(s->c, w.c + at, x);
    s->d = add_products8(s->d, w.d + at, x);
}

EDGERNN_INLINE edgernn_lanes sums8(const operands8 *x, blocks w, int32_t tiles)
{
    const __m512i zero = _mm512_setzero_si512();
    const ptrdiff_t end = (ptrdiff_t)EDGERNN_TILE_BYTES * tiles;
    const ptrdiff_t kept = end < KEPT_TILES * EDGERNN_TILE_BYTES ? end
                                                                 : KEPT_TILES * EDGERNN_TILE_BYTES;
    const char *spread = (const char *)x->spread; /* 64 bytes for 4 tiles, as weights */
    block_sums s = {zero, zero, zero, zero};
    ptrdiff_t at;
    for (at = 0; at < kept; at += 64) {
        add_tiles8(w, at, _mm512_load_si512(spread + at), &s);
    }
    for (; at < end; at += 64) {
        const int32_t t = (int32_t)(at / EDGERNN_TILE_BYTES);
        add_tiles8(w, at, spread8(x->operands + EDGERNN_TILE_COLUMNS * t, tiles - t), &s);
    }
    return rows_of_parts(s) + (edgernn_lanes)x->minus_128;
}

/* The sums of 32 rows, of at most KEPT_TILES tiles. */
EDGERNN_INLINE void twice_sums8(const operands8 *x, const int8_t *weights, int32_t tiles,
                                edgernn_lanes *first, edgernn_lanes *second)
{
    const __m512i zero = _mm512_setzero_si512();
    const ptrdiff_t size = (ptrdiff_t)EDGERNN_TILE_BYTES * tiles;
    const int8_t *third = weights + 3 * size; /* of 8 blocks */
    const int8_t *sixth = weights + 6 * size;
    const char *spread = (const char *)x->spread;
    block_sums s = {zero, zero, zero, zero};
    block_sums t = s;
    ptrdiff_t at;
    for (at = 0; at < size; at += 64) {
        const __m512i four = _mm512_load_si512(spread + at);
        s.a = add_products8(s.a, weights + at, four);
        s.b = add_products8(s.b, weights + size + at, four);
        s.c = add_products8(s.c, weights + 2 * size + at, four);
        s.d = add_products8(s.d, third + at, four);
        t.a = add_products8(t.a, third + size + at, four);
        t.b = add_products8(t.b, third + 2 * size + at, four);
        t.c = add_products8(t.c, sixth + at, four);
        t.d = add_products8(t.d, sixth + size + at, four);
    }
    *first = rows_of_parts(s) + (edgernn_lanes)x->minus_128;
    *second = rows_of_parts(t) + (edgernn_lanes)x->minus_128;
}

/* Clauses 4.2 and 4.3 before the shift, rows row .. row + left - 1. */
EDGERNN_INLINE edgernn_lanes some_rows8(const edgernn_map8 *map, const operands8 *x,
                                        int32_t terms, int32_t row, int32_t left)
{
    edgernn_lanes u = rows_load(map->bias + row, left);
    int32_t i;
    for (i = 0; i < terms; ++i) {
        const edgernn_term8 *term = map->terms + i;
        const blocks w = blocks_from(term->weights, term->tiles, row, left);
        u += sums8(x + i, w, term->tiles) * rows_load(term->multiplier + row, left);
    }
    return u;
}

/* The same of the 16 rows from `row` on and of the 16 behind them; no term has more than KEPT_TILES
 * tiles. */
EDGERNN_INLINE void twice_rows8(const edgernn_map8 *map, const operands8 *x, int32_t terms,
                                int32_t row, edgernn_lanes *first, edgernn_lanes *second)
{
    const int32_t next = row + EDGERNN_LANES;
    edgernn_lanes u = rows_load(map->bias + row, EDGERNN_LANES);
    edgernn_lanes v = rows_load(map->bias + next, EDGERNN_LANES);
    int32_t i;
    for (i = 0; i < terms; ++i) {
        const edgernn_term8 *term = map->terms + i;
        edgernn_lanes a;
        edgernn_lanes b;
        twice_sums8(x + i, term->weights + (ptrdiff_t)row * EDGERNN_TILE_COLUMNS * term->tiles,
                  term->tiles, &a, &b);
        u += a * rows_load(term->multiplier + row, EDGERNN_LANES);
        v += b * rows_load(term->multiplier + next, EDGERNN_LANES);
    }
    *first = u;
    *second = v;
}

/* Whether all operands of a map are kept spread. */
EDGERNN_INLINE int32_t keeps_all(const edgernn_map8 *map)
{
    return map->terms[0].tiles <= KEPT_TILES &&
           map->terms[map->term_count - 1].tiles <= KEPT_TILES;
}

/* z[rows], from the last 32 rows to the first ones where `backwards`. */
EDGERNN_INLINE void rows_of_terms8(const edgernn_map8 *map, const operands8 *x, int32_t terms,
                                   int32_t backwards, int16_t *z)
{
    const int32_t shift = map->shift;
    const edgernn_lanes half = edgernn_lanes_all((int32_t)1 << (shift - 1));
    const int32_t paired = keeps_all(map) ? map->rows - map->rows % TWICE : 0;
    int32_t row;
    for (row = 0; row < paired; row += TWICE) {
        const int32_t j = backwards ? paired - TWICE - row : row;
        edgernn_lanes u;
        edgernn_lanes v;
        twice_rows8(map, x, terms, j, &u, &v);
        rows_store_sat16(z + j, (u + half) >> shift, EDGERNN_LANES);
        rows_store_sat16(z + j + EDGERNN_LANES, (v + half) >> shift, EDGERNN_LANES);
    }
    for (; row < map->rows; row += EDGERNN_LANES) {
        const int32_t left = map->rows - row;
        rows_store_sat16(z + row, (some_rows8(map, x, terms, row, left) + half) >> shift, left);
    }
}

/* Clauses 4.2 and 4.3 of a map of dense terms, in either order of rows. */
EDGERNN_NOT_INLINE void all_rows8(const edgernn_map8 *map, const edgernn_code8 *operands,
                                  int32_t backwards, int16_t *z)
{
    operands8 x[MOST_TERMS];
    spread_all(map->terms, operands, x);
    if (map->term_count == 1) { /* so that either loop knows its number of terms */
        rows_of_terms8(map, x, 1, backwards, z);
    } else {
        spread_all(map->terms + 1, operands, x + 1);
        rows_of_terms8(map, x, 2, backwards, z);
    }
}

#endif
