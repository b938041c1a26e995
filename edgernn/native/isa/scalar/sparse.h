/* Sparse products of common/stored.h for cores without vectors, from dot.h:
 *
 *   sparse_dot8(weights, operands, index, tiles, acc), sparse_dot16(...): acc[4], the sums of the 4
 *   rows whose tiles begin at `weights` and have their places at `*index`, which moves behind them;
 *   returned is the first byte behind these tiles, of which there are 1 to MOST_TILES
 */
#ifndef EDGERNN_ISA_SCALAR_SPARSE_H
#define EDGERNN_ISA_SCALAR_SPARSE_H

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
                                         const uint8_t **index, int32_t tiles, int32_t *acc)
{
    int32_t a = 0;
    int32_t ab = 0;
    int32_t c = 0;
    int32_t cd = 0;
    uint32_t x0;
    uint32_t x1;
    uint32_t w0;
    uint32_t w1;
    int32_t left = tiles - 1; /* as the index has it */
    __asm__ __volatile__("lsls %[x0], %[left], #31\n\t"
                         "beq 2f\n" /* an odd number of tiles */
                         "1:\n\t" ADD_SPARSE_TILE8 "2:\n\t" ADD_SPARSE_TILE8
                         "subs %[left], %[left], #2\n\t"
                         "bge 1b"
                         : [w] "+&r"(weights), [i] "+&r"(*index), [a] "+&r"(a), [ab] "+&r"(ab),
                           [c] "+&r"(c), [cd] "+&r"(cd), [x0] "=&r"(x0), [x1] "=&r"(x1),
                           [w0] "=&r"(w0), [w1] "=&r"(w1), [left] "+&r"(left)
                         : [x] "r"(operands)
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
                                          const uint8_t **index, int32_t tiles, int32_t *acc)
{
    const uint8_t *end = *index + tiles;
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
                         : [w] "+&r"(weights), [i] "+&r"(*index), [a] "+&r"(a), [b] "+&r"(b),
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
                                      const uint8_t **index, int32_t tiles, int32_t *acc)        \
    {                                                                                            \
        const uint8_t *i = *index;                                                               \
        const uint8_t *end = i + tiles;                                                          \
        int32_t a0 = 0;                                                                          \
        int32_t a1 = 0;                                                                          \
        int32_t a2 = 0;                                                                          \
        int32_t a3 = 0;                                                                          \
        do {                                                                                     \
            const operand *operands = all + EDGERNN_TILE_COLUMNS * *i++;                         \
            ADD_COLUMN(0);                                                                       \
            ADD_COLUMN(1);                                                                       \
            ADD_COLUMN(2);                                                                       \
            ADD_COLUMN(3);                                                                       \
            weights += EDGERNN_TILE_BYTES;                                                       \
        } while (i != end);                                                                      \
        *index = i;                                                                              \
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
                                         const uint8_t **index, int32_t tiles, int32_t *acc)
{
    /* Named ones, as in edgernn_dot8. */
    register const int8_t *w __asm__("r0") = weights;
    register const uint8_t *i __asm__("r1") = *index;
    register const edgernn_code8 *x0 __asm__("r2") = operands;
    register int32_t x1 __asm__("r3");
    register const uint8_t *t __asm__("r4") = i + tiles;
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
    *index = i;
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
                sparse_dot##bits(place->weights, operands, &place->index, tiles, part);       \
            left -= tiles;                                                                    \
            add_sums(acc, part);                                                              \
        }                                                                                     \
    }

DEFINE_SPARSE_ROWS(8)
DEFINE_SPARSE_ROWS(16)

#endif
