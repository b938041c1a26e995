/* Affine maps on Armv8.1-M vectors, four rows at a time.
 *
 * Four tiles are 64 bytes, and VLD4 sorts their words: its four registers hold one row each, 16
 * columns in order. VMLADAVA adds the 16 products of such a register and the operands to a sum.
 *
 * The first block of columns takes what is no multiple of 4 tiles. It reads the weights of 4 tiles
 * nevertheless (EDGERNN_READ_AHEAD); operands that are not there count as zeros.
 */
#ifndef EDGERNN_ISA_MVE_AFFINE_H
#define EDGERNN_ISA_MVE_AFFINE_H

#include <arm_mve.h>

#include "../../edgernn_affine.h"

#define BLOCK_TILES 4

#ifdef __clang__
#define PREDICATE /* has no name; nothing else is in it here */
#else
#define PREDICATE "p0",
#endif

/* So that a compiler counts rows in one register. */
#define COUNT_NOW(left) __asm__("" : "+r"(left))

#define LOAD_BLOCK                                                                                 \
    "vld40.32 {q0, q1, q2, q3}, [%[w]]\n\t"                                                        \
    "vld41.32 {q0, q1, q2, q3}, [%[w]]\n\t"                                                        \
    "vld42.32 {q0, q1, q2, q3}, [%[w]]\n\t"                                                        \
    "vld43.32 {q0, q1, q2, q3}, [%[w]]"

/* The columns of a product. */
typedef struct {
    const void *operands;
    int32_t first; /* columns of the first block */
    int32_t more;  /* blocks behind the first */
} product_columns;

EDGERNN_INLINE product_columns columns_of(const void *operands, int32_t tiles)
{
    const uint32_t before = (uint32_t)tiles - 1U;
    const product_columns columns = {operands,
                                     (int32_t)(before % BLOCK_TILES + 1) * EDGERNN_TILE_COLUMNS,
                                     (int32_t)(before / BLOCK_TILES)};
    return columns;
}

/* u and the sums of clause 4.2, times their multipliers, for the next 4 rows. The compiler's own
 * code for the same needs half as many instructions again, most of them for predicates and for
 * registers that it runs out of. */
EDGERNN_INLINE int32x4_t add_product8(int32x4_t u, const product_columns *columns,
                                      const int8_t **weights, const int32_t **multiplier)
{
    int32_t a;
    int32_t b;
    int32_t c;
    int32_t d;
    const int8_t *x;
    __asm__("ldrd %[x], lr, %[operands_and_first]\n\t"
            "vctp.8 lr\n\t"
            "vpst\n\t"
            "vldrbt.8 q4, [%[x]]\n\t" LOAD_BLOCK "\n\t"
            "add %[x], %[x], lr\n\t"
            "add %[w], %[w], lr, lsl #2\n\t"
            "vmladav.s8 %[a], q0, q4\n\t"
            "vmladav.s8 %[b], q1, q4\n\t"
            "ldr lr, %[more]\n\t"
            "vmladav.s8 %[c], q2, q4\n\t"
            "vmladav.s8 %[d], q3, q4\n\t"
            "wls lr, lr, 2f\n"
            "1:\n\t" LOAD_BLOCK "!\n\t"
            "vldrb.8 q4, [%[x]], #16\n\t"
            "vmladava.s8 %[a], q0, q4\n\t"
            "vmladava.s8 %[b], q1, q4\n\t"
            "vmladava.s8 %[c], q2, q4\n\t"
            "vmladava.s8 %[d], q3, q4\n\t"
            "le lr, 1b\n"
            "2:\n\t"
            "vmov q0[2], q0[0], %[a], %[c]\n\t"
            "vldrw.32 q1, [%[m]], #16\n\t"
            "vmov q0[3], q0[1], %[b], %[d]\n\t"
            "vmul.i32 q0, q0, q1\n\t"
            "vadd.i32 %q[u], %q[u], q0"
            : [u] "+w"(u), [w] "+&r"(*weights), [m] "+&r"(*multiplier), [x] "=&r"(x), [a] "=&Te"(a),
              [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d)
            : [operands_and_first] "m"(columns->operands), [more] "m"(columns->more)
            : PREDICATE "q0", "q1", "q2", "q3", "q4", "lr", "cc", "memory");
    return u;
}

