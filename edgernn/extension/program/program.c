#include "program.h"

#include <stdlib.h>
#include <string.h>

/* Under the address sanitizer every piece ends in memory that nobody may touch. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define FENCE NATIVE_ALIGNMENT
#else
#define FENCE 0u
#define ASAN_POISON_MEMORY_REGION(from, bytes) ((void)0)
#endif

int native_take(native_arena *arena, size_t bytes, void **place)
{
    const size_t rest = bytes % arena->alignment;
    const size_t whole = bytes + (rest ? arena->alignment - rest : 0) + FENCE;
    if (whole < bytes || arena->used > SIZE_MAX - whole) {
        return -1;
    }
    *place = NULL;
    if (arena->base != NULL) {
        if (whole > arena->capacity - arena->used) {
            return -1;
        }
        *place = arena->base + arena->used;
        ASAN_POISON_MEMORY_REGION((char *)*place + bytes, whole - bytes);
    }
    arena->used += whole;
    return 0;
}

int native_allocate(native_arena *arena, void **block)
{
    const size_t capacity = arena->used;
    if (capacity > SIZE_MAX - arena->alignment) {
        return -1;
    }
    *block = calloc(1, capacity + arena->alignment);
    if (*block == NULL) {
        return -1;
    }
    arena->base = (char *)*block + (arena->alignment - (uintptr_t)*block % arena->alignment);
    arena->capacity = capacity;
    arena->used = 0;
    return 0;
}

size_t native_code_bytes(const native_program *program)
{
    return program->reads_tokens ? sizeof(int16_t) : (size_t)program->width / 8;
}

/* Pieces of those sizes. */
static int take_all(native_arena *arena, const size_t *bytes, void **places, size_t count)
{
    size_t i;
    for (i = 0; i < count; ++i) {
        if (native_take(arena, bytes[i], &places[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

int native_lay_out(const native_program *program, native_arena *arena, native_memory *memory)
{
    const size_t inputs = (size_t)program->inputs;
    void *places[4];
    const size_t bytes[4] = {
        program->state_count * sizeof(int16_t),
        (size_t)program->outputs * sizeof(int16_t),
        inputs * native_code_bytes(program),
        inputs * native_code_bytes(program),
    };
    if (take_all(arena, bytes, places, 4) < 0) {
        return -1;
    }
    memory->state = places[0];
    memory->last = places[1];
    memory->held = places[2];
    memory->spare = places[3];
    return 0;
}

int native_lay_out_scratch(const native_program *program, native_arena *arena,
                           native_scratch *scratch)
{
    const size_t operand = program->width == 8 ? program->isa->operand8_bytes : sizeof(int16_t);
    void *places[6];
    const size_t bytes[6] = {
        (size_t)program->inputs * sizeof(double),
        program->operand_count * operand,
        program->z_count * sizeof(int16_t),
        program->value_count * sizeof(int16_t),
        (program->state_count + (size_t)program->outputs) * sizeof(int16_t),
        program->grouped ? NATIVE_SPREAD_BYTES * program->operand_count : 0,
    };
    if (take_all(arena, bytes, places, 6) < 0) {
        return -1;
    }
    scratch->reading = places[0];
    scratch->operands = places[1];
    scratch->z = places[2];
    scratch->value = places[3];
    scratch->backup = places[4];
    scratch->spread = places[5];
    return 0;
}

int native_need_group(const native_program *program, native_scratch *scratch)
{
    native_arena arena = {NULL, 0, 0, NATIVE_ALIGNMENT};
    native_scratch other = {0};
    void *place;
    int pass;
    int s;
    if (!program->grouped || scratch->group[0] != NULL) {
        return program->grouped ? 0 : -1;
    }
    for (pass = 0; pass < 2; ++pass) {
        for (s = 1; s < NATIVE_GROUP; ++s) {
            if (native_take(&arena, sizeof other, &place) < 0 ||
                native_lay_out_scratch(program, &arena, place == NULL ? &other : place) < 0) {
                return -1;
            }
            scratch->group[s] = place;
        }
        if (pass == 0 && native_allocate(&arena, &scratch->group_block) < 0) {
            return -1;
        }
    }
    scratch->group[0] = scratch;
    return 0;
}

int native_is_clipped(const native_program *program, int32_t channel, double x)
{
    const double v = (x - program->input_offset[channel]) / program->input_scale[channel];
    return program->width == 8 ? v < NATIVE_BELOW8 || v >= NATIVE_ABOVE8
                               : v < NATIVE_BELOW16 || v >= NATIVE_ABOVE16;
}

void native_count_clipped(const native_program *program, const double *x, uint64_t *counts)
{
    int32_t i;
    for (i = 0; i < program->inputs; ++i) {
        counts[i] += (uint64_t)native_is_clipped(program, i, x[i]);
    }
}

/* In integers, which compilers do several at once: the largest exponent, that of infinities and NaN,
 * carries into the sign. */
int native_all_finite(const double *x, size_t count)
{
    const uint64_t exponent = (uint64_t)0x7FF << 52;
    uint64_t carries = 0;
    size_t i;
    for (i = 0; i < count; ++i) {
        uint64_t bits;
        memcpy(&bits, x + i, sizeof bits);
        carries |= (bits & exponent) + ((uint64_t)1 << 52);
    }
    return carries >> 63 == 0;
}

int native_is_code(const native_program *program, int32_t channel, int32_t code)
{
    const int32_t tokens = program->reads_tokens ? program->vocabulary[channel] : 0;
    return tokens > 0            ? code >= 0 && code < tokens
           : program->width == 8 ? code >= -128 && code <= 127
                                 : (code & 3) == 0 && code >= -32764;
}

/* The same of a model that reads tokens. */
static int all_tokens_and_codes(const native_program *program, const int16_t *codes, size_t count)
{
    int32_t channel = 0;
    size_t i;
    for (i = 0; i < count; ++i) {
        if (!native_is_code(program, channel, codes[i])) {
            return 0;
        }
        channel = channel + 1 < program->inputs ? channel + 1 : 0;
    }
    return 1;
}

int native_all_codes(const native_program *program, const void *codes, size_t count)
{
    const int16_t *wide = codes;
    int good = 1;
    size_t i;
    if (program->reads_tokens) {
        return all_tokens_and_codes(program, codes, count);
    }
    if (program->width == 8) {
        return 1;
    }
    for (i = 0; i < count; ++i) {
        good &= (wide[i] & 3) == 0 && wide[i] >= -32764;
    }
    return good;
}
