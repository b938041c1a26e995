/* Affine maps on AVX-512 with VNNI. */
#ifndef EDGERNN_ISA_AVX512_AFFINE_H
#define EDGERNN_ISA_AVX512_AFFINE_H

#include "rows16.h"
#include "rows8.h"

EDGERNN_INLINE void affine8_of_dense(const edgernn_map8 *map, const edgernn_code8 *operands,
                                     int16_t *z)
{
    all_rows8(map, operands, 0, z);
}

EDGERNN_INLINE void affine16_of_dense(const edgernn_map16 *map, const edgernn_code16 *operands,
                                      int16_t *z)
{
    all_rows16(map, operands, 0, z);
}

/* In the pieces that products load: they would wait for bytes. */
EDGERNN_API void edgernn_codes8(const int8_t *codes, int32_t count, edgernn_code8 *operands)
{
    uint64_t piece = 0;
    int32_t j = 0;
    int32_t i;
    for (; j + 8 <= count; j += 8) {
        __builtin_memcpy(operands + j, codes + j, 8);
    }
    for (i = 0; j + i < count; ++i) {
        piece |= (uint64_t)(uint8_t)codes[j + i] << (8 * i);
    }
    if (i > 4) {
        __builtin_memcpy(operands + j, &piece, 8);
    } else if (i > 0) {
        __builtin_memcpy(operands + j, &piece, 4);
    }
}

#undef MOST_TERMS
#undef TWICE
#if EDGERNN_HAS_STORAGES
#include "group.h"
#endif

#endif
