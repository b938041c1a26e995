#include "edgernn_affine.h"

#include "edgernn_fixed.h"

/* Dot products: acc of clause 4.2, whose partial sums are at most 131072 products of 2^14, and acc
 * of clause 5.2 without its bias, which the clause bounds in any order of summation. */

/* For one row. */
#define DEFINE_ONE_ROW(name, operand)                                                  \
    static int32_t name(const int8_t *weights, const operand *operands, int32_t count) \
    {                                                                                  \
        int32_t acc = 0;                                                               \
        int32_t j;                                                                     \
        for (j = 0; j < count; ++j) {                                                  \
            acc += (int32_t)weights[j] * operands[j];                                  \
        }                                                                              \
        return acc;                                                                    \
    }

DEFINE_ONE_ROW(row8, int8_t)
DEFINE_ONE_ROW(row16, int16_t)

/* For EDGERNN_ROWS rows, one behind the other. */
#if EDGERNN_ROWS == 2
#define DEFINE_ROWS(name, operand, columns)                                                       \
    static void name(const int8_t *weights, const operand *operands, int32_t count, int32_t *acc) \
    {                                                                                             \
        const int8_t *w0 = weights + count;                                                       \
        const int8_t *w1 = w0 + count;                                                            \
        int32_t a0 = 0;                                                                           \
        int32_t a1 = 0;                                                                           \
        int32_t j;                                                                                \
        operands += count;                                                                        \
        for (j = -count; j < 0; ++j) { /* no register for the end */                              \
            const int32_t x = operands[j];                                                        \
            a0 += w0[j] * x;                                                                      \
            a1 += w1[j] * x;                                                                      \
        }                                                                                         \
        acc[0] = a0;                                                                              \
        acc[1] = a1;                                                                              \
    }

#else

#define DEFINE_ROWS(name, operand, columns)                                          \
    static void name(const int8_t *w, const operand *x, int32_t count, int32_t *acc) \
    {                                                                                \
        const int32_t count3 = 3 * count;                                            \
        const int8_t *end = w + (count & ~(int32_t)7);                               \
        int32_t a0 = 0;                                                              \
        int32_t a1 = 0;                                                              \
        int32_t a2 = 0;                                                              \
        int32_t a3 = 0;                                                              \
        while (w != end) {                                                           \
            columns;                                                                 \
            columns;                                                                 \
        }                                                                            \
        end += count & 7;                                                            \
        while (w != end) {                                                           \
            ADD_COLUMN;                                                              \
        }                                                                            \
        acc[0] = a0;                                                                 \
        acc[1] = a1;                                                                 \
        acc[2] = a2;                                                                 \
        acc[3] = a3;                                                                 \
    }

#define ADD_COLUMN              \
    do {                        \
        const int32_t v = *x++; \
        a0 += w[0] * v;         \
        a1 += w[count] * v;     \
        a2 += w[2 * count] * v; \
        a3 += w[count3] * v;    \
        ++w;                    \
    } while (0)

#if EDGERNN_VARIANT == EDGERNN_DSP
/* Four columns. `even` and `odd` hold two operands each as halves; so do the weights of a row after
 * SXTB16, which takes bytes 0 and 2, or 1 and 3 where they are rotated. LDR may be unaligned. */
#define ADD_ROW(acc, address, offset)                                               \
    __asm__ __volatile__("ldr %[v], " address "\n\t"                                \
                         "sxtb16 %[u], %[v]\n\t"                                    \
                         "sxtb16 %[v], %[v], ror #8\n\t"                            \
                         "smlad %[a], %[u], %[even], %[a]\n\t"                      \
                         "smlad %[a], %[v], %[odd], %[a]"                           \
                         : [a] "+&r"(acc), [w] "+&r"(w), [u] "=&r"(u), [v] "=&r"(v) \
                         : [by] "r"(offset), [even] "r"(even), [odd] "r"(odd)       \
                         : "memory")

#define ADD_COLUMNS(load_operands)                                                              \
    do {                                                                                        \
        uint32_t even;                                                                          \
        uint32_t odd;                                                                           \
        uint32_t u;                                                                             \
        uint32_t v;                                                                             \
        __asm__ __volatile__(load_operands                                                      \
                             : [x] "+&r"(x), [even] "=&r"(even), [odd] "=&r"(odd), [u] "=&r"(u) \
                             :                                                                  \
                             : "memory");                                                       \
        ADD_ROW(a3, "[%[w], %[by]]", count3);                                                   \
        ADD_ROW(a2, "[%[w], %[by], lsl #1]", count);                                            \
        ADD_ROW(a1, "[%[w], %[by]]", count);                                                    \
        ADD_ROW(a0, "[%[w]], #4", count);                                                       \
    } while (0)

#define ADD_COLUMNS8                       \
    ADD_COLUMNS("ldr %[u], [%[x]], #4\n\t" \
                "sxtb16 %[even], %[u]\n\t" \
                "sxtb16 %[odd], %[u], ror #8")
#define ADD_COLUMNS16                                      \
    ADD_COLUMNS("ldr %[u], [%[x]], #4\n\t"                 \
                "ldr %[odd], [%[x]], #4\n\t"               \
                "pkhbt %[even], %[u], %[odd], lsl #16\n\t" \
                "pkhtb %[odd], %[odd], %[u], asr #16")

#else
/* A compiler that loads many columns ahead runs out of registers. */
#ifdef __GNUC__
#define KEEP_ORDER __asm__ __volatile__("" : : : "memory")
#else
#define KEEP_ORDER (void)0
#endif

