/* Streams analog sensors through @label@: at every interval one
 * reading in, and one line of outputs out, separated by commas. Nothing here computes in floating
 * point on the board. */
#include <@prefix@.h>

#include "fixed_point.h"

/* Set it to the time between two readings of the data that the network was trained with. */
static const uint32_t SAMPLE_INTERVAL_MS = 1000;

/* The most analogRead returns: 1023 where it has 10 bits, as on most boards; 4095 on ESP32. */
static const uint32_t FULL_COUNTS = 1023;

/* Per input: its pin, and what 0 and FULL_COUNTS counts mean in its physical unit. Set these to your
 * sensors, also where they reach further than the network's range, which stands here at first. */
static constexpr Sensor SENSORS[@PREFIX@_INPUTS] = {
    @sensors@
};

static const int16_t OUTPUT_FRAC_BITS[@PREFIX@_OUTPUTS] = {
    @output_bits@
};

static @prefix@_state_t state;
static uint32_t last_ms;

void setup()
{
    Serial.begin(115200);
    while (@prefix@_check() != 0) {
        Serial.println("FAIL: the constants in flash are not those that were exported");
        delay(1000);
    }
    while (@prefix@_self_test(&state) != 0) {
        Serial.println("FAIL: this build does not compute the network's bits");
        delay(1000);
    }
    last_ms = static_cast<uint32_t>(millis());
}

void loop()
{
    int32_t x[@PREFIX@_INPUTS];
    @prefix@_input_t q_x[@PREFIX@_INPUTS];
    int16_t q_y[@PREFIX@_OUTPUTS];
    int32_t y[@PREFIX@_OUTPUTS];
    if (static_cast<uint32_t>(millis()) - last_ms < SAMPLE_INTERVAL_MS) {
        return;
    }
    last_ms += SAMPLE_INTERVAL_MS;
    for (int i = 0; i < @PREFIX@_INPUTS; ++i) {
        x[i] = reading(SENSORS[i], static_cast<uint32_t>(analogRead(SENSORS[i].pin)), FULL_COUNTS);
    }
    @prefix@_quantize_input(x, q_x);
    @step@
    @prefix@_dequantize_output(q_y, y);
    for (int i = 0; i < @PREFIX@_OUTPUTS; ++i) {
        if (i > 0) {
            Serial.print(',');
        }
        print_fixed(y[i], OUTPUT_FRAC_BITS[i]);
    }
    Serial.println();
}
