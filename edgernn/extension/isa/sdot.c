#define EDGERNN_VARIANT EDGERNN_DOT
#include "body.h"

#include <sys/auxv.h>

#define HWCAP_OF_SDOT (1ul << 20)

static int supported(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_OF_SDOT) != 0;
}

DEFINE_ISA(dot)
