/* Sparse products and maps of edgernn_stored.h for cores without vectors, from edgernn_dot_*.h:
 *
 *   sparse_dot8(weights, operands, index, tiles, acc), sparse_dot16(...): acc[4], the sums of the 4
 *   rows whose tiles begin at `weights` and have their places at `index`; returned is the first
 *   byte behind these tiles, of which there are 1 to MOST_TILES
 */
#ifndef EDGERNN_SPARSE_ONE_H
#define EDGERNN_SPARSE_ONE_H

#if EDGERNN_VARIANT == EDGERNN_DSP

/* The operands of the next tile. */
#define LOAD_OPERANDS                           \
    "ldrb %[x0], [%[i]], #1\n\t"                \
    "add %[x0], %[x], %[x0], lsl #3\n\t"        \
    "ldrd %[x0], %[x1], [%[x0]]\n\t"

#define ADD_SPARSE_TILE8                \
    LOAD_OPERANDS                       \
    "ldrd %[w0], %[w1], [%[w]], #8\n\t" \
    ADD_PAIRS8("w0", "x0", "ab", "a")   \
    ADD_PAIRS8("w1", "x1", "ab", "a")   \
    "ldrd %[w0], %[w1], [%[w]], #8\n\t" \
    ADD_PAIRS8("w0", "x0", "cd", "c")   \
    ADD_PAIRS8("w1", "x1", "cd", "c")

EDGERNN_INLINE const int8_t *sparse_dot8(const int8_t *weights, const edgernn_code8 *operands,
                                         const uint8_t *index, int32_t tiles, int32_t *acc)
{
    const uint8_t *end = index + tiles;
    int32_t a = 0;
    int32_t ab = 0;
    int32_t c = 0;
    int32_t cd = 0;
    uint32_t x0 = (uint32_t)tiles;
    uint32_t x1;
    uint32_t w0;
    uint32_t w1;
    __asm__ __volatile__("lsls %[x0], %[x0], #31\n\t"
                         "bne 2f\n" /* an odd number of them */
                         "1:\n\t" ADD_SPARSE_TILE8 "2:\n\t" ADD_SPARSE_TILE8
                         "ldr %[x0], %[end]\n\t" /* where there is an FPU, registers run out */
                         "cmp %[i], %[x0]\n\t"
                         "bne 1b"
                         : [w] "+&r"(weights), [i] "+&r"(index), [a] "+&r"(a), [ab] "+&r"(ab),
                           [c] "+&r"(c), [cd] "+&r"(cd), [x0] "+&r"(x0), [x1] "=&r"(x1),
                           [w0] "=&r"(w0), [w1] "=&r"(w1)
                         : [x] "r"(operands), [end] "m"(end)
                         : "cc", "memory");
    acc[0] = a;
    acc[1] = (int32_t)((uint32_t)ab - (uint32_t)a) >> 8;
    acc[2] = c;
    acc[3] = (int32_t)((uint32_t)cd - (uint32_t)c) >> 8;
    return weights;
}

/* As ADD_PAIRS16, without a register of its own: w is lost. */
#define ADD_PAIRS16_OF(w, x, u, high, low)                  \
    "sxtb16 %[" u "], %[" w "]\n\t"                         \
    "smlad %[" low "], %[" u "], %[" x "], %[" low "]\n\t"  \
    "sxtb16 %[" w "], %[" w "], ror #8\n\t"                 \
    "smlad %[" high "], %[" w "], %[" x "], %[" high "]\n\t"

