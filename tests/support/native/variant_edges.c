/* Kernels on vectors of every small length, each in memory of exactly its size with a forbidden
 * page behind it, against sections 4 and 5 of NUMERICS.md in 64-bit arithmetic. Prints the first
 * difference.
 *
 * With the argument "codes": all int16_t codes through every activation and both operand formats,
 * to the standard output.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "edgernn_kernels.h"
#include "guarded_memory.h"

enum { MOST_ROWS = 36, MOST_TILES = 20, ALL = 65536 };

typedef enum { DENSE8, SPARSE8, DENSE4, STORAGES } storage;

static uint32_t seed = 1;

static int32_t uniform(int32_t low, int32_t high)
{
    seed = seed * 1664525u + 1013904223u;
    return low + (int32_t)((seed >> 8) % (uint32_t)(high - low + 1));
}

static int64_t sat16(int64_t v)
{
    return v < -32768 ? -32768 : v > 32767 ? 32767 : v;
}

/* floor(v / 2^k) */
static int64_t floored(int64_t v, int32_t k)
{
    const int64_t d = (int64_t)1 << k;
    return (v - ((v % d) + d) % d) / d;
}

static int64_t rounded(int64_t p, int32_t k)
{
    return floored(p + ((int64_t)1 << (k - 1)) + 1 - 2 * (p < -1), k);
}

/* One product: weights in tiles, and what it needs in rows. */
typedef struct {
    int32_t tiles;
    int32_t bits; /* of a stored weight */
    int32_t tile_bytes;
    size_t bytes;
    int32_t dense[MOST_ROWS][4 * MOST_TILES];
    int there[MOST_ROWS / 4][MOST_TILES];
    int8_t *weights;
    size_t index_bytes;
    uint8_t *index; /* NULL: all tiles are there */
    int32_t *multiplier8;
    int32_t *bias;
    uint8_t *shift;
    int16_t *multiplier16;
} product;

static void write_tile(const product *p, int32_t block, int32_t t, int precision, int8_t *to)
{
#define W(r, c) p->dense[4 * block + (r)][4 * t + (c)]
#define ROW(r) W(r, 0), W(r, 1), W(r, 2), W(r, 3)
#define TILE(macro, ...) macro(__VA_ARGS__)
    const int32_t tile8[] = {TILE(EDGERNN_TILE8, ROW(0), ROW(1), ROW(2), ROW(3))};
    const int32_t tile16[] = {TILE(EDGERNN_TILE16, ROW(0), ROW(1), ROW(2), ROW(3))};
    const int32_t tile4_8[] = {TILE(EDGERNN_TILE4_8, ROW(0), ROW(1), ROW(2), ROW(3))};
    const int32_t tile4_16[] = {TILE(EDGERNN_TILE4_16, ROW(0), ROW(1), ROW(2), ROW(3))};
    const int32_t *tile = precision == 8 ? tile8 : tile16;
    int32_t j;
    if (p->bits == 4) {
        tile = precision == 8 ? tile4_8 : tile4_16;
    }
    for (j = 0; j < p->tile_bytes; ++j) {
        to[j] = (int8_t)tile[j];
    }
}

/* Which tiles there are: some of them, of SPARSE8; the index of common/tile.h. */
static void choose_tiles(product *p, int32_t blocks, storage stored)
{
    uint8_t index[MOST_ROWS / 4 * (1 + MOST_TILES)];
    uint8_t *at = index;
    int32_t i;
    int32_t j;
    for (i = 0; i < blocks; ++i) {
        uint8_t *count = at++;
        const int32_t sure = uniform(0, p->tiles - 1);
        const int32_t odds = uniform(0, 3);
        for (j = 0; j < p->tiles; ++j) {
            p->there[i][j] = stored != SPARSE8 || j == sure || uniform(0, 3) < odds;
            if (p->there[i][j]) {
                *at++ = (uint8_t)j;
            }
        }
        *count = (uint8_t)(at - count - 2);
    }
    p->bytes = (size_t)(at - index - blocks) * (size_t)p->tile_bytes + EDGERNN_READ_AHEAD;
    p->weights = guarded(p->bytes);
    p->index = NULL;
    p->index_bytes = (size_t)(at - index);
    if (stored == SPARSE8) {
        p->index = guarded(p->index_bytes);
        memcpy(p->index, index, p->index_bytes);
    }
}

