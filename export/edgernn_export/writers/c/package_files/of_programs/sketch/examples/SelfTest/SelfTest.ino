/* Says whether this board computes the bits of @label@: every second, for those who look late. */
#include <@prefix@.h>

static @prefix@_state_t state;

void setup()
{
    Serial.begin(115200);
}

void loop()
{
    if (@prefix@_check() != 0) {
        Serial.println("FAIL: the constants in flash are not those that were exported");
    } else if (@prefix@_self_test(&state) != 0) {
        Serial.println("FAIL: this build does not compute the networks' bits");
    } else {
        Serial.println("PASS");
    }
    delay(1000);
}
