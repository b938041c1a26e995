/* The self-test on the board. */
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "@prefix@.h"

static @prefix@_state_t state;

int main(void)
{
    const int32_t differing = @prefix@_self_test(&state);
    if (@prefix@_check() != 0) {
        printk("FAIL: the constants in flash are not those that were exported\n");
    } else {
        printk("%s: %ld differing values\n", differing == 0 ? "PASS" : "FAIL", (long)differing);
    }
    return 0;
}
