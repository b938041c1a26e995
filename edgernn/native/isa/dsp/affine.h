/* Dense w8a8 maps in pairs (isa/dsp/dot.h). A map of two products has a loop of its own, four rows
 * at a time: nothing but the products and what a row needs is in registers, and one load brings all
 * that the next product begins with. */
#ifndef EDGERNN_ISA_DSP_AFFINE_H
#define EDGERNN_ISA_DSP_AFFINE_H

#include "../../edgernn_storage.h"

#if !(EDGERNN_HAS_SPARSE || EDGERNN_HAS_INT4) /* beside other storages, dense maps are stored ones */
#define EDGERNN_OWN_DENSE8
#endif

#include "../scalar/affine.h"

#ifdef EDGERNN_OWN_DENSE8

/* Where the next four rows of a product begin. */
typedef struct {
    const int8_t *weights;
    const int32_t *multiplier;
    const edgernn_code8 *operands;
    const edgernn_code8 *end; /* of operands */
    uint32_t odd;             /* whether its tiles are an odd number */
    int32_t sums[4];          /* zeros, with which it begins */
} product_place;

/* A map of two products, as the assembler text below counts its bytes. */
typedef struct {
    product_place places[2];
    const int32_t *bias; /* of the next rows */
    int32_t shift;
    int32_t half;
    int16_t *z; /* of the next rows */
    const int16_t *end;
    int32_t u[4]; /* of the rows, after their first product */
} map_place;

typedef char edgernn_static_assert_map_place[sizeof(map_place) == 108 ? 1 : -1];

EDGERNN_INLINE void begin_product(product_place *place, const edgernn_term8 *term,
                                  const edgernn_code8 *operands)
{
    place->weights = term->weights;
    place->multiplier = term->multiplier;
    place->operands = operands + term->first;
    place->end = place->operands + EDGERNN_TILE_COLUMNS * term->tiles;
    place->odd = (uint32_t)term->tiles & 1U;
    place->sums[0] = place->sums[1] = place->sums[2] = place->sums[3] = 0;
}

/* The sums of the product at `at`, which moves behind it, in a, ab, c and cd; the multipliers of
 * their rows in end, x0, x1 and w1. Labels end in its number. */
#define NEXT_PRODUCT(n)                                              \
    "ldmia %[at]!, {%[w], %[w0], %[x], %[end], %[x0], %[a], %[ab], " \
    "%[c], %[cd]}\n\t"                                               \
    "cbnz %[x0], 3" n "f\n" /* an odd number of tiles */             \
    "2" n ":\n\t" ADD_TILE8 "3" n ":\n\t" ADD_TILE8                  \
    "cmp %[x], %[end]\n\t"                                           \
    "bne 2" n "b\n\t"                                                \
    "ldr %[x], [%[at], #-32]\n\t"                                    \
    "subs %[ab], %[ab], %[a]\n\t"                                    \
    "subs %[cd], %[cd], %[c]\n\t"                                    \
    "asrs %[ab], %[ab], #8\n\t"                                      \
    "asrs %[cd], %[cd], #8\n\t"                                      \
    "ldmia %[x]!, {%[end], %[x0], %[x1], %[w1]}\n\t"                 \
    "strd %[w], %[x], [%[at], #-36]\n\t"

/* Two rows, scaled and added to the words that `from` says how to load. */
#define SCALE_TWO(from, first, second, m_first, m_second)      \
    "ldrd %[w], %[x], " from "\n\t"                            \
    "mla %[" first "], %[" first "], %[" m_first "], %[w]\n\t" \
    "mla %[" second "], %[" second "], %[" m_second "], %[x]\n\t"
#define SCALE_FOUR(from, from_third) \
    SCALE_TWO(from, "a", "ab", "end", "x0") SCALE_TWO(from_third, "c", "cd", "x1", "w1")

/* Clause 4.3 of a row; w is the shift and x half of what it takes away. */
#define STORE_ROW_OF(u)                 \
    "adds %[" u "], %[" u "], %[x]\n\t" \
    "asrs %[" u "], %[" u "], %[w]\n\t" \
    "ssat %[" u "], #16, %[" u "]\n\t"  \
    "strh %[" u "], [%[x1]], #2\n\t"

