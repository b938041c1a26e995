/* RV32 and RV64 with the M extension. */
#ifndef EDGERNN_ISA_RISCV_VARIANT_H
#define EDGERNN_ISA_RISCV_VARIANT_H

#include "../scalar/tile4.h"

#define EDGERNN_BY_LAYOUT(one, thumb1, dsp, vectors, avx2, avx512) (one)

#define EDGERNN_LANES_HEADER "../isa/scalar/lanes.h"
#define EDGERNN_AFFINE_HEADER "isa/riscv/affine.h"
#define EDGERNN_DOT_HEADER "../riscv/dot.h"
#define EDGERNN_SPARSE_HEADER "../isa/scalar/sparse.h"
#define EDGERNN_DOT4_HEADER "../isa/scalar/dot4.h"
#define EDGERNN_FINISH_HEADER "../riscv/finish.h"

/* By 3 or -3. */
#define EDGERNN_THRICE(z, sign) ((z) * (((sign) & -6) + 3))

/* One address for both loads. */
#define EDGERNN_TABLE_AT(table, u)      \
    do {                                \
        (table) += (u);                 \
        __asm__("" : "+r"(table));      \
        (u) = 0;                        \
    } while (0)

#endif