#define ADD_COLUMNS \
    ADD_COLUMN;     \
    KEEP_ORDER;     \
    ADD_COLUMN;     \
    KEEP_ORDER;     \
    ADD_COLUMN;     \
    KEEP_ORDER;     \
    ADD_COLUMN;     \
    KEEP_ORDER
#define ADD_COLUMNS8 ADD_COLUMNS
#define ADD_COLUMNS16 ADD_COLUMNS

#endif
#endif

DEFINE_ROWS(rows8, int8_t, ADD_COLUMNS8)
DEFINE_ROWS(rows16, int16_t, ADD_COLUMNS16)

/* Without a loop, what belongs to the rows stays in registers. */
#if EDGERNN_ROWS == 2
#define EACH_ROW(statement) \
    do {                    \
        statement(0);       \
        statement(1);       \
    } while (0)
#else
#define EACH_ROW(statement) \
    do {                    \
        statement(0);       \
        statement(1);       \
        statement(2);       \
        statement(3);       \
    } while (0)
#endif

/* Clauses 4.2 and 4.3 for EDGERNN_ROWS rows. */
static void block8(const edgernn_map8 *map, const int8_t *operands, int32_t row, int16_t *z)
{
    const int32_t *bias = map->bias + row;
    int32_t acc[EDGERNN_ROWS];
    int32_t u[EDGERNN_ROWS];
    int32_t t;
    int32_t i;
#define START(r) u[r] = bias[r]
#define ADD_TERM(r) u[r] += acc[r] * multiplier[r]
    EACH_ROW(START);
    for (t = 0; t < map->term_count; ++t) {
        const edgernn_term8 *term = &map->terms[t];
        const int32_t *multiplier = term->multiplier + row;
        rows8(term->weights + row * term->columns, operands + term->first, term->columns, acc);
        EACH_ROW(ADD_TERM);
    }
    for (i = 0; i < EDGERNN_ROWS; ++i) {
        z[row + i] = edgernn_sat16(edgernn_half_up(u[i], map->shift));
    }
}

/* The same for one row. */
static int16_t single8(const edgernn_map8 *map, const int8_t *operands, int32_t row)
{
    int32_t u = map->bias[row];
    int32_t t;
    for (t = 0; t < map->term_count; ++t) {
        const edgernn_term8 *term = &map->terms[t];
        const int8_t *weights = term->weights + row * term->columns;
        u += row8(weights, operands + term->first, term->columns) * term->multiplier[row];
    }
    return edgernn_sat16(edgernn_half_up(u, map->shift));
}

void edgernn_affine8(const edgernn_map8 *map, const int8_t *operands, int16_t *z)
{
    int32_t row = 0;
    for (; map->rows - row >= EDGERNN_ROWS; row += EDGERNN_ROWS) {
        block8(map, operands, row, z);
    }
    for (; row < map->rows; ++row) {
        z[row] = single8(map, operands, row);
    }
}

/* p of clause 5.2 for one row and its dot product. */
static int32_t product16(const edgernn_term16 *term, int32_t row, int32_t dot)
{
    const int32_t acc = term->bias[row] + dot;
    return edgernn_scaled(edgernn_sat16(edgernn_half_up(acc, term->shift[row])),
                          term->multiplier[row]);
}

/* Clauses 5.2 and 5.3 for EDGERNN_ROWS rows. */
static void block16(const edgernn_map16 *map, const int16_t *operands, int32_t row, int16_t *z)
{
    int32_t acc[EDGERNN_ROWS];
    int32_t sum[EDGERNN_ROWS];
    int32_t t;
    int32_t i;
    for (i = 0; i < EDGERNN_ROWS; ++i) {
        sum[i] = 0;
    }
    for (t = 0; t < map->term_count; ++t) {
        const edgernn_term16 *term = &map->terms[t];
        rows16(term->weights + row * term->columns, operands + term->first, term->columns, acc);
        for (i = 0; i < EDGERNN_ROWS; ++i) {
            sum[i] += product16(term, row + i, acc[i]);
        }
    }
    for (i = 0; i < EDGERNN_ROWS; ++i) {
        z[row + i] = edgernn_sat16(sum[i]);
    }
}

/* The same for one row. */
static int16_t single16(const edgernn_map16 *map, const int16_t *operands, int32_t row)
{
    int32_t sum = 0;
    int32_t t;
    for (t = 0; t < map->term_count; ++t) {
        const edgernn_term16 *term = &map->terms[t];
        const int8_t *weights = term->weights + row * term->columns;
        sum += product16(term, row, row16(weights, operands + term->first, term->columns));
    }
    return edgernn_sat16(sum);
}

void edgernn_affine16(const edgernn_map16 *map, const int16_t *operands, int16_t *z)
{
    int32_t row = 0;
    for (; map->rows - row >= EDGERNN_ROWS; row += EDGERNN_ROWS) {
        block16(map, operands, row, z);
    }
    for (; row < map->rows; ++row) {
        z[row] = single16(map, operands, row);
    }
}

void edgernn_operands8(const int16_t *value, int32_t count, int8_t *operands)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        operands[j] = edgernn_sat8(edgernn_round(value[j], 8));
    }
}

void edgernn_operands16(const int16_t *value, int32_t count, int16_t *operands)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        operands[j] = (int16_t)(4 * edgernn_round(value[j], 3));
    }
}

void edgernn_copy8(const int8_t *from, int32_t count, int8_t *to)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        to[j] = from[j];
    }
}

void edgernn_copy16(const int16_t *from, int32_t count, int16_t *to)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        to[j] = from[j];
    }
}

void edgernn_zero16(int16_t *vector, int32_t count)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        vector[j] = 0;
    }
}
