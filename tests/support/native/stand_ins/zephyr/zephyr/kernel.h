/* Stands in for Zephyr's clock: every call is 8000 cycles of 16 MHz later. */
#include <stdint.h>

uint32_t k_cycle_get_32(void);
uint32_t k_cyc_to_us_floor32(uint32_t cycles);
