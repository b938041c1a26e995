#define EDGERNN_VARIANT EDGERNN_PORTABLE
#include "body.h"

static int supported(void)
{
    return 1;
}

DEFINE_ISA(portable)