EDGERNN_INLINE const int8_t *sparse_dot16(const int8_t *weights, const edgernn_code16 *operands,
                                          const uint8_t *index, int32_t tiles, int32_t *acc)
{
    const uint8_t *end = index + tiles;
    int32_t a = 0;
    int32_t b = 0;
    int32_t c = 0;
    int32_t d = 0;
    uint32_t x0;
    uint32_t x1;
    uint32_t w0;
    uint32_t w1;
    uint32_t u;
    __asm__ __volatile__("1:\n\t" LOAD_OPERANDS
                         "ldrd %[w0], %[w1], [%[w]], #8\n\t"
                         ADD_PAIRS16_OF("w0", "x0", "u", "b", "a")
                         ADD_PAIRS16_OF("w1", "x1", "u", "b", "a")
                         "ldrd %[w0], %[w1], [%[w]], #8\n\t"
                         ADD_PAIRS16_OF("w0", "x0", "u", "d", "c")
                         ADD_PAIRS16_OF("w1", "x1", "u", "d", "c")
                         "ldr %[x0], %[end]\n\t"
                         "cmp %[i], %[x0]\n\t"
                         "bne 1b"
                         : [w] "+&r"(weights), [i] "+&r"(index), [a] "+&r"(a), [b] "+&r"(b),
                           [c] "+&r"(c), [d] "+&r"(d), [x0] "=&r"(x0), [x1] "=&r"(x1),
                           [w0] "=&r"(w0), [w1] "=&r"(w1), [u] "=&r"(u)
                         : [x] "r"(operands), [end] "m"(end)
                         : "cc", "memory");
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
    return weights;
}

#else

#define DEFINE_SPARSE_DOT(name, operand)                                                         \
    EDGERNN_INLINE const int8_t *name(const int8_t *weights, const operand *all,                 \
                                      const uint8_t *index, int32_t tiles, int32_t *acc)         \
    {                                                                                            \
        const uint8_t *end = index + tiles;                                                      \
        int32_t a0 = 0;                                                                          \
        int32_t a1 = 0;                                                                          \
        int32_t a2 = 0;                                                                          \
        int32_t a3 = 0;                                                                          \
        do {                                                                                     \
            const operand *operands = all + EDGERNN_TILE_COLUMNS * *index++;                     \
            ADD_COLUMN(0);                                                                       \
            ADD_COLUMN(1);                                                                       \
            ADD_COLUMN(2);                                                                       \
            ADD_COLUMN(3);                                                                       \
            weights += EDGERNN_TILE_BYTES;                                                       \
        } while (index != end);                                                                  \
        acc[0] = a0;                                                                             \
        acc[1] = a1;                                                                             \
        acc[2] = a2;                                                                             \
        acc[3] = a3;                                                                             \
        return weights;                                                                          \
    }

DEFINE_SPARSE_DOT(sparse_dot16, edgernn_code16)

#if EDGERNN_VARIANT != EDGERNN_THUMB1
DEFINE_SPARSE_DOT(sparse_dot8, edgernn_code8)
#else

/* Operands of two columns of the tile at this place. */
#define LOAD_TWO_OPERANDS(offset)        \
    "lsls %[t], %[t], #3\n\t"            \
    "add %[t], r12\n\t"                  \
    "ldr %[x0], [%[t], " offset "]\n\t"  \
    "asrs %[x1], %[x0], #16\n\t"         \
    "sxth %[x0], %[x0]\n\t"

