/* What maps of isa/scalar/stored.h make of the sums of their products. */
#ifndef EDGERNN_ISA_SCALAR_FINISH_H
#define EDGERNN_ISA_SCALAR_FINISH_H

/* z of the next row, from u without half. */
#define STORE_NEXT(u) *z++ = (int16_t)edgernn_sat16(((u) + half) >> shift)

/* The first of some rows, as many as are a multiple of what the variant finishes at once
 * (EDGERNN_FINISH_HEADER); the loop behind it takes the others. */
#ifndef FINISH_MOST_OF_ONE
#define FINISH_MOST_OF_ONE
#endif
#ifndef FINISH_MOST_OF_TWO
#define FINISH_MOST_OF_TWO
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
    FINISH_MOST_OF_ONE
    while (sums != end) {
        const int32_t product = *sums++ * *multiplier++;
        STORE_NEXT(product + *bias++);
        EDGERNN_ADVANCE_NOW(multiplier);
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
    FINISH_MOST_OF_TWO
    for (; sums != end; ++sums) {
        const int32_t first = *sums * *multiplier++ + *bias++;
        STORE_NEXT(sums[PART_ROWS] * *second++ + first);
        EDGERNN_ADVANCE_NOW(multiplier);
        EDGERNN_ADVANCE_NOW(second);
        EDGERNN_ADVANCE_NOW(bias);
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
