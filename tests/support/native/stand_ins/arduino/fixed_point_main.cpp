/* Runs fixed_point.h over lines of stdin: "print VALUE FRAC_BITS", and
 * "read AT_ZERO AT_FULL SHIFT COUNTS FULL_COUNTS". */
#include <stdio.h>
#include <string.h>

#include "fixed_point.h"

void setup()
{
    char word[8];
    long a, b, shift;
    unsigned long counts, full;
    while (scanf("%7s", word) == 1) {
        if (strcmp(word, "print") == 0 && scanf("%ld %ld", &a, &b) == 2) {
            print_fixed(static_cast<int32_t>(a), static_cast<int>(b));
        } else if (scanf("%ld %ld %ld %lu %lu", &a, &b, &shift, &counts, &full) == 5) {
            const Sensor sensor = {0, static_cast<int32_t>(a), static_cast<int32_t>(b),
                                   static_cast<int16_t>(shift)};
            printf("%ld", static_cast<long>(reading(sensor, static_cast<uint32_t>(counts),
                                                    static_cast<uint32_t>(full))));
        }
        Serial.println();
    }
}

void loop() {}
