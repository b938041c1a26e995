/* Sparse products and maps of common/stored.h on AVX-512.
 *
 * In maps of one term and at most 256 columns all operands lie in registers, and permutations pick
 * those of a block of tiles. A block reads its weights whole, where it has fewer tiles too
 * (EDGERNN_READ_AHEAD); operands that are not there count as zeros.
 */
#ifndef EDGERNN_ISA_AVX512_SPARSE_H
#define EDGERNN_ISA_AVX512_SPARSE_H

/* The sums of a term's next 4 rows, tile by tile. */
EDGERNN_INLINE void sparse_rows8(stored_place *place, const edgernn_code8 *operands, int32_t *acc)
{
    const uint8_t *index = place->index + 1;
    const uint8_t *end = index + place->index[0] + 1;
    const __m128i all_128 = _mm_set1_epi8(-128);
    __m128i sum = _mm_setzero_si128();
    __m128i times_128 = sum;
    for (; index != end; ++index) {
        const void *at = place->weights;
        const __m128i w = _mm_loadu_si128((const __m128i *)at);
        const __m128i x = _mm_broadcastd_epi32(
            words4((const char *)(operands + EDGERNN_TILE_COLUMNS * *index), 1));
        sum = _mm_dpbusd_epi32(sum, w, x);
        times_128 = _mm_dpbusd_epi32(times_128, all_128, x);
        place->weights += EDGERNN_TILE_BYTES;
    }
    place->index = end;
    _mm_storeu_si128((__m128i *)(void *)acc, _mm_sub_epi32(sum, times_128));
}

EDGERNN_INLINE void sparse_rows16(stored_place *place, const edgernn_code16 *operands, int32_t *acc)
{
    const uint8_t *index = place->index + 1;
    const uint8_t *end = index + place->index[0] + 1;
    __m256i sum = _mm256_setzero_si256();
    for (; index != end; ++index) {
        const void *at = place->weights;
        const __m256i w = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)at));
        const __m128i x = _mm_loadu_si64(operands + EDGERNN_TILE_COLUMNS * *index);
        sum = _mm256_dpwssd_epi32(sum, w, _mm256_broadcastq_epi64(x));
        place->weights += EDGERNN_TILE_BYTES;
    }
    place->index = end;
    sum = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum, sum), 0xD8);
    _mm_storeu_si128((__m128i *)(void *)acc, _mm256_castsi256_si128(sum));
}

#define PICKED_TILES 64

#define IS_SPARSE_MAP(map) \
    ((map)->term_count == 1 && (map)->terms->index && (map)->terms->tiles <= PICKED_TILES)

/* Word i of `left` words from `from` on, or 0. A masked load where no memory is would be slow. */
EDGERNN_INLINE __m512i words_load(const void *from, int32_t left)
{
    if (left <= 0) {
        return _mm512_setzero_si512();
    }
    return left >= 16 ? _mm512_loadu_si512(from)
                      : _mm512_maskz_loadu_epi32(edgernn_lanes_first(left), from);
}

/* The places of up to 16 tiles, and which of them there are. */
EDGERNN_INLINE __m128i places_load(const uint8_t *index, __mmask16 there)
{
    return _mm_maskz_loadu_epi8(there, index);
}

/* A word for each tile. */
typedef struct {
    __m512i at0;
    __m512i at16;
    __m512i at32;
    __m512i at48;
} tiles8;

EDGERNN_INLINE tiles8 tiles8_load(const edgernn_code8 *operands, int32_t tiles)
{
    tiles8 x;
    x.at0 = words_load(operands, tiles);
    x.at16 = words_load(operands + 64, tiles - 16);
    x.at32 = words_load(operands + 128, tiles - 32);
    x.at48 = words_load(operands + 192, tiles - 48);
    return x;
}

/* The operands of 16 tiles. */
EDGERNN_INLINE __m512i pick8(const tiles8 *x, const uint8_t *index, int32_t left)
{
    const __mmask16 there = edgernn_lanes_first(left < 16 ? left : 16);
    const __m512i place = _mm512_cvtepu8_epi32(places_load(index, there));
    const __m512i low = _mm512_permutex2var_epi32(x->at0, place, x->at16);
    const __m512i high = _mm512_permutex2var_epi32(x->at32, place, x->at48);
    const __mmask16 upper = _mm512_test_epi32_mask(place, _mm512_set1_epi32(32));
    return _mm512_maskz_mov_epi32(there, _mm512_mask_blend_epi32(upper, low, high));
}

EDGERNN_INLINE __m512i picked_sums8(stored_place *place, const tiles8 *x)
{
    const __m512i part = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i all_128 = _mm512_set1_epi8(-128);
    __m512i sum = _mm512_setzero_si512();
    __m512i times_128 = sum;
    int32_t left = *place->index++ + 1;
    while (left > 0) {
        const __m512i words = pick8(x, place->index, left);
        const int32_t tiles = left < 16 ? left : 16;
        int32_t t;
        for (t = 0; t < 16; t += 4) {
            const __m512i at = _mm512_add_epi32(part, _mm512_set1_epi32(t));
            const __m512i four = _mm512_permutexvar_epi32(at, words);
            sum = add_products8(sum, place->weights + EDGERNN_TILE_BYTES * t, four);
            times_128 = _mm512_dpbusd_epi32(times_128, all_128, four);
        }
        place->index += tiles;
        place->weights += EDGERNN_TILE_BYTES * tiles;
        left -= tiles;
    }
    return _mm512_sub_epi32(sum, times_128);
}

