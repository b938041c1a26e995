/* Affine maps on AVX2: 16 rows, that is 4 blocks of 4 rows, at a time.
 *
 * w8a8: a register holds 2 tiles of a block, one in each half, and the operands of tile t in every
 * word of half t. VPMADDUBSW multiplies bytes without sign, here |x|, by bytes with sign, here w
 * with the sign of x: a pair of products is at most 2 * 127 * 128 and never saturates.
 *
 * w8a16: a tile widened to int16_t, the 4 operands of its columns in every row, VPMADDWD.
 */
#ifndef EDGERNN_ISA_AVX2_AFFINE_H
#define EDGERNN_ISA_AVX2_AFFINE_H

#include "../../edgernn_affine.h"
#include "../../common/lanes.h"

#define ROWS 16

/* Weights of 4 blocks. Blocks behind the last row repeat the last one; their sums are not used. */
typedef struct {
    const int8_t *a;
    const int8_t *b;
    const int8_t *c;
    const int8_t *d;
} blocks;

typedef struct {
    __m256i a;
    __m256i b;
    __m256i c;
    __m256i d;
} block_sums;

/* Rows 0 to 7 and 8 to 15. */
typedef struct {
    edgernn_lanes low;
    edgernn_lanes high;
} rows16;

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

/* Arrays of rows are filled up to 4: 8 elements, or 4 of them, or none. */
EDGERNN_INLINE edgernn_lanes load8(const int32_t *from, int32_t left)
{
    if (left <= 0) {
        return edgernn_lanes_all(0);
    }
    return (edgernn_lanes)(left > 4 ? _mm256_loadu_si256((const __m256i *)(const void *)from)
                                    : _mm256_zextsi128_si256(_mm_loadu_si128(
                                          (const __m128i *)(const void *)from)));
}

EDGERNN_INLINE rows16 rows_load(const int32_t *from, int32_t left)
{
    rows16 v;
    v.low = load8(from, left);
    v.high = load8(from + 8, left - 8);
    return v;
}

EDGERNN_INLINE void rows_store(int16_t *z, rows16 v, int32_t left)
{
    edgernn_lanes_store(z, v.low, left);
    if (left > 8) {
        edgernn_lanes_store(z + 8, v.high, left - 8);
    }
}

EDGERNN_INLINE __m128i operand_words(const void *from, int32_t count)
{
    int32_t word[2] = {0, 0};
    __builtin_memcpy(word, from, (size_t)count * sizeof word[0]);
    return _mm_set_epi32(0, 0, word[1], word[0]);
}

/* Weights of up to 2 tiles. */
EDGERNN_INLINE __m256i narrow(const int8_t *from, int32_t tiles)
{
    const void *at = from;
    return tiles == 2 ? _mm256_loadu_si256((const __m256i *)at)
                      : _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)at));
}

EDGERNN_INLINE __m256i products8(const int8_t *from, int32_t tiles, __m256i x, __m256i size)
{
    const __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(narrow(from, tiles), x));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

EDGERNN_INLINE void add_tiles8(blocks w, const edgernn_code8 *operands, int32_t t, int32_t count,
                               block_sums *s)
{
    const __m256i part = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const __m128i words = operand_words(operands + EDGERNN_TILE_COLUMNS * t, count);
    const __m256i x = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(words), part);
    const __m256i size = _mm256_abs_epi8(x);
    const int32_t at = EDGERNN_TILE_BYTES * t;
    s->a = _mm256_add_epi32(s->a, products8(w.a + at, count, x, size));
    s->b = _mm256_add_epi32(s->b, products8(w.b + at, count, x, size));
    s->c = _mm256_add_epi32(s->c, products8(w.c + at, count, x, size));
    s->d = _mm256_add_epi32(s->d, products8(w.d + at, count, x, size));
}

/* The sums of two blocks over both halves. */
EDGERNN_INLINE edgernn_lanes rows_of_halves(__m256i a, __m256i b)
{
    return (edgernn_lanes)_mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
                                           _mm256_permute2x128_si256(a, b, 0x31));
}

EDGERNN_INLINE rows16 sums8(blocks w, const edgernn_code8 *operands, int32_t tiles)
{
    const __m256i zero = _mm256_setzero_si256();
    block_sums s = {zero, zero, zero, zero};
    rows16 sum;
    int32_t t;
    for (t = 0; t + 2 <= tiles; t += 2) {
        add_tiles8(w, operands, t, 2, &s);
    }
    if (t < tiles) {
        add_tiles8(w, operands, t, 1, &s);
    }
    sum.low = rows_of_halves(s.a, s.b);
    sum.high = rows_of_halves(s.c, s.d);
    return sum;
}

EDGERNN_INLINE void affine8_of_dense(const edgernn_map8 *map, const edgernn_code8 *operands,
                                     int16_t *z)
{
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    const edgernn_term8 *end = map->terms + map->term_count;
    const int32_t rows = map->rows;
    int32_t row;
    for (row = 0; row < rows; row += ROWS) {
        const int32_t left = rows - row;
        rows16 u = rows_load(map->bias + row, left);
        const edgernn_term8 *term;
        for (term = map->terms; term != end; ++term) {
            const blocks w = blocks_from(term->weights, term->tiles, row, left);
            const rows16 acc = sums8(w, operands + term->first, term->tiles);
            const rows16 multiplier = rows_load(term->multiplier + row, left);
            u.low += acc.low * multiplier.low;
            u.high += acc.high * multiplier.high;
        }
        u.low = (u.low + half) >> shift;
        u.high = (u.high + half) >> shift;
        rows_store(z + row, u, left); /* saturates */
    }
}