/* z[0] to z[3], but no more than `left` of them: u, saturated. z moves on. */
EDGERNN_INLINE void store_rows(int32x4_t u, int16_t **z, int32_t left)
{
    __asm__ __volatile__("vqmovnb.s32 %q[u], %q[u]\n\t"
                         "vctp.32 %[left]\n\t"
                         "vpst\n\t"
                         "vstrht.32 %q[u], [%[z]], #8"
                         : [u] "+w"(u), [z] "+&l"(*z)
                         : [left] "r"(left)
                         : PREDICATE "memory");
}

EDGERNN_INLINE void affine8_of_dense(const edgernn_map8 *map, const edgernn_code8 *operands,
                                     int16_t *z)
{
    const edgernn_term8 *term = map->terms;
    const product_columns columns = columns_of(operands + term->first, term->tiles);
    const int8_t *weights = term->weights;
    const int32_t *multiplier = term->multiplier;
    const int32_t *bias = map->bias;
    int32_t shift = -map->shift;
    int32_t left;
    __asm__("" : "+r"(shift)); /* a register is better than the way to map->shift */
    if (map->term_count == 1) {
        for (left = map->rows; left > 0; left -= 4) {
            int32x4_t u = vldrwq_s32(bias);
            COUNT_NOW(left);
            u = add_product8(u, &columns, &weights, &multiplier);
            store_rows(vrshlq_n_s32(u, shift), &z, left);
            bias += 4;
        }
    } else {
        const product_columns columns2 = columns_of(operands + term[1].first, term[1].tiles);
        const int8_t *weights2 = term[1].weights;
        const int32_t *multiplier2 = term[1].multiplier;
        const int32x4_t shifts = vdupq_n_s32(shift);
        for (left = map->rows; left > 0; left -= 4) {
            int32x4_t u = vldrwq_s32(bias);
            COUNT_NOW(left);
            u = add_product8(u, &columns, &weights, &multiplier);
            u = add_product8(u, &columns2, &weights2, &multiplier2);
            store_rows(vrshlq_s32(u, shifts), &z, left);
            bias += 4;
        }
    }
}

/* Two bytes of an operand are 256 * high + low. It is a multiple of 4: half of `low` is a byte with
 * sign too. */
#define HALVE_LOW "vshr.u8 q4, q4, #1\n\t"

/* The sums of clause 5.2, without bias, for 4 rows; `even` is 0, 2, 4 and so on. The sums take all
 * registers that VMLADAVA can add to, LR included: no low-overhead loop. */
EDGERNN_INLINE int32x4_t dot16(const int8_t *weights, const product_columns *columns,
                               uint8x16_t even)
{
    int32x4_t sums;
    int32_t a;
    int32_t b;
    int32_t c;
    int32_t d;
    int32_t e;
    int32_t f;
    int32_t g;
    int32_t h;
    int32_t n;
    const int8_t *x;
    __asm__("ldr %[x], [%[columns]]\n\t"
            "ldr %[n], [%[columns], #4]\n\t"
            "vctp.8 %[n]\n\t"
            "vpst\n\t"
            "vldrbt.u8 q4, [%[x], %q[even]]\n\t"
            "add %[x], %[x], #1\n\t"
            "vpst\n\t"
            "vldrbt.u8 q5, [%[x], %q[even]]\n\t" HALVE_LOW LOAD_BLOCK "\n\t"
            "sub %[x], %[x], #1\n\t"
            "add %[x], %[x], %[n], lsl #1\n\t"
            "add %[w], %[w], %[n], lsl #2\n\t"
            "ldr %[n], [%[columns], #8]\n\t"
            "vmladav.s8 %[a], q0, q4\n\t"
            "vmladav.s8 %[b], q1, q4\n\t"
            "vmladav.s8 %[c], q2, q4\n\t"
            "vmladav.s8 %[d], q3, q4\n\t"
            "vmladav.s8 %[e], q0, q5\n\t"
            "vmladav.s8 %[f], q1, q5\n\t"
            "vmladav.s8 %[g], q2, q5\n\t"
            "vmladav.s8 %[h], q3, q5\n\t"
            "cmp %[n], #0\n\t"
            "beq 2f\n"
            "1:\n\t"
            "vld20.8 {q4, q5}, [%[x]]\n\t"
            "vld21.8 {q4, q5}, [%[x]]!\n\t" LOAD_BLOCK "!\n\t" HALVE_LOW
            "vmladava.s8 %[e], q0, q5\n\t"
            "vmladava.s8 %[f], q1, q5\n\t"
            "vmladava.s8 %[g], q2, q5\n\t"
            "vmladava.s8 %[h], q3, q5\n\t"
            "vmladava.s8 %[a], q0, q4\n\t"
            "vmladava.s8 %[b], q1, q4\n\t"
            "vmladava.s8 %[c], q2, q4\n\t"
            "vmladava.s8 %[d], q3, q4\n\t"
            "subs %[n], %[n], #1\n\t"
            "bne 1b\n"
            "2:\n\t"
            "vmov %q[sums][2], %q[sums][0], %[e], %[g]\n\t"
            "vmov %q[sums][3], %q[sums][1], %[f], %[h]\n\t"
            "vmov q0[2], q0[0], %[a], %[c]\n\t"
            "vmov q0[3], q0[1], %[b], %[d]\n\t"
            "vshl.i32 %q[sums], %q[sums], #7\n\t"
            "vadd.i32 %q[sums], %q[sums], q0\n\t"
            "vshl.i32 %q[sums], %q[sums], #1"
            : [sums] "=&w"(sums), [w] "+&r"(weights), [x] "=&r"(x), [n] "=&r"(n), [a] "=&Te"(a),
              [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d), [e] "=&Te"(e), [f] "=&Te"(f),
              [g] "=&Te"(g), [h] "=&Te"(h)
            : [even] "w"(even), [columns] "r"(columns)
            : PREDICATE "q0", "q1", "q2", "q3", "q4", "q5", "cc", "memory");
    return sums;
}

