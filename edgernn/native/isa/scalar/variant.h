/* C99: any core, and what others without vectors have no instructions for. */
#ifndef EDGERNN_ISA_SCALAR_VARIANT_H
#define EDGERNN_ISA_SCALAR_VARIANT_H

#include "tile4.h"

#define EDGERNN_BY_LAYOUT(one, thumb1, dsp, vectors, avx2, avx512) (one)

#define EDGERNN_LANES_HEADER "../isa/scalar/lanes.h"
#define EDGERNN_AFFINE_HEADER "isa/scalar/affine.h"
#define EDGERNN_DOT_HEADER "../scalar/dot.h"
#define EDGERNN_SPARSE_HEADER "../isa/scalar/sparse.h"
#define EDGERNN_DOT4_HEADER "../isa/scalar/dot4.h"

#endif