EDGERNN_INLINE __m256i products16(const int8_t *tile, __m256i x)
{
    const __m128i w = _mm_loadu_si128((const __m128i *)(const void *)tile);
    return _mm256_madd_epi16(_mm256_cvtepi8_epi16(w), x);
}

/* The sums of two blocks over pairs of words. */
EDGERNN_INLINE edgernn_lanes rows_of_pairs(__m256i a, __m256i b)
{
    return (edgernn_lanes)_mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xD8);
}

EDGERNN_INLINE rows16 sums16(blocks w, const edgernn_code16 *operands, int32_t tiles)
{
    const __m256i zero = _mm256_setzero_si256();
    block_sums s = {zero, zero, zero, zero};
    rows16 sum;
    int32_t at;
    for (at = 0; at < EDGERNN_TILE_BYTES * tiles; at += EDGERNN_TILE_BYTES) {
        const __m256i x = _mm256_broadcastq_epi64(operand_words(operands, 2));
        operands += EDGERNN_TILE_COLUMNS;
        s.a = _mm256_add_epi32(s.a, products16(w.a + at, x));
        s.b = _mm256_add_epi32(s.b, products16(w.b + at, x));
        s.c = _mm256_add_epi32(s.c, products16(w.c + at, x));
        s.d = _mm256_add_epi32(s.d, products16(w.d + at, x));
    }
    sum.low = rows_of_pairs(s.a, s.b);
    sum.high = rows_of_pairs(s.c, s.d);
    return sum;
}

/* The constants of clause 5.2 for 8 rows. */
typedef struct {
    edgernn_lanes bias;
    edgernn_lanes shift;
    edgernn_lanes half;
    edgernn_lanes multiplier;
} constants16;

EDGERNN_INLINE constants16 constants_load(const edgernn_term16 *term, int32_t row, int32_t left)
{
    const void *multiplier = term->multiplier + row;
    const void *shift = term->shift + row;
    constants16 k;
    k.bias = load8(term->bias + row, left);
    k.shift = (edgernn_lanes)_mm256_cvtepu8_epi32(left > 4 ? _mm_loadu_si64(shift)
                                                           : _mm_loadu_si32(shift));
    k.multiplier = (edgernn_lanes)_mm256_cvtepi16_epi32(
        left > 4 ? _mm_loadu_si128((const __m128i *)multiplier) : _mm_loadu_si64(multiplier));
    k.half = (edgernn_lanes_all(1) << k.shift) >> 1;
    return k;
}

/* Clause 5.2, p from sums without bias. */
EDGERNN_INLINE edgernn_lanes product_of(constants16 k, edgernn_lanes sum)
{
    const edgernn_lanes v = (sum + k.bias + k.half) >> k.shift;
    return edgernn_lanes_scaled(edgernn_lanes_sat16(v), k.multiplier);
}

/* The same of the 8 rows from `row` on. */
EDGERNN_INLINE edgernn_lanes product16(const edgernn_term16 *term, int32_t row, int32_t left,
                                       edgernn_lanes sum)
{
    return product_of(constants_load(term, row, left), sum);
}

EDGERNN_INLINE void affine16_of_dense(const edgernn_map16 *map, const edgernn_code16 *operands,
                                      int16_t *z)
{
    const edgernn_term16 *end = map->terms + map->term_count;
    const int32_t rows = map->rows;
    int32_t row;
    for (row = 0; row < rows; row += ROWS) {
        const int32_t left = rows - row;
        rows16 u = {edgernn_lanes_all(0), edgernn_lanes_all(0)};
        const edgernn_term16 *term;
        for (term = map->terms; term != end; ++term) {
            const blocks w = blocks_from(term->weights, term->tiles, row, left);
            const rows16 sum = sums16(w, operands + term->first, term->tiles);
            u.low += product16(term, row, left, sum.low);
            if (left > 8) {
                u.high += product16(term, row + 8, left - 8, sum.high);
            }
        }
        rows_store(z + row, u, left); /* saturates */
    }
}

#if EDGERNN_HAS_STORAGES

#define GROUP_TILES 32
#define rows_load load8

EDGERNN_INLINE const int8_t *dense_group8(const int8_t *weights, const edgernn_code8 *operands,
                                          int32_t tiles, int32_t *acc)
{
    const rows16 sums = sums8(blocks_from(weights, tiles, 0, 4), operands, tiles);
    _mm_storeu_si128((__m128i *)(void *)acc, _mm256_castsi256_si128((__m256i)sums.low));
    return weights + EDGERNN_TILE_BYTES * tiles;
}

EDGERNN_INLINE const int8_t *dense_group16(const int8_t *weights, const edgernn_code16 *operands,
                                           int32_t tiles, int32_t *acc)
{
    const rows16 sums = sums16(blocks_from(weights, tiles, 0, 4), operands, tiles);
    _mm_storeu_si128((__m128i *)(void *)acc, _mm256_castsi256_si128((__m256i)sums.low));
    return weights + EDGERNN_TILE_BYTES * tiles;
}

#endif

#undef ROWS
#endif
