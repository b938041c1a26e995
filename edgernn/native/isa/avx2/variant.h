/* AVX2. */
#ifndef EDGERNN_ISA_AVX2_VARIANT_H
#define EDGERNN_ISA_AVX2_VARIANT_H

#include "tile4.h"

#define EDGERNN_BY_LAYOUT(one, thumb1, dsp, vectors, avx2, avx512) (avx2)

#define EDGERNN_LANES_HEADER "../isa/avx2/lanes.h"
#define EDGERNN_AFFINE_HEADER "isa/avx2/affine.h"
#define EDGERNN_SPARSE_HEADER "../isa/avx2/sparse.h"
#define EDGERNN_DOT4_HEADER "../isa/avx2/dot4.h"

#endif
