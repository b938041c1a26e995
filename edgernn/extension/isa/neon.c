#define EDGERNN_VARIANT EDGERNN_NEON
#include "body.h"

#ifdef __aarch64__
static int supported(void)
{
    return 1; /* part of the architecture */
}
#else
#include <sys/auxv.h>

#define HWCAP_OF_NEON (1ul << 12)

static int supported(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_OF_NEON) != 0;
}
#endif

DEFINE_ISA(neon)
