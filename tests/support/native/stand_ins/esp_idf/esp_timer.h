/* Stands in for ESP-IDF's clock: every call is 500 us later. */
#include <stdint.h>

int64_t esp_timer_get_time(void);
