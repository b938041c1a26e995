/* Affine maps on AVX-512 with VNNI: 16 rows, that is 4 blocks of 4 rows, at a time.
 *
 * w8a8: a register holds 4 tiles of a block, one in each 128-bit part, and the operands of tile t
 * in every word of part t. VPDPBUSD multiplies weights that are stored with 128 added, so a sum
 * starts at -128 times the sum of its operands; arithmetic modulo 2^32 brings every sum back into
 * the bounds of clause 4.4.
 *
 * w8a16: the same with 2 tiles, widened to int16_t, and VPDPWSSD.
 */
#ifndef EDGERNN_AFFINE_AVX512_H
#define EDGERNN_AFFINE_AVX512_H

#include <stddef.h>

#include "edgernn_affine.h"
#include "edgernn_lanes.h"

#define MOST_TERMS 2 /* clauses 4.1, 5.1 */

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
    int32_t t;
    x->operands = operands + term->first;
    for (t = 0; t < tiles; t += 4) {
        const __m512i four = spread8(x->operands + EDGERNN_TILE_COLUMNS * t, tiles - t);
        sum = _mm512_dpbusd_epi32(sum, all_128, four);
        if (t < KEPT_TILES) {
            x->spread[t / 4] = four;
        }
    }
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

/* Rows row .. row + left - 1, before the shift. */
EDGERNN_INLINE edgernn_lanes rows8(const edgernn_map8 *map, const operands8 *x, int32_t terms,
                                   int32_t row, int32_t left)
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

EDGERNN_INLINE void all_rows8(const edgernn_map8 *map, const operands8 *x, int32_t terms,
                              int16_t *z)
{
    const int32_t shift = map->shift;
    const edgernn_lanes half = edgernn_lanes_all((int32_t)1 << (shift - 1));
    EDGERNN_EACH_LANES(
        map->rows, rows_store_sat16(z + j, (rows8(map, x, terms, j, left) + half) >> shift, left));
}

EDGERNN_INLINE void affine8_of_dense(const edgernn_map8 *map, const edgernn_code8 *operands,
                                     int16_t *z)
{
    operands8 x[MOST_TERMS];
    spread_all(map->terms, operands, x);
    if (map->term_count == 1) { /* so that either loop knows its number of terms */
        all_rows8(map, x, 1, z);
    } else {
        spread_all(map->terms + 1, operands, x + 1);
        all_rows8(map, x, 2, z);
    }
}

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

EDGERNN_INLINE void add_tiles16(blocks w, const edgernn_code16 *operands, int32_t t, int32_t count,
                                block_sums *s)
{
    const __m512i x = spread16(operands + EDGERNN_TILE_COLUMNS * t, count);
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
        add_tiles16(w, operands, t, 2, &s);
    }
    if (t < tiles) {
        add_tiles16(w, operands, t, 1, &s);
    }
    return rows_of_pairs(s);
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

EDGERNN_INLINE void affine16_of_dense(const edgernn_map16 *map, const edgernn_code16 *operands,
                                      int16_t *z)
{
    const edgernn_term16 *end = map->terms + map->term_count;
    const int32_t rows = map->rows;
    int32_t row;
    for (row = 0; row < rows; row += EDGERNN_LANES) {
        const int32_t left = rows - row;
        edgernn_lanes u = edgernn_lanes_all(0);
        const edgernn_term16 *term;
        for (term = map->terms; term != end; ++term) {
            const blocks w = blocks_from(term->weights, term->tiles, row, left);
            const edgernn_lanes sum = sums16(w, operands + term->first, term->tiles);
            u += product16(term, row, left, sum);
        }
        rows_store_sat16(z + row, u, left);
    }
}

/* In the pieces that products load: they would wait for bytes. */
EDGERNN_API void edgernn_codes8(const int8_t *codes, int32_t count, edgernn_code8 *operands)
{
    uint64_t piece = 0;
    int32_t j = 0;
    int32_t i;
    for (; j + 8 <= count; j += 8) {
        __builtin_memcpy(operands + j, codes + j, 8);
    }
    for (i = 0; j + i < count; ++i) {
        piece |= (uint64_t)(uint8_t)codes[j + i] << (8 * i);
    }
    if (i > 4) {
        __builtin_memcpy(operands + j, &piece, 8);
    } else if (i > 0) {
        __builtin_memcpy(operands + j, &piece, 4);
    }
}

#undef MOST_TERMS
#endif
