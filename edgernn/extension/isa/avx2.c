#define EDGERNN_VARIANT EDGERNN_AVX2
#include "body.h"

static int supported(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

DEFINE_ISA(avx2)
