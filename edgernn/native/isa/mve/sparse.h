/* Sparse products and maps of common/stored.h on Armv8.1-M vectors: like the dense ones of
 * isa/mve/affine.h, but the operands of 4 tiles are gathered from their places.
 */
#ifndef EDGERNN_ISA_MVE_SPARSE_H
#define EDGERNN_ISA_MVE_SPARSE_H

/* From an index: how many tiles the first block has, and how many blocks follow. */
#define COUNT_BLOCKS(first, more)               \
    "ldrb %[" more "], [%[i]], #1\n\t"          \
    "and %[" first "], %[" more "], #3\n\t"     \
    "add %[" first "], %[" first "], #1\n\t"    \
    "lsr %[" more "], %[" more "], #2\n\t"      \
    "vctp.32 %[" first "]\n\t"

/* The sums of clause 4.2 for the next 4 rows, times 1. */
EDGERNN_INLINE int32x4_t sparse_sums8(stored_place *place, const edgernn_code8 *operands)
{
    const int8_t *weights = place->weights;
    const uint8_t *index = place->index;
    int32x4_t sums;
    int32_t a;
    int32_t b;
    int32_t c;
    int32_t d;
    int32_t first;
    int32_t more;
    __asm__(COUNT_BLOCKS("first", "more")
            "vpstt\n\t"
            "vldrbt.u32 q5, [%[i]]\n\t"
            "vldrwt.u32 q4, [%[x], q5, uxtw #2]\n\t" LOAD_BLOCK "\n\t"
            "add %[i], %[i], %[first]\n\t"
            "add %[w], %[w], %[first], lsl #4\n\t"
            "vmladav.s8 %[a], q0, q4\n\t"
            "vmladav.s8 %[b], q1, q4\n\t"
            "vmladav.s8 %[c], q2, q4\n\t"
            "vmladav.s8 %[d], q3, q4\n\t"
            "wls lr, %[more], 2f\n"
            "1:\n\t"
            "vldrb.u32 q5, [%[i]], #4\n\t" LOAD_BLOCK "!\n\t"
            "vldrw.u32 q4, [%[x], q5, uxtw #2]\n\t"
            "vmladava.s8 %[a], q0, q4\n\t"
            "vmladava.s8 %[b], q1, q4\n\t"
            "vmladava.s8 %[c], q2, q4\n\t"
            "vmladava.s8 %[d], q3, q4\n\t"
            "le lr, 1b\n"
            "2:\n\t"
            "vmov %q[sums][2], %q[sums][0], %[a], %[c]\n\t"
            "vmov %q[sums][3], %q[sums][1], %[b], %[d]"
            : [sums] "=&w"(sums), [w] "+&r"(weights), [i] "+&l"(index), [a] "=&Te"(a),
              [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d), [first] "=&r"(first), [more] "=&r"(more)
            : [x] "r"(operands)
            : PREDICATE "q0", "q1", "q2", "q3", "q4", "q5", "lr", "cc", "memory");
    place->weights = weights;
    place->index = index;
    return sums;
}

/* Offsets in codes: of columns 0 and 2 of 4 tiles, from the tiles' places. */
#define OFFSETS                             \
    "vmul.i32 q6, q6, %q[sums]\n\t"   \
    "vorr.i32 q6, #0x20000\n\t"

/* From columns 0 and 2 in q4 and 1 and 3 in q5: their lower bytes, halved, to q4 and their upper
 * ones to q6. */
#define BYTES_OF_OPERANDS           \
    "vmov q6, q5\n\t"               \
    "vsri.16 q6, q4, #8\n\t"        \
    "vsli.16 q4, q5, #8\n\t"        \
    "vshr.u8 q4, q4, #1\n\t"

/* Operands of 4 tiles from their places in q6; `condition` is t where they are fewer. */
#define GATHER_OPERANDS(predicate, condition)                                   \
    "ldr %[x], %[operands]\n\t" predicate                                       \
    "vldrh" condition ".u16 q4, [%[x], q6, uxtw #1]\n\t"                        \
    "add %[x], %[x], #2\n\t" predicate                                          \
    "vldrh" condition ".u16 q5, [%[x], q6, uxtw #1]\n\t" BYTES_OF_OPERANDS

/* The sums of clause 5.2, without bias, for the next 4 rows; see dot16, whose sums leave no more
 * registers than this. */
