/* NEON: Armv7-A and AArch64. */
#ifndef EDGERNN_ISA_NEON_VARIANT_H
#define EDGERNN_ISA_NEON_VARIANT_H

#define EDGERNN_LANES_HEADER "../isa/neon/lanes.h"
#define EDGERNN_AFFINE_HEADER "isa/neon/affine.h"
#define EDGERNN_SPARSE_HEADER "../isa/neon/sparse.h"
#define EDGERNN_DOT4_HEADER "../isa/neon/dot4.h"
#define EDGERNN_DOT_HEADER "../neon/dot.h"

#endif
