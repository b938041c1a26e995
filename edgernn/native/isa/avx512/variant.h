/* AVX-512 with BW, DQ, VL and VNNI. */
#ifndef EDGERNN_ISA_AVX512_VARIANT_H
#define EDGERNN_ISA_AVX512_VARIANT_H

#include "../avx2/tile4.h"

/* Loads of 64 bytes that no two cache lines share take half the time. */
#define EDGERNN_ALIGNED_WEIGHTS __attribute__((aligned(64)))

#if EDGERNN_HAS_SPARSE
#define EDGERNN_READ_AHEAD 240
#else
#define EDGERNN_READ_AHEAD 48
#endif

/* VPDPBUSD takes one factor without sign: weights are stored with 128 added. */
#define EDGERNN_BYTE8(w) ((w) + 128 - 256 * ((w) >= 0)) /* the same byte, as int8_t */
#define EDGERNN_TILE8(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)    \
    EDGERNN_BYTE8(a0), EDGERNN_BYTE8(a1), EDGERNN_BYTE8(a2), EDGERNN_BYTE8(a3),          \
        EDGERNN_BYTE8(b0), EDGERNN_BYTE8(b1), EDGERNN_BYTE8(b2), EDGERNN_BYTE8(b3),      \
        EDGERNN_BYTE8(c0), EDGERNN_BYTE8(c1), EDGERNN_BYTE8(c2), EDGERNN_BYTE8(c3),      \
        EDGERNN_BYTE8(d0), EDGERNN_BYTE8(d1), EDGERNN_BYTE8(d2), EDGERNN_BYTE8(d3)

#define EDGERNN_BY_LAYOUT(one, thumb1, dsp, vectors, avx2, avx512) (avx512)

#define EDGERNN_HAS_WIDE_LANES 1

#define EDGERNN_LANES_HEADER "../isa/avx512/lanes.h"
#define EDGERNN_AFFINE_HEADER "isa/avx512/affine.h"
#define EDGERNN_SPARSE_HEADER "../isa/avx512/sparse.h"
#define EDGERNN_DOT4_HEADER "../isa/avx512/dot4.h"

#endif
