#define EDGERNN_VARIANT EDGERNN_AVX2
#define STREAMS_HEADER "streams_avx2.h"
#include "body.h"

static int supported(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

DEFINE_ISA(avx2)
