#include <stdarg.h>
#include <stdio.h>

#include "zephyr/kernel.h"
#include "zephyr/sys/printk.h"

uint32_t k_cycle_get_32(void)
{
    static uint32_t cycles = UINT32_MAX - 8000u; /* wraps around during the measurement */
    return cycles += 8000u;
}

uint32_t k_cyc_to_us_floor32(uint32_t cycles)
{
    return cycles / 16u;
}

void printk(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
}