/* A map of two products of at most EDGERNN_MOST_TILES. There are at least 4 rows. */
EDGERNN_INLINE void affine8_of_two(const edgernn_map8 *map, const edgernn_code8 *operands,
                                   int16_t *z)
{
    const int32_t left = map->rows % 4;
    int16_t rest[4]; /* z of the last rows, if they are fewer */
    map_place all;
    /* Named ones, because LDM takes them in their order; not r7 or r9, which may be taken. */
    register map_place *at __asm__("lr");
    register uint32_t w __asm__("r0");
    register uint32_t w0 __asm__("r1");
    register uint32_t x __asm__("r2");
    register uint32_t end __asm__("r3");
    register uint32_t x0 __asm__("r4");
    register uint32_t a __asm__("r5");
    register uint32_t ab __asm__("r6");
    register uint32_t c __asm__("r8");
    register uint32_t cd __asm__("r10");
    register uint32_t x1 __asm__("r11");
    register uint32_t w1 __asm__("r12");
    begin_product(all.places, map->terms, operands);
    begin_product(all.places + 1, map->terms + 1, operands);
    all.bias = map->bias;
    all.shift = map->shift;
    all.half = (int32_t)1 << (map->shift - 1);
    all.z = z;
    all.end = z + map->rows - left;
    for (;;) {
        at = &all; /* not earlier: what a compiler calls may change it */
        __asm__ __volatile__(
            "1:\n\t"
            NEXT_PRODUCT("0")
            "ldr %[w0], [%[at], #36]\n\t"
            SCALE_FOUR("[%[w0]], #8", "[%[w0]], #8")
            "str %[w0], [%[at], #36]\n\t"
            "strd %[a], %[ab], [%[at], #56]\n\t"
            "strd %[c], %[cd], [%[at], #64]\n\t"
            NEXT_PRODUCT("1")
            SCALE_FOUR("[%[at], #20]", "[%[at], #28]")
            "ldrd %[w], %[x], [%[at], #4]\n\t"
            "ldrd %[x1], %[w1], [%[at], #12]\n\t"
            STORE_ROW_OF("a") STORE_ROW_OF("ab") STORE_ROW_OF("c") STORE_ROW_OF("cd")
            "str %[x1], [%[at], #12]\n\t"
            "subs %[at], %[at], #72\n\t"
            "cmp %[x1], %[w1]\n\t"
            "bne 1b"
            : [at] "+&r"(at), [w] "=&r"(w), [w0] "=&r"(w0), [x] "=&r"(x),
              [end] "=&r"(end), [x0] "=&r"(x0), [a] "=&r"(a), [ab] "=&r"(ab),
              [c] "=&r"(c), [cd] "=&r"(cd), [x1] "=&r"(x1), [w1] "=&r"(w1)
            :
            : "cc", "memory");
        if (left == 0) {
            break;
        }
        if (all.end == rest + 4) {
            edgernn_copy16(rest, left, z + map->rows - left);
            break;
        }
        all.z = rest;
        all.end = rest + 4;
    }
}

/* Any map, from a row that is a multiple of 4. */
EDGERNN_NOT_INLINE void affine8_of_any(const edgernn_map8 *map, const edgernn_code8 *operands,
                                       int32_t row, int16_t *z)
{
    const int32_t half = (int32_t)1 << (map->shift - 1);
    const int16_t *end = z + map->rows;
    z += row;
    do {
        const edgernn_term8 *term = map->terms;
        const edgernn_term8 *behind = term + map->term_count;
        const int32_t *bias = map->bias + row;
        int32_t u[EDGERNN_TILE_ROWS];
        const int32_t *from = u;
#define BEGIN(r) u[r] = bias[r] + half
        EACH_ROW(BEGIN);
#undef BEGIN
        do {
            const int32_t *multiplier = term->multiplier + row;
            const int8_t *weights = term->weights + row * EDGERNN_TILE_COLUMNS * term->tiles;
            const edgernn_code8 *x = operands + term->first;
            int32_t tiles = term->tiles;
            do {
                const int32_t now = tiles < EDGERNN_MOST_TILES ? tiles : EDGERNN_MOST_TILES;
                int32_t acc[EDGERNN_TILE_ROWS];
                weights = edgernn_dot8(weights, x, now, acc);
#define ADD(r) u[r] = (int32_t)((uint32_t)u[r] + (uint32_t)acc[r] * (uint32_t)multiplier[r])
                EACH_ROW(ADD);
#undef ADD
                x += EDGERNN_TILE_COLUMNS * now;
                tiles -= now;
            } while (tiles > 0);
            ++term;
        } while (term != behind);
        row += EDGERNN_TILE_ROWS;
        do {
            *z++ = (int16_t)edgernn_sat16(*from++ >> map->shift);
        } while (z != end && from != u + EDGERNN_TILE_ROWS);
    } while (z != end);
}

/* The rows from `row` on of a map that is not, or not as a whole, one of `affine8_of_one`. */
EDGERNN_NOT_INLINE void affine8_of_others(const edgernn_map8 *map, const edgernn_code8 *operands,
                                          int32_t row, int16_t *z)
{
    const edgernn_term8 *term = map->terms;
    if (map->term_count == 2 && map->rows >= 4 && term[0].tiles <= EDGERNN_MOST_TILES &&
        term[1].tiles <= EDGERNN_MOST_TILES) {
        affine8_of_two(map, operands, z);
    } else {
        affine8_of_any(map, operands, row, z);
    }
}

EDGERNN_INLINE void affine8_of_dense(const edgernn_map8 *map, const edgernn_code8 *operands,
                                     int16_t *z)
{
    const edgernn_term8 *term = map->terms;
    int32_t row = 0;
    if (map->term_count == 1 && term->tiles <= EDGERNN_MOST_TILES) {
        affine8_of_one(map, operands + term->first, z);
        row = map->rows / 4 * 4;
    }
    if (row != map->rows) {
        affine8_of_others(map, operands, row, z);
    }
}

#endif

#endif
