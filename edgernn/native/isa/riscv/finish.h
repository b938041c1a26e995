/* Four rows of isa/scalar/finish.h at once, for a core that cannot load and advance. */
#ifndef EDGERNN_ISA_RISCV_FINISH_H
#define EDGERNN_ISA_RISCV_FINISH_H

#define FINISH_MOST_OF_ONE                                   \
    const int32_t *fours = sums + (rows & ~3);               \
    for (; sums != fours; sums += 4) {                       \
        finish_rows(sums, bias, half, multiplier, shift, z); \
        bias += 4;                                           \
        multiplier += 4;                                     \
        z += 4;                                              \
    }

#endif