/* Saturation is a by-product of narrowing. */
EDGERNN_INLINE int32x4_t saturated16(int32x4_t v)
{
    __asm__("vqmovnb.s32 %q0, %q0\n\tvmovlb.s16 %q0, %q0" : "+w"(v));
    return v;
}

/* Clause 5.2, p from the sums without bias of the 4 rows that begin at `row`. */
EDGERNN_INLINE int32x4_t product16(const edgernn_term16 *term, int32_t row, int32_t left,
                                   int32x4_t sums)
{
    const int32x4_t acc = vaddq_s32(sums, vldrwq_s32(term->bias + row));
    const int32x4_t shift = vreinterpretq_s32_u32(vldrbq_u32(term->shift + row));
    const int32x4_t v = saturated16(vrshlq_s32(acc, vnegq_s32(shift)));
    (void)left; /* arrays of rows are filled up */
    return edgernn_lanes_scaled(v, vldrhq_s32(term->multiplier + row));
}

/* The same from the operands. */
EDGERNN_INLINE int32x4_t term16(const edgernn_term16 *term, const product_columns *columns,
                                int32_t row, uint8x16_t even)
{
    const int8_t *weights = term->weights + row * EDGERNN_TILE_COLUMNS * term->tiles;
    return product16(term, row, EDGERNN_LANES, dot16(weights, columns, even));
}

EDGERNN_INLINE void affine16_of_dense(const edgernn_map16 *map, const edgernn_code16 *operands,
                                      int16_t *z)
{
    const edgernn_term16 *term = map->terms;
    const product_columns columns = columns_of(operands + term->first, term->tiles);
    const uint8x16_t even = vidupq_n_u8(0, 2);
    int32_t row;
    if (map->term_count == 1) {
        for (row = 0; row < map->rows; row += 4) {
            store_rows(term16(term, &columns, row, even), &z, map->rows - row);
        }
    } else {
        const product_columns columns2 = columns_of(operands + term[1].first, term[1].tiles);
        for (row = 0; row < map->rows; row += 4) {
            const int32x4_t u = term16(term, &columns, row, even);
            const int32x4_t v = term16(term + 1, &columns2, row, even);
            store_rows(vaddq_s32(u, v), &z, map->rows - row);
        }
    }
}

#if EDGERNN_HAS_STORAGES

#define GROUP_TILES 32

EDGERNN_INLINE int32x4_t rows_load(const int32_t *from, int32_t left)
{
    (void)left; /* arrays of rows are filled up */
    return vldrwq_s32(from);
}

EDGERNN_INLINE const int8_t *dense_group8(const int8_t *weights, const edgernn_code8 *operands,
                                          int32_t tiles, int32_t *acc)
{
    const product_columns columns = columns_of(operands, tiles);
    const int32_t ones[4] = {1, 1, 1, 1};
    const int32_t *one = ones;
    vstrwq_s32(acc, add_product8(vdupq_n_s32(0), &columns, &weights, &one));
    return weights;
}

EDGERNN_INLINE const int8_t *dense_group16(const int8_t *weights, const edgernn_code16 *operands,
                                           int32_t tiles, int32_t *acc)
{
    const product_columns columns = columns_of(operands, tiles);
    vstrwq_s32(acc, dot16(weights, &columns, vidupq_n_u8(0, 2)));
    return weights + EDGERNN_TILE_BYTES * tiles;
}

#endif

#endif
