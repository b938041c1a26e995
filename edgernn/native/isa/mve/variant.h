/* Armv8.1-M vectors: Cortex-M55, M85. */
#ifndef EDGERNN_ISA_MVE_VARIANT_H
#define EDGERNN_ISA_MVE_VARIANT_H

#define EDGERNN_READ_AHEAD 48

#define EDGERNN_LANES_HEADER "../isa/mve/lanes.h"
#define EDGERNN_AFFINE_HEADER "isa/mve/affine.h"
#define EDGERNN_SPARSE_HEADER "../isa/mve/sparse.h"
#define EDGERNN_DOT4_HEADER "../isa/mve/dot4.h"
#define EDGERNN_INT4_HEADER "../isa/mve/int4.h"
#define EDGERNN_TABLES_HEADER "../isa/mve/tables.h"
#define EDGERNN_OPERANDS_HEADER "isa/mve/operands.h"

#endif
