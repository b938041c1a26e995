/* The self-test on the chip, and the time of a step. */
#include <stdio.h>

#include "esp_timer.h"
#include "@prefix@.h"

#define STEPS 100

static @prefix@_state_t state;

void app_main(void)
{
    static const @prefix@_input_t q_x[@PREFIX@_INPUTS] = {0};
    int16_t q_y[@PREFIX@_OUTPUTS];
    const int32_t differing = @prefix@_self_test(&state);
    int64_t start_us;
    int32_t t;
    if (@prefix@_check() != 0) {
        printf("FAIL: the constants in flash are not those that were exported\n");
    } else {
        printf("%s: %ld differing values\n", differing == 0 ? "PASS" : "FAIL", (long)differing);
    }
    @pad@start_us = esp_timer_get_time();
    for (t = 0; t < STEPS; ++t) {
        @prefix@_step(&state, q_x, q_y);
    }
    printf("%ld us per step\n", (long)((esp_timer_get_time() - start_us) / STEPS));
}
