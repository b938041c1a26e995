/* The self-test on the board, and the time of a step. */
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "@prefix@.h"

#define STEPS 100

static @prefix@_state_t state;

int main(void)
{
    static const @prefix@_input_t q_x[@PREFIX@_INPUTS] = {0};
    int16_t q_y[@PREFIX@_OUTPUTS];
    const int32_t differing = @prefix@_self_test(&state);
    uint32_t start_cycles;
    uint32_t cycles;
    int32_t t;
    if (@prefix@_check() != 0) {
        printk("FAIL: the constants in flash are not those that were exported\n");
    } else {
        printk("%s: %ld differing values\n", differing == 0 ? "PASS" : "FAIL", (long)differing);
    }
    @pad@start_cycles = k_cycle_get_32();
    for (t = 0; t < STEPS; ++t) {
        @prefix@_step(&state, q_x, q_y);
    }
    cycles = k_cycle_get_32() - start_cycles;
    printk("%lu us per step\n", (unsigned long)(k_cyc_to_us_floor32(cycles) / STEPS));
    return 0;
}
