/* The self-test on the chip. */
#include <stdio.h>

#include "@prefix@.h"

static @prefix@_state_t state;

void app_main(void)
{
    const int32_t differing = @prefix@_self_test(&state);
    if (@prefix@_check() != 0) {
        printf("FAIL: the constants in flash are not those that were exported\n");
    } else {
        printf("%s: %ld differing values\n", differing == 0 ? "PASS" : "FAIL", (long)differing);
    }
}
