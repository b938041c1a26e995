/* Sensor counts to fixed point, and fixed point to text, without floating point on the board.
 *
 * A fixed-point number is an int32_t: the physical value times 2^frac_bits. frac_bits may be
 * negative, and larger than 31.
 */
#ifndef FIXED_POINT_H
#define FIXED_POINT_H

#include <Arduino.h>
#include <stdint.h>

/* Older AVR libraries hide the names that stdint.h has for these from C++. */
constexpr int32_t MAX_SIGNED = 2147483647;
constexpr uint32_t MAX_UNSIGNED = 4294967295;

/* A sensor whose reading is a straight line over the counts. Made by sensor(), below. */
struct Sensor {
    uint8_t pin;
    int32_t at_zero; /* both ends in fixed point, with as many bits as fit */
    int32_t at_full;
    int16_t shift; /* fractional bits that the network has beyond these */
};

/* These are computed by the compiler. */
constexpr double scaled(double value, int bits)
{
    return bits > 0 ? scaled(value * 2.0, bits - 1) : bits < 0 ? scaled(value / 2.0, bits + 1) : value;
}

constexpr bool below_2_30(double value)
{
    return value < 1073741824.0 && value > -1073741824.0;
}

/* The most fractional bits, at most frac_bits, with which both values stay below 2^30. */
constexpr int fitting_bits(double a, double b, int frac_bits)
{
    return below_2_30(scaled(a, frac_bits)) && below_2_30(scaled(b, frac_bits))
               ? frac_bits
               : fitting_bits(a, b, frac_bits - 1);
}

constexpr int32_t nearest(double value)
{
    return static_cast<int32_t>(value < 0.0 ? value - 0.5 : value + 0.5);
}

constexpr Sensor sensor(uint8_t pin, double at_zero, double at_full, int frac_bits)
{
    return Sensor{pin, nearest(scaled(at_zero, fitting_bits(at_zero, at_full, frac_bits))),
                  nearest(scaled(at_full, fitting_bits(at_zero, at_full, frac_bits))),
                  static_cast<int16_t>(frac_bits - fitting_bits(at_zero, at_full, frac_bits))};
}

/* value * 2^shift; what int32_t cannot hold becomes its end, where every network saturates. */
inline int32_t shifted(int32_t value, int shift)
{
    for (; shift > 0; --shift) {
        if (value > MAX_SIGNED / 2) {
            return MAX_SIGNED;
        }
        if (value < -(MAX_SIGNED / 2)) {
            return -MAX_SIGNED;
        }
        value *= 2;
    }
    return value;
}

/* The physical value of a count in the network's fixed point, full_counts at most 65535. */
inline int32_t reading(const Sensor &sensor, uint32_t counts, uint32_t full_counts)
{
    const bool rising = sensor.at_full >= sensor.at_zero;
    const int32_t low = rising ? sensor.at_zero : sensor.at_full;
    const int32_t high = rising ? sensor.at_full : sensor.at_zero;
    const uint32_t span = static_cast<uint32_t>(high) - static_cast<uint32_t>(low);
    const uint32_t inside = counts > full_counts ? full_counts : counts;
    const uint32_t up = rising ? inside : full_counts - inside;
    /* span * up / full_counts, rounded, in two parts that fit 32 bits. */
    const uint32_t above =
        span / full_counts * up + (span % full_counts * up + full_counts / 2) / full_counts;
    const uint32_t value = static_cast<uint32_t>(low) + above;
    return shifted(static_cast<int32_t>(value), sensor.shift);
}

/* Print up to 2^32 - 1 times 10^exponent. */
inline void print_decimal(uint32_t digits, int exponent)
{
    if (exponent > 0 || exponent < -9) {
        Serial.print(static_cast<unsigned long>(digits));
        Serial.print('e');
        Serial.print(exponent);
        return;
    }
    uint32_t power = 1;
    for (; exponent < 0; ++exponent) {
        power *= 10;
    }
    Serial.print(static_cast<unsigned long>(digits / power));
    if (power > 1) {
        Serial.print('.');
    }
    for (power /= 10; power > 0; power /= 10) {
        Serial.print(static_cast<unsigned long>(digits / power % 10));
    }
}

/* Print a fixed-point number in decimal, with six digits that count. */
inline void print_fixed(int32_t value, int frac_bits)
{
    /* The value is digits * 10^exponent / 2^frac_bits, kept at nine digits or more. */
    uint32_t digits = value < 0 ? 0 - static_cast<uint32_t>(value) : static_cast<uint32_t>(value);
    int exponent = 0;
    for (; digits > 0 && frac_bits > 0; --frac_bits) {
        while (digits <= MAX_UNSIGNED / 10) {
            digits *= 10;
            --exponent;
        }
        digits = digits / 2 + digits % 2;
    }
    for (; digits > 0 && frac_bits < 0; ++frac_bits) {
        if (digits > MAX_UNSIGNED / 2) {
            digits = digits / 10 + (digits % 10 >= 5 ? 1 : 0);
            ++exponent;
        }
        digits *= 2;
    }
    while (digits >= 1000000) {
        digits = digits / 10 + (digits % 10 >= 5 ? 1 : 0);
        ++exponent;
    }
    while (exponent < 0 && digits % 10 == 0) {
        digits /= 10;
        ++exponent;
    }
    if (value < 0) {
        Serial.print('-');
    }
    print_decimal(digits, exponent);
}

#endif
