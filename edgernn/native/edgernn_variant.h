/* What the variant brings: its slots, each filled by isa/<name>/variant.h or by the text that is the
 * same for all. Only this file and edgernn_config.h depend on the variant.
 *
 * Slots of the layout, which the generated model compiles into its constants:
 *
 *   EDGERNN_CODE8            type of a w8a8 operand between its making and the products
 *   EDGERNN_TILE8            order of bytes in a tile of w8a8 weights (common/tile.h)
 *   EDGERNN_TILE16           the same for w8a16
 *   EDGERNN_TILE4_8          order of half bytes in a tile of 4-bit weights, w8a8 (common/tile4.h)
 *   EDGERNN_TILE4_16         the same for w8a16
 *   EDGERNN_BY_LAYOUT        which of six values is that of this layout of all tiles
 *   EDGERNN_READ_AHEAD       bytes behind the last tile that a product may read and does not use
 *   EDGERNN_ALIGNED_WEIGHTS  alignment of weights; a caller's memory need not be aligned like this
 *
 * Headers, by their path from the file that includes them. The first four are there in every
 * variant; without one of the others, the file that includes it has a default:
 *
 *   EDGERNN_LANES_HEADER     element-wise arithmetic (common/lanes.h)
 *   EDGERNN_AFFINE_HEADER    dense maps (edgernn_affine.c)
 *   EDGERNN_SPARSE_HEADER    products of block-sparse weights (common/stored.h)
 *   EDGERNN_DOT4_HEADER      products of 4-bit weights (common/int4.h)
 *   EDGERNN_DOT_HEADER       products of maps that several variants share (isa/scalar/affine.h)
 *   EDGERNN_FINISH_HEADER    what maps make of several sums at once (isa/scalar/finish.h)
 *   EDGERNN_INT4_HEADER      maps of 4-bit products alone (common/int4_lanes.h)
 *   EDGERNN_TABLES_HEADER    sigmoid and tanh (common/curves.h)
 *   EDGERNN_OPERANDS_HEADER  operands of values and codes (edgernn_affine.c)
 *
 * Ways to do small things:
 *
 *   EDGERNN_HAS_WIDE_LANES   1: the element-wise part of a cell is one loop (common/gru_wide.h)
 *   EDGERNN_MOST_TILES       tiles that a product of isa/scalar takes in one call
 *   EDGERNN_SAT16            clause 1.1, the nearest value in [-32768, 32767]
 *   EDGERNN_THRICE           3 * |z|, given z and z >> 31
 *   EDGERNN_TABLE_AT         makes table[u] the place table[0]
 *   EDGERNN_ADVANCE_NOW      this pointer has moved on before anything else happens
 */
#ifndef EDGERNN_VARIANT_H
#define EDGERNN_VARIANT_H

#include <stdint.h>

#include "edgernn_config.h"
#include "edgernn_storage.h"

#if EDGERNN_VARIANT == EDGERNN_PORTABLE
#include "isa/scalar/variant.h"
#elif EDGERNN_VARIANT == EDGERNN_THUMB1
#include "isa/thumb1/variant.h"
#elif EDGERNN_VARIANT == EDGERNN_DSP
#include "isa/dsp/variant.h"
#elif EDGERNN_VARIANT == EDGERNN_MVE
#include "isa/mve/variant.h"
#elif EDGERNN_VARIANT == EDGERNN_RISCV
#include "isa/riscv/variant.h"
#elif EDGERNN_VARIANT == EDGERNN_AVX2
#include "isa/avx2/variant.h"
#elif EDGERNN_VARIANT == EDGERNN_AVX512
#include "isa/avx512/variant.h"
#elif EDGERNN_VARIANT == EDGERNN_NEON
#include "isa/neon/variant.h"
#elif EDGERNN_VARIANT == EDGERNN_DOT
#include "isa/sdot/variant.h"
#endif

#ifndef EDGERNN_CODE8
#define EDGERNN_CODE8 int8_t
#endif
#ifndef EDGERNN_BY_LAYOUT
#define EDGERNN_BY_LAYOUT(one, thumb1, dsp, vectors, avx2, avx512) (vectors)
#endif
#ifndef EDGERNN_READ_AHEAD
#define EDGERNN_READ_AHEAD 0
#endif
#ifndef EDGERNN_ALIGNED_WEIGHTS
#define EDGERNN_ALIGNED_WEIGHTS EDGERNN_ALIGNED
#endif
#ifndef EDGERNN_HAS_WIDE_LANES
#define EDGERNN_HAS_WIDE_LANES 0
#endif
#ifndef EDGERNN_MOST_TILES
#define EDGERNN_MOST_TILES (131072 / 4) /* all that clause 4.1 allows */
#endif
#ifndef EDGERNN_SAT16
#define EDGERNN_SAT16(v) ((v) < -32768 ? -32768 : (v) > 32767 ? 32767 : (v))
#endif
#ifndef EDGERNN_THRICE
#define EDGERNN_THRICE(z, sign) ((((z) ^ (sign)) - (sign)) * 3)
#endif
#ifndef EDGERNN_TABLE_AT
#define EDGERNN_TABLE_AT(table, u) (void)0
#endif
#ifndef EDGERNN_ADVANCE_NOW
#define EDGERNN_ADVANCE_NOW(pointer) (void)0
#endif

#endif
