/* NEON with SDOT: Armv8.2-A. */
#ifndef EDGERNN_ISA_SDOT_VARIANT_H
#define EDGERNN_ISA_SDOT_VARIANT_H

#define EDGERNN_LANES_HEADER "../isa/neon/lanes.h"
#define EDGERNN_AFFINE_HEADER "isa/neon/affine.h"
#define EDGERNN_SPARSE_HEADER "../isa/sdot/sparse.h"
#define EDGERNN_DOT4_HEADER "../isa/sdot/dot4.h"
#define EDGERNN_DOT_HEADER "../sdot/dot.h"

#endif