static product make(int32_t rows, int32_t tiles, int precision, storage stored)
{
    const int32_t padded = EDGERNN_PADDED(rows);
    int8_t *to;
    product p;
    int32_t i;
    int32_t j;
    p.tiles = tiles;
    p.bits = stored == DENSE4 ? 4 : 8;
    p.tile_bytes = stored == DENSE4 ? EDGERNN_TILE4_BYTES : EDGERNN_TILE_BYTES;
    choose_tiles(&p, padded / 4, stored);
    p.multiplier8 = guarded((size_t)padded * 4);
    p.bias = guarded((size_t)padded * 4);
    p.shift = guarded((size_t)padded);
    p.multiplier16 = guarded((size_t)padded * 2);
    memset(p.dense, 0, sizeof p.dense);
    for (i = 0; i < padded; ++i) {
        for (j = 0; j < 4 * tiles && i < rows; ++j) {
            const int32_t most = stored == DENSE4 ? 7 : 127;
            const int32_t w = uniform(0, 3) ? uniform(-most, most) : uniform(0, 1) ? most : -most;
            p.dense[i][j] = p.there[i / 4][j / 4] ? w : 0;
        }
        p.multiplier8[i] = uniform(0, (1 << 27) / (4 * tiles * 127 * 128));
        p.bias[i] = 4 * uniform(-100000, 100000) + 1;
        p.shift[i] = (uint8_t)uniform(3, 12);
        p.multiplier16[i] = (int16_t)uniform(0, 32767);
    }
    to = p.weights;
    for (i = 0; i < padded / 4; ++i) {
        for (j = 0; j < tiles; ++j) {
            if (p.there[i][j]) {
                write_tile(&p, i, j, precision, to);
                to += p.tile_bytes;
            }
        }
    }
    return p;
}

static void drop(const product *p, int32_t rows)
{
    const size_t padded = (size_t)EDGERNN_PADDED(rows);
    release(p->weights, p->bytes);
    if (p->index != NULL) {
        release(p->index, p->index_bytes);
    }
    release(p->multiplier8, padded * 4);
    release(p->bias, padded * 4);
    release(p->shift, padded);
    release(p->multiplier16, padded * 2);
}

static int64_t sum(const product *p, int32_t row, const int32_t *x)
{
    int64_t acc = 0;
    int32_t j;
    for (j = 0; j < 4 * p->tiles; ++j) {
        acc += (int64_t)p->dense[row][j] * x[j];
    }
    return acc;
}

static int compare(const char *what, int32_t rows, int32_t tiles, const int64_t *wanted,
                   const int16_t *z)
{
    int32_t r;
    for (r = 0; r < rows; ++r) {
        if (wanted[r] != z[r]) {
            printf("%s, %d rows, %d tiles: row %d\n", what, (int)rows, (int)tiles, (int)r);
            return 1;
        }
    }
    return 0;
}

/* A map of one or two products, stored like this; the second is of all operands but the first 4. */
static int check8(int32_t rows, int32_t tiles, int32_t terms, const storage *stored)
{
    const size_t bytes = (size_t)(4 * tiles + 4 * (terms - 1)) * sizeof(edgernn_code8);
    product p[2];
    edgernn_term8 term[2];
    edgernn_map8 map = {rows, uniform(1, 14), NULL, terms, term};
    edgernn_code8 *operands = guarded(bytes);
    int16_t *z = guarded((size_t)rows * 2);
    int32_t x[4 * MOST_TILES + 4];
    int64_t wanted[MOST_ROWS] = {0};
    int32_t i;
    int32_t r;
    int failed;
    for (i = 0; i < (int32_t)(bytes / sizeof operands[0]); ++i) {
        x[i] = uniform(0, 3) ? uniform(-128, 127) : -128;
        operands[i] = (edgernn_code8)x[i];
    }
    for (i = 0; i < terms; ++i) {
        const edgernn_term8 t = {4 * i, tiles, NULL, NULL, EDGERNN_DENSE8};
        p[i] = make(rows, tiles, 8, stored[i]);
        term[i] = t;
        term[i].weights = p[i].weights;
        term[i].multiplier = p[i].multiplier8;
        term[i].index = p[i].index;
        term[i].bits = p[i].bits;
        for (r = 0; r < rows; ++r) {
            wanted[r] += sum(&p[i], r, x + 4 * i) * p[i].multiplier8[r];
        }
    }
    map.bias = p[0].bias;
    for (r = 0; r < rows; ++r) {
        const int64_t half = (int64_t)1 << (map.shift - 1);
        wanted[r] = sat16(floored(wanted[r] + p[0].bias[r] + half, map.shift));
    }
    edgernn_affine8(&map, operands, z);
    failed = compare("affine8", rows, tiles, wanted, z);
    for (i = 0; i < terms; ++i) {
        drop(&p[i], rows);
    }
    release(operands, bytes);
    release(z, (size_t)rows * 2);
    return failed;
}