EDGERNN_INLINE const int8_t *sparse_dot8(const int8_t *weights, const edgernn_code8 *operands,
                                         const uint8_t *index, int32_t tiles, int32_t *acc)
{
    /* Named ones, as in edgernn_dot8. */
    register const int8_t *w __asm__("r0") = weights;
    register const uint8_t *i __asm__("r1") = index;
    register const edgernn_code8 *x0 __asm__("r2") = operands;
    register int32_t x1 __asm__("r3");
    register const uint8_t *t __asm__("r4") = index + tiles;
    register int32_t u __asm__("r5");
    register int32_t v __asm__("r6");
    int32_t a;
    int32_t c;
    __asm__ __volatile__(".syntax unified\n\t"
                         "mov r12, %[x0]\n\t"
                         "mov lr, %[t]\n\t"
                         "movs %[v], #0\n\t"
                         "mov r8, %[v]\n\t"
                         "mov r9, %[v]\n\t"
                         "mov r10, %[v]\n\t"
                         "mov r11, %[v]\n"
                         "1:\n\t"
                         "ldrb %[t], [%[i]]\n\t" LOAD_TWO_OPERANDS("#0")
                         ADD_PAIR8("r9", "r8")
                         ADD_PAIR8("r11", "r10")
                         "ldrb %[t], [%[i]]\n\t" LOAD_TWO_OPERANDS("#4")
                         ADD_PAIR8("r9", "r8")
                         ADD_PAIR8("r11", "r10")
                         "adds %[i], #1\n\t"
                         "cmp %[i], lr\n\t"
                         "bne 1b\n\t"
                         "mov %[x0], r8\n\t"
                         "mov %[x1], r9\n\t"
                         "mov %[t], r10\n\t"
                         "mov %[u], r11"
                         : [w] "+l"(w), [i] "+l"(i), [x0] "+l"(x0), [x1] "=&l"(x1),
                           [t] "+l"(t), [u] "=&l"(u), [v] "=&l"(v)
                         :
                         : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
    a = (int32_t)x0;
    c = (int32_t)t;
    acc[0] = a;
    acc[1] = (int32_t)((uint32_t)x1 - (uint32_t)a) >> 8;
    acc[2] = c;
    acc[3] = (int32_t)((uint32_t)u - (uint32_t)c) >> 8;
    return w;
}

#endif
#endif

/* The sums of a term's next 4 rows. */
#define DEFINE_SPARSE_ROWS(bits)                                                              \
    EDGERNN_INLINE void sparse_rows##bits(stored_place *place,                                \
                                          const edgernn_code##bits *operands, int32_t *acc)   \
    {                                                                                         \
        int32_t left = *place->index++ + 1;                                                   \
        while (left > 0) {                                                                    \
            const int32_t tiles = left < MOST_TILES ? left : MOST_TILES;                      \
            int32_t part[EDGERNN_TILE_ROWS];                                                  \
            place->weights =                                                                  \
                sparse_dot##bits(place->weights, operands, place->index, tiles, part);        \
            place->index += tiles;                                                            \
            left -= tiles;                                                                    \
            add_sums(acc, part);                                                              \
        }                                                                                     \
    }

DEFINE_SPARSE_ROWS(8)
DEFINE_SPARSE_ROWS(16)

/* Maps of one term, which is short enough to need no parts. */
#define HAS_SPARSE_MAPS 1
#define IS_SPARSE_MAP(map) \
    ((map)->term_count == 1 && (map)->terms->index && (map)->terms->tiles <= MOST_TILES)

static void affine8_of_sparse(const edgernn_map8 *map, const edgernn_code8 *operands, int16_t *z)
{
    const edgernn_code8 *x = operands + map->terms->first;
    const int32_t shift = map->shift;
    const int32_t half = (int32_t)1 << (shift - 1);
    const int32_t *bias = map->bias;
    const int32_t *multiplier = map->terms->multiplier;
    const int8_t *weights = map->terms->weights;
    const uint8_t *index = map->terms->index;
    int32_t left;
    for (left = map->rows; left > 0; left -= 4) {
        const int32_t tiles = *index++ + 1;
        int32_t acc[4];
        int32_t u[4];
        weights = sparse_dot8(weights, x, index, tiles, acc);
        index += tiles;
#define SCALE(r) u[r] = (bias[r] + half + acc[r] * multiplier[r]) >> shift
        EACH_ROW(SCALE);
#undef SCALE
        STORE_ROWS_LEFT(left);
        bias += 4;
        multiplier += 4;
        z += 4;
    }
}

static void affine16_of_sparse(const edgernn_map16 *map, const edgernn_code16 *operands,
                               int16_t *z)
{
    const edgernn_term16 *term = map->terms;
    const edgernn_code16 *x = operands + term->first;
    const int32_t rows = map->rows;
    const int8_t *weights = term->weights;
    const uint8_t *index = term->index;
    int32_t row;
    for (row = 0; row < rows; row += 4) {
        const int32_t tiles = *index++ + 1;
        int32_t acc[4];
        int32_t u[4];
        weights = sparse_dot16(weights, x, index, tiles, acc);
        index += tiles;
#define PRODUCT(r) u[r] = product16(term, row + r, 1, acc[r])
        EACH_ROW(PRODUCT);
#undef PRODUCT
        STORE_ROWS_LEFT(rows - row);
        z += 4;
    }
}

#endif