/* Of 16 rows, or of the `left` last ones. */
EDGERNN_INLINE edgernn_lanes picked_rows8(stored_place *place, const tiles8 *x, int32_t left)
{
    const __m512i zero = _mm512_setzero_si512();
    block_sums s;
    s.a = picked_sums8(place, x);
    s.b = left > 4 ? picked_sums8(place, x) : zero;
    s.c = left > 8 ? picked_sums8(place, x) : zero;
    s.d = left > 12 ? picked_sums8(place, x) : zero;
    return rows_of_parts(s);
}

static void affine8_of_sparse(const edgernn_map8 *map, const edgernn_code8 *operands, int16_t *z)
{
    const edgernn_term8 *term = map->terms;
    const int32_t shift = map->shift;
    const edgernn_lanes half = edgernn_lanes_all((int32_t)1 << (shift - 1));
    const tiles8 x = tiles8_load(operands + term->first, term->tiles);
    stored_place place;
    int32_t row;
    place.weights = term->weights;
    place.index = term->index;
    for (row = 0; row < map->rows; row += EDGERNN_LANES) {
        const int32_t left = map->rows - row;
        const edgernn_lanes acc = picked_rows8(&place, &x, left);
        const edgernn_lanes u = acc * rows_load(term->multiplier + row, left) +
                                rows_load(map->bias + row, left);
        rows_store_sat16(z + row, (u + half) >> shift, left);
    }
}

/* Two words for each tile. */
typedef struct {
    __m512i at0;
    __m512i at8;
    __m512i at16;
    __m512i at24;
    __m512i at32;
    __m512i at40;
    __m512i at48;
    __m512i at56;
} tiles16;

EDGERNN_INLINE tiles16 tiles16_load(const edgernn_code16 *operands, int32_t tiles)
{
    const int32_t words = 2 * tiles;
    tiles16 x;
    x.at0 = words_load(operands, words);
    x.at8 = words_load(operands + 32, words - 16);
    x.at16 = words_load(operands + 64, words - 32);
    x.at24 = words_load(operands + 96, words - 48);
    x.at32 = words_load(operands + 128, words - 64);
    x.at40 = words_load(operands + 160, words - 80);
    x.at48 = words_load(operands + 192, words - 96);
    x.at56 = words_load(operands + 224, words - 112);
    return x;
}

/* The operands of 8 tiles. */
EDGERNN_INLINE __m512i pick16(const tiles16 *x, const uint8_t *index, int32_t left)
{
    const __mmask16 there = edgernn_lanes_first(left < 8 ? left : 8);
    const __m512i place = _mm512_cvtepu8_epi64(places_load(index, there));
    const __mmask8 odd = _mm512_test_epi64_mask(place, _mm512_set1_epi64(16));
    const __mmask8 upper = _mm512_test_epi64_mask(place, _mm512_set1_epi64(32));
    const __m512i low = _mm512_mask_blend_epi64(
        odd, _mm512_permutex2var_epi64(x->at0, place, x->at8),
        _mm512_permutex2var_epi64(x->at16, place, x->at24));
    const __m512i high = _mm512_mask_blend_epi64(
        odd, _mm512_permutex2var_epi64(x->at32, place, x->at40),
        _mm512_permutex2var_epi64(x->at48, place, x->at56));
    return _mm512_maskz_mov_epi64((__mmask8)there, _mm512_mask_blend_epi64(upper, low, high));
}

EDGERNN_INLINE __m512i picked_sums16(stored_place *place, const tiles16 *x)
{
    const __m512i part = _mm512_setr_epi64(0, 0, 0, 0, 1, 1, 1, 1);
    __m512i sum = _mm512_setzero_si512();
    int32_t left = *place->index++ + 1;
    while (left > 0) {
        const __m512i words = pick16(x, place->index, left);
        const int32_t tiles = left < 8 ? left : 8;
        int32_t t;
        for (t = 0; t < 8; t += 2) {
            const __m512i at = _mm512_add_epi64(part, _mm512_set1_epi64(t));
            const __m512i two = _mm512_permutexvar_epi64(at, words);
            sum = _mm512_dpwssd_epi32(sum, wide(place->weights + EDGERNN_TILE_BYTES * t, 2), two);
        }
        place->index += tiles;
        place->weights += EDGERNN_TILE_BYTES * tiles;
        left -= tiles;
    }
    return sum;
}

EDGERNN_INLINE edgernn_lanes picked_rows16(stored_place *place, const tiles16 *x, int32_t left)
{
    const __m512i zero = _mm512_setzero_si512();
    block_sums s;
    s.a = picked_sums16(place, x);
    s.b = left > 4 ? picked_sums16(place, x) : zero;
    s.c = left > 8 ? picked_sums16(place, x) : zero;
    s.d = left > 12 ? picked_sums16(place, x) : zero;
    return rows_of_pairs(s);
}

static void affine16_of_sparse(const edgernn_map16 *map, const edgernn_code16 *operands,
                               int16_t *z)
{
    const edgernn_term16 *term = map->terms;
    const tiles16 x = tiles16_load(operands + term->first, term->tiles);
    stored_place place;
    int32_t row;
    place.weights = term->weights;
    place.index = term->index;
    for (row = 0; row < map->rows; row += EDGERNN_LANES) {
        const int32_t left = map->rows - row;
        const edgernn_lanes sum = picked_rows16(&place, &x, left);
        rows_store_sat16(z + row, product16(term, row, left, sum), left);
    }
}

#endif