EDGERNN_INLINE int32x4_t sparse_sums16(stored_place *place, const edgernn_code16 *operands)
{
    const int8_t *weights = place->weights;
    const uint8_t *index = place->index + 1;
    const uint8_t *end = index + place->index[0] + 1;
    int32x4_t sums = vdupq_n_s32(0x40004); /* 4 codes a tile, twice; no register is left for it */
    int32_t a = (place->index[0] & 3) + 1; /* tiles of the first block */
    int32_t b;
    int32_t c;
    int32_t d;
    int32_t e;
    int32_t f;
    int32_t g;
    int32_t h;
    const void *x;
    __asm__("vctp.32 %[a]\n\t"
            "vpst\n\t"
            "vldrbt.u32 q6, [%[i]]\n\t" OFFSETS
            "add %[i], %[i], %[a]\n\t"
            "lsl %[a], %[a], #1\n\t" /* pairs of columns */
            "vctp.16 %[a]\n\t" GATHER_OPERANDS("vpst\n\t", "t") LOAD_BLOCK "\n\t"
            "add %[w], %[w], %[a], lsl #3\n\t"
            "vmladav.s8 %[a], q0, q6\n\t"
            "vmladav.s8 %[b], q1, q6\n\t"
            "vmladav.s8 %[c], q2, q6\n\t"
            "vmladav.s8 %[d], q3, q6\n\t"
            "vmladav.s8 %[e], q0, q4\n\t"
            "vmladav.s8 %[f], q1, q4\n\t"
            "vmladav.s8 %[g], q2, q4\n\t"
            "vmladav.s8 %[h], q3, q4\n\t"
            "b 2f\n"
            "1:\n\t"
            "vldrb.u32 q6, [%[i]], #4\n\t" OFFSETS GATHER_OPERANDS("", "") LOAD_BLOCK "!\n\t"
            "vmladava.s8 %[a], q0, q6\n\t"
            "vmladava.s8 %[b], q1, q6\n\t"
            "vmladava.s8 %[c], q2, q6\n\t"
            "vmladava.s8 %[d], q3, q6\n\t"
            "vmladava.s8 %[e], q0, q4\n\t"
            "vmladava.s8 %[f], q1, q4\n\t"
            "vmladava.s8 %[g], q2, q4\n\t"
            "vmladava.s8 %[h], q3, q4\n"
            "2:\n\t"
            "ldr %[x], %[end]\n\t"
            "cmp %[i], %[x]\n\t"
            "bne 1b\n\t"
            "vmov %q[sums][2], %q[sums][0], %[a], %[c]\n\t"
            "vmov %q[sums][3], %q[sums][1], %[b], %[d]\n\t"
            "vmov q0[2], q0[0], %[e], %[g]\n\t"
            "vmov q0[3], q0[1], %[f], %[h]\n\t"
            "vshl.i32 %q[sums], %q[sums], #7\n\t"
            "vadd.i32 %q[sums], %q[sums], q0\n\t"
            "vshl.i32 %q[sums], %q[sums], #1"
            : [sums] "+&w"(sums), [w] "+&r"(weights), [i] "+&l"(index), [x] "=&r"(x),
              [a] "+&Te"(a), [b] "=&Te"(b), [c] "=&Te"(c), [d] "=&Te"(d), [e] "=&Te"(e),
              [f] "=&Te"(f), [g] "=&Te"(g), [h] "=&Te"(h)
            : [operands] "m"(operands), [end] "m"(end)
            : PREDICATE "q0", "q1", "q2", "q3", "q4", "q5", "q6", "cc", "memory");
    place->weights = weights;
    place->index = index;
    return sums;
}

/* The sums of a term's next 4 rows. */
#define DEFINE_SPARSE_ROWS(bits)                                                              \
    EDGERNN_INLINE void sparse_rows##bits(stored_place *place,                                \
                                          const edgernn_code##bits *operands, int32_t *acc)   \
    {                                                                                         \
        vstrwq_s32(acc, sparse_sums##bits(place, operands));                                  \
    }

DEFINE_SPARSE_ROWS(8)
DEFINE_SPARSE_ROWS(16)

/* Maps of one term. */
#define IS_SPARSE_MAP(map) ((map)->term_count == 1 && (map)->terms->index)

static void affine8_of_sparse(const edgernn_map8 *map, const edgernn_code8 *operands, int16_t *z)
{
    const edgernn_term8 *term = map->terms;
    const int32_t *multiplier = term->multiplier;
    const int32_t *bias = map->bias;
    const int32_t shift = -map->shift;
    stored_place place;
    int32_t left;
    place.weights = term->weights;
    place.index = term->index;
    operands += term->first;
    for (left = map->rows; left > 0; left -= 4) {
        const int32x4_t sums = sparse_sums8(&place, operands);
        const int32x4_t u = vaddq_s32(vldrwq_s32(bias), vmulq_s32(sums, vldrwq_s32(multiplier)));
        store_rows(vrshlq_n_s32(u, shift), &z, left);
        bias += 4;
        multiplier += 4;
    }
}

static void affine16_of_sparse(const edgernn_map16 *map, const edgernn_code16 *operands,
                               int16_t *z)
{
    const edgernn_term16 *term = map->terms;
    stored_place place;
    int32_t row;
    place.weights = term->weights;
    place.index = term->index;
    operands += term->first;
    for (row = 0; row < map->rows; row += 4) {
        const int32_t left = map->rows - row;
        store_rows(product16(term, row, left, sparse_sums16(&place, operands)), &z, left);
    }
}

#endif
