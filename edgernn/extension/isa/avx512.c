#define EDGERNN_VARIANT EDGERNN_AVX512
#define STEPS_ALTERNATE
#define CODES_HEADER "codes_avx512.h"
#define STREAMS_HEADER "streams_avx512.h"
#include "body.h"

static int supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

DEFINE_ISA(avx512)