static int check16(int32_t rows, int32_t tiles, int32_t terms, const storage *stored)
{
    const size_t bytes = (size_t)(4 * tiles + 4 * (terms - 1)) * sizeof(edgernn_code16);
    product p[2];
    edgernn_term16 term[2];
    const edgernn_map16 map = {rows, terms, term};
    edgernn_code16 *operands = guarded(bytes);
    int16_t *z = guarded((size_t)rows * 2);
    int32_t x[4 * MOST_TILES + 4];
    int64_t wanted[MOST_ROWS] = {0};
    int32_t i;
    int32_t r;
    int failed;
    for (i = 0; i < (int32_t)(bytes / sizeof operands[0]); ++i) {
        x[i] = 4 * (uniform(0, 3) ? uniform(-8191, 8191) : uniform(0, 1) ? 8191 : -8191);
        operands[i] = (edgernn_code16)x[i];
    }
    for (i = 0; i < terms; ++i) {
        const edgernn_term16 t = {4 * i, tiles, NULL, NULL, NULL, NULL, EDGERNN_DENSE8};
        p[i] = make(rows, tiles, 16, stored[i]);
        term[i] = t;
        term[i].weights = p[i].weights;
        term[i].bias = p[i].bias;
        term[i].shift = p[i].shift;
        term[i].multiplier = p[i].multiplier16;
        term[i].index = p[i].index;
        term[i].bits = p[i].bits;
        for (r = 0; r < rows; ++r) {
            const int32_t k = p[i].shift[r];
            const int64_t acc = sum(&p[i], r, x + 4 * i) + p[i].bias[r];
            const int64_t v = sat16(floored(acc + ((int64_t)1 << (k - 1)), k));
            wanted[r] = sat16(wanted[r] + rounded(v * p[i].multiplier16[r], 15));
        }
    }
    edgernn_affine16(&map, operands, z);
    failed = compare("affine16", rows, tiles, wanted, z);
    for (i = 0; i < terms; ++i) {
        drop(&p[i], rows);
    }
    release(operands, bytes);
    release(z, (size_t)rows * 2);
    return failed;
}

enum { OPERANDS8 = 5, OPERANDS16 = 6, FUNCTIONS = 7 };

/* Activation `function`, or the making of operands, of int16_t values in place. */
static void apply(int32_t function, int16_t *value, int32_t count)
{
    const size_t padded = (size_t)EDGERNN_PADDED(count);
    int32_t j;
    if (function < OPERANDS8) {
        edgernn_activate((edgernn_activation)function, value, count);
    } else if (function == OPERANDS8) {
        edgernn_code8 *operands = guarded(padded * sizeof(edgernn_code8));
        edgernn_operands8(value, count, operands);
        for (j = 0; j < count; ++j) {
            value[j] = operands[j];
        }
        release(operands, padded * sizeof(edgernn_code8));
    } else {
        edgernn_code16 *operands = guarded(padded * sizeof(edgernn_code16));
        edgernn_operands16(value, count, operands);
        memcpy(value, operands, (size_t)count * sizeof value[0]);
        release(operands, padded * sizeof(edgernn_code16));
    }
}

static int16_t all[FUNCTIONS][ALL];

static int check_lengths(int32_t count)
{
    int32_t function;
    int32_t j;
    for (function = 0; function < FUNCTIONS; ++function) {
        int16_t *value = guarded((size_t)count * 2);
        int64_t wanted[ALL / 1024];
        for (j = 0; j < count; ++j) {
            value[j] = (int16_t)uniform(-32768, 32767);
            wanted[j] = all[function][value[j] + 32768];
        }
        apply(function, value, count);
        if (compare("function", count, function, wanted, value)) {
            return 1;
        }
        release(value, (size_t)count * 2);
    }
    return 0;
}

int main(int count, char **arguments)
{
    int32_t function;
    int32_t n;
    int32_t tiles;
    for (function = 0; function < FUNCTIONS; ++function) {
        for (n = 0; n < ALL; ++n) {
            all[function][n] = (int16_t)(n - 32768);
        }
        if (function < OPERANDS8) {
            apply(function, all[function], ALL);
        } else { /* `guarded` holds two pages */
            for (n = 0; n < ALL; n += 1024) {
                apply(function, all[function] + n, 1024);
            }
        }
    }
    if (count > 1 && strcmp(arguments[1], "codes") == 0) {
        return fwrite(all, 1, sizeof all, stdout) != sizeof all;
    }
    for (n = 1; n <= MOST_ROWS; ++n) {
        for (tiles = 1 + n % 2; tiles <= MOST_TILES; tiles += 2) {
            const int32_t terms = uniform(1, 2);
            const storage stored[] = {(storage)uniform(0, STORAGES - 1),
                                      (storage)uniform(0, STORAGES - 1)};
            if (check8(n, tiles, terms, stored) || check16(n, tiles, terms, stored)) {
                return 1;
            }
        }
    }
    for (n = 1; n <= 40; ++n) {
        if (check_lengths(n)) {
            return 1;
        }
    }
    return 0;
}
