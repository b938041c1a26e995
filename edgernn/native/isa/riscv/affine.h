/* Dense w8a8 maps for RISC-V, sixteen rows at a time: of one product after the other first the
 * sums, which stay in registers, then what they add to the rows. A second product takes little more
 * time than its columns. */
#ifndef EDGERNN_ISA_RISCV_AFFINE_H
#define EDGERNN_ISA_RISCV_AFFINE_H

#define EDGERNN_OWN_DENSE8

#include "../scalar/affine.h"

#define ROWS_AT_ONCE 16

/* Where the next rows of a product begin. */
typedef struct {
    const int8_t *weights;
    const edgernn_code8 *operands;
    int32_t bytes; /* of four rows */
    const int32_t *multiplier;
} product_place;

/* What a map needs beside its products, which take all registers. It is kept in memory, where each
 * takes one instruction; a compiler would save and restore a register for it. */
typedef struct {
    product_place places[2];
    const product_place *behind; /* the last place */
    const edgernn_map8 *map;
    const edgernn_code8 *operands;
    const int32_t *bias; /* of the next rows */
    const int32_t *end;  /* of bias */
    int16_t *z;          /* of the next rows */
    int32_t shift;
    int32_t half;
} map_place;

EDGERNN_INLINE void begin_rows(const edgernn_map8 *map, const edgernn_code8 *operands, int32_t rows,
                               int16_t *z, map_place *at)
{
    const edgernn_term8 *term = map->terms;
    product_place *place = at->places;
    at->behind = place + map->term_count;
    at->map = map;
    at->operands = operands;
    at->bias = map->bias;
    at->end = map->bias + rows;
    at->z = z;
    at->shift = map->shift;
    at->half = (int32_t)1 << (map->shift - 1);
    do {
        place->weights = term->weights;
        place->operands = operands + term->first;
        place->bytes = term->tiles * EDGERNN_TILE_BYTES;
        place->multiplier = term->multiplier;
        ++term;
        ++place;
    } while (place != at->behind);
}

#define SCALE_ROW(r)                             \
    do {                                         \
        u[r] = from[r] + acc[r] * multiplier[r]; \
        KEEP_APART;                              \
    } while (0)

/* u[16]: what the next rows of a product add to from[16]; the place moves behind them. */
EDGERNN_INLINE void add_product(product_place *place, const int32_t *from, int32_t *u)
{
    int32_t acc[ROWS_AT_ONCE];
    const int32_t *multiplier;
    place->weights = edgernn_dot8_of_16(place->weights, place->operands, place->bytes, acc);
    multiplier = place->multiplier;
    SCALE_ROW(0);
    SCALE_ROW(1);
    SCALE_ROW(2);
    SCALE_ROW(3);
    SCALE_ROW(4);
    SCALE_ROW(5);
    SCALE_ROW(6);
    SCALE_ROW(7);
    SCALE_ROW(8);
    SCALE_ROW(9);
    SCALE_ROW(10);
    SCALE_ROW(11);
    SCALE_ROW(12);
    SCALE_ROW(13);
    SCALE_ROW(14);
    SCALE_ROW(15);
    place->multiplier = multiplier + ROWS_AT_ONCE;
}

/* z of row r from its u; then what a value beyond a limit takes, behind the loop, so that others
 * leave the straight line nowhere. Labels end in the row. */
#define SATURATE_ROW(r, u_at, z_at)             \
    "lw %[v], " u_at "(%[u])\n\t"               \
    "add %[v], %[v], %[half]\n\t"               \
    "sra %[v], %[v], %[shift]\n\t"              \
    "bgt %[v], %[most], 2" r "f\n\t"            \
    "blt %[v], %[least], 3" r "f\n"             \
    "1" r ":\tsh %[v], " z_at "(%[z])\n\t"
#define LIMIT_ROW(r)                            \
    "2" r ":\tmv %[v], %[most]\n\t"             \
    "j 1" r "b\n"                               \
    "3" r ":\tmv %[v], %[least]\n\t"            \
    "j 1" r "b\n"

/* Clause 4.3 of the next rows; the place moves behind them. */
EDGERNN_INLINE void finish_16(map_place *at, const int32_t *u)
{
    const int32_t *end = u + ROWS_AT_ONCE;
    int16_t *z = at->z;
    int32_t v;
    __asm__ __volatile__("4:\n\t"
                         SATURATE_ROW("0", "0", "0")
                         SATURATE_ROW("1", "4", "2")
                         SATURATE_ROW("2", "8", "4")
                         SATURATE_ROW("3", "12", "6")
                         ADVANCE("u", "16")
                         ADVANCE("z", "8")
                         "bne %[u], %[end], 4b\n\t"
                         "j 5f\n"
                         LIMIT_ROW("0") LIMIT_ROW("1") LIMIT_ROW("2") LIMIT_ROW("3")
                         "5:"
                         : [u] "+&r"(u), [z] "+&r"(z), [v] "=&r"(v)
                         : [end] "r"(end), [half] "r"(at->half), [shift] "r"(at->shift),
                           [most] "r"(32767), [least] "r"(-32768)
                         : "memory");
    at->z = z;
    at->bias += ROWS_AT_ONCE;
}

/* All of a map's rows but the last, if they are fewer than ROWS_AT_ONCE. */
EDGERNN_INLINE int32_t full_rows(const edgernn_map8 *map)
{
    return map->rows & ~(ROWS_AT_ONCE - 1);
}

EDGERNN_INLINE void affine8_of_dense(const edgernn_map8 *map, const edgernn_code8 *operands,
                                     int16_t *z)
{
    if (full_rows(map)) {
        map_place all;
        map_place *at = &all;
        int32_t u[ROWS_AT_ONCE];
        begin_rows(map, operands, full_rows(map), z, at);
        __asm__ __volatile__("" : "+r"(at) : : "memory"); /* keep it there */
        do {
            product_place *place = at->places;
            const int32_t *from = at->bias;
            do {
                add_product(place, from, u);
                from = u;
                ++place;
            } while (place != at->behind);
            finish_16(at, from);
        } while (at->bias != at->end);
        map = at->map;
        operands = at->operands;
        z = at->z - full_rows(map);
    }
    if (full_rows(map) != map->rows) {
        affine8_of_many(map, operands, full_rows(map), z);
    }
}

#endif
