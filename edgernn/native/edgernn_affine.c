#include "edgernn_affine.h"

#include "common/lanes.h"

#include EDGERNN_AFFINE_HEADER

#if EDGERNN_HAS_STORAGES || EDGERNN_LANES == 1
#include "common/stored.h"
#endif

EDGERNN_API void edgernn_affine8(const edgernn_map8 *map, const edgernn_code8 *operands, int16_t *z)
{
#if EDGERNN_HAS_STORAGES
    if (is_stored8(map->terms) || is_stored8(map->terms + map->term_count - 1)) {
#ifdef IS_SPARSE_MAP
        if (IS_SPARSE_MAP(map)) {
            affine8_of_sparse(map, operands, z);
            return;
        }
#endif
#ifdef IS_INT4_MAP
        if (IS_INT4_MAP(map)) {
            affine8_of_int4(map, operands, z);
            return;
        }
#endif
        affine8_of_stored(map, operands, z);
        return;
    }
#endif
    affine8_of_dense(map, operands, z);
}

EDGERNN_API void edgernn_affine16(const edgernn_map16 *map, const edgernn_code16 *operands,
                                  int16_t *z)
{
#if EDGERNN_HAS_STORAGES
    if (is_stored16(map->terms) || is_stored16(map->terms + map->term_count - 1)) {
#ifdef IS_SPARSE_MAP
        if (IS_SPARSE_MAP(map)) {
            affine16_of_sparse(map, operands, z);
            return;
        }
#endif
#ifdef IS_INT4_MAP
        if (IS_INT4_MAP(map)) {
            affine16_of_int4(map, operands, z);
            return;
        }
#endif
        affine16_of_stored(map, operands, z);
        return;
    }
#endif
    affine16_of_dense(map, operands, z);
}

#ifdef EDGERNN_OPERANDS_HEADER
#include EDGERNN_OPERANDS_HEADER
#else

EDGERNN_API void edgernn_operands8(const int16_t *value, int32_t count, edgernn_code8 *operands)
{
    int32_t j;
    for (j = 0; j < count; j += EDGERNN_LANES) {
        const edgernn_lanes v = edgernn_lanes_load(value + j, count - j);
        const edgernn_lanes code = edgernn_lanes_sat8(edgernn_lanes_round(v, 8));
        edgernn_lanes_store_code8(operands + j, code, count - j);
    }
    for (j = count; j < EDGERNN_PADDED(count); ++j) {
        operands[j] = 0;
    }
}

EDGERNN_API void edgernn_operands16(const int16_t *value, int32_t count, edgernn_code16 *operands)
{
    int32_t j;
    for (j = 0; j < count; j += EDGERNN_LANES) {
        const edgernn_lanes v = edgernn_lanes_load(value + j, count - j);
        edgernn_lanes_store(operands + j, edgernn_lanes_round(v, 3) * 4, count - j);
    }
    for (j = count; j < EDGERNN_PADDED(count); ++j) {
        operands[j] = 0;
    }
}

#if !EDGERNN_HAS_WIDE_LANES

EDGERNN_API void edgernn_codes8(const int8_t *codes, int32_t count, edgernn_code8 *operands)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        operands[j] = codes[j];
    }
    for (; j < EDGERNN_PADDED(count); ++j) {
        operands[j] = 0;
    }
}

#endif

EDGERNN_API void edgernn_codes16(const int16_t *codes, int32_t count, edgernn_code16 *operands)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        operands[j] = codes[j];
    }
    for (; j < EDGERNN_PADDED(count); ++j) {
        operands[j] = 0;
    }
}

#endif

EDGERNN_API void edgernn_copy16(const int16_t *from, int32_t count, int16_t *to)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        to[j] = from[j];
    }
}

EDGERNN_API void edgernn_zero16(int16_t *vector, int32_t count)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        vector[j] = 0;
    }
}
