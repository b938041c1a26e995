/* What maps of isa/scalar/stored.h make of the sums of their products. */
#ifndef EDGERNN_ISA_SCALAR_FINISH_H
#define EDGERNN_ISA_SCALAR_FINISH_H

/* z of the next row, from u without half. */
#define STORE_NEXT(u) *z++ = (int16_t)edgernn_sat16(((u) + half) >> shift)

#if EDGERNN_VARIANT == EDGERNN_DSP
/* to[2], the next two of some values. */
#define LOAD_TWO(to, from)                    \
    __asm__("ldrd %0, %1, [%2], #8"           \
            : "=&r"((to)[0]), "=&r"((to)[1]), "+&r"(from) : : "memory")
#endif

/* So that a compiler uses instructions that load and advance, instead of adding later. */
#if EDGERNN_VARIANT == EDGERNN_DSP || EDGERNN_VARIANT == EDGERNN_THUMB1
#define ADVANCE_NOW(pointer) __asm__("" : "+r"(pointer))
#else
#define ADVANCE_NOW(pointer) (void)0
#endif

/* Clauses 4.2 and 4.3 of `rows` rows from `row` on, from the sums of one product. */
EDGERNN_NOT_INLINE void finish8_of_one(const edgernn_map8 *map, int32_t row, int32_t rows,
                                       const int32_t *sums, int16_t *z)
{
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    const int32_t *bias = map->bias + row;
    const int32_t *multiplier = map->terms->multiplier + row;
    const int32_t *end = sums + rows;
#if EDGERNN_VARIANT == EDGERNN_DSP
    const int32_t *pairs = sums + (rows & ~1);
    while (sums != pairs) {
        int32_t b[2];
        int32_t m[2];
        int32_t s[2];
        LOAD_TWO(b, bias);
        LOAD_TWO(m, multiplier);
        LOAD_TWO(s, sums);
        STORE_NEXT(s[0] * m[0] + b[0]);
        ADVANCE_NOW(z);
        STORE_NEXT(s[1] * m[1] + b[1]);
        ADVANCE_NOW(z);
    }
#elif EDGERNN_VARIANT == EDGERNN_RISCV /* cannot load and advance */
    const int32_t *fours = sums + (rows & ~3);
    for (; sums != fours; sums += 4) {
        finish_rows(sums, bias, half, multiplier, shift, z);
        bias += 4;
        multiplier += 4;
        z += 4;
    }
#endif
    while (sums != end) {
        const int32_t product = *sums++ * *multiplier++;
        STORE_NEXT(product + *bias++);
        ADVANCE_NOW(multiplier);
    }
}

/* The same of two products; the sums of the second one stand PART_ROWS behind the others. */
EDGERNN_NOT_INLINE void finish8_of_two(const edgernn_map8 *map, int32_t row, int32_t rows,
                                       const int32_t *sums, int16_t *z)
{
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    const int32_t *bias = map->bias + row;
    const int32_t *multiplier = map->terms[0].multiplier + row;
    const int32_t *second = map->terms[1].multiplier + row;
    const int32_t *end = sums + rows;
#if EDGERNN_VARIANT == EDGERNN_DSP
    const int32_t *pairs = sums + (rows & ~1);
    while (sums != pairs) {
        int32_t u[2];
        int32_t m[2];
        int32_t s[2];
        LOAD_TWO(u, bias);
        LOAD_TWO(m, second);
        u[0] += sums[PART_ROWS] * m[0];
        u[1] += sums[PART_ROWS + 1] * m[1];
        LOAD_TWO(m, multiplier);
        LOAD_TWO(s, sums);
        STORE_NEXT(s[0] * m[0] + u[0]);
        ADVANCE_NOW(z);
        STORE_NEXT(s[1] * m[1] + u[1]);
        ADVANCE_NOW(z);
    }
#endif
    for (; sums != end; ++sums) {
        const int32_t first = *sums * *multiplier++ + *bias++;
        STORE_NEXT(sums[PART_ROWS] * *second++ + first);
        ADVANCE_NOW(multiplier);
        ADVANCE_NOW(second);
        ADVANCE_NOW(bias);
    }
}

/* Clause 5.2, p of one row from its sum without bias. */
EDGERNN_INLINE int32_t scaled16(int32_t sum, int32_t bias, int32_t shift, int32_t multiplier)
{
    return edgernn_round(edgernn_sat16(edgernn_half_up(sum + bias, shift)) * multiplier, 15);
}

/* The same of rows from `row` on, in the place of their sums. */
EDGERNN_NOT_INLINE void scale16(const edgernn_term16 *term, int32_t row, int32_t rows,
                                int32_t *sums)
{
    const int32_t *bias = term->bias + row;
    const uint8_t *shift = term->shift + row;
    const int16_t *multiplier = term->multiplier + row;
    const int32_t *end = sums + rows;
    for (; sums != end; ++sums) {
        *sums = scaled16(*sums, *bias++, *shift++, *multiplier++);
    }
}

/* Clause 5.3 of `rows` rows from `row` on, from the sums of one product and, if there is another
 * one, its p. */
EDGERNN_NOT_INLINE void finish16(const edgernn_term16 *term, int32_t row, int32_t rows,
                                 const int32_t *sums, const int32_t *p, int16_t *z)
{
    const int32_t *bias = term->bias + row;
    const uint8_t *shift = term->shift + row;
    const int16_t *multiplier = term->multiplier + row;
    const int32_t *end = sums + rows;
    if (p) {
        while (sums != end) {
            const int32_t first = scaled16(*sums++, *bias++, *shift++, *multiplier++);
            *z++ = (int16_t)edgernn_sat16(first + *p++);
        }
    } else {
        while (sums != end) {
            *z++ = (int16_t)edgernn_sat16(scaled16(*sums++, *bias++, *shift++, *multiplier++));
        }
    }
}

#endif
