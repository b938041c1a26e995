/* Names the condition of a motor from the readings of an MPU-6050 accelerometer on its housing.
 *
 * Every line is one answer: the condition (0 normal, 1 imbalance, 2 looseness, 3 bearing) and the
 * four scores of the network. The largest score wins. The Serial Plotter draws these lines.
 *
 * With SIMULATED set to 1 no sensor is needed: readings come from the serial port, as lines of
 * three raw counts such as "-1138,2181,16077", and every reading is answered. */
#include <Wire.h>
#include <vibration.h>

#ifndef SIMULATED
#define SIMULATED 0
#endif

static const uint8_t SENSOR = 0x68; /* I2C address of the MPU-6050, with its pin AD0 low */
static const uint32_t INTERVAL_US = 5000; /* 200 readings per second, as in training */
static const int READINGS_PER_LINE = SIMULATED ? 1 : 20;

static const char *const NAMES[VIBRATION_OUTPUTS] = {"normal", "imbalance", "looseness", "bearing"};

/* The network was trained on raw counts. Its inputs and outputs are fixed-point numbers. */
static const int32_t COUNT = static_cast<int32_t>(1) << VIBRATION_INPUT_0_FRAC_BITS;
static_assert(VIBRATION_INPUT_0_FRAC_BITS <= 15 && VIBRATION_INPUT_1_FRAC_BITS <= 15 &&
                  VIBRATION_INPUT_2_FRAC_BITS <= 15,
              "a raw count times COUNT must fit 32 bits");
static_assert(VIBRATION_INPUT_0_FRAC_BITS == VIBRATION_INPUT_1_FRAC_BITS &&
                  VIBRATION_INPUT_0_FRAC_BITS == VIBRATION_INPUT_2_FRAC_BITS,
              "all axes must have the same fractional bits");
static_assert(VIBRATION_OUTPUT_0_FRAC_BITS >= 16 &&
                  VIBRATION_OUTPUT_0_FRAC_BITS == VIBRATION_OUTPUT_1_FRAC_BITS &&
                  VIBRATION_OUTPUT_0_FRAC_BITS == VIBRATION_OUTPUT_2_FRAC_BITS &&
                  VIBRATION_OUTPUT_0_FRAC_BITS == VIBRATION_OUTPUT_3_FRAC_BITS,
              "scores are compared, so they must have the same fractional bits");

static vibration_state_t state;
static int since_line;

static void stop_with(const char *message)
{
    for (;;) {
        Serial.println(message);
        delay(1000);
    }
}

#if SIMULATED

static void start_sensor() {}

static int next_char()
{
    while (Serial.available() == 0) {
    }
    return Serial.read();
}

/* Read one line. A line that does not begin with three numbers, such as a header, is no reading. */
static bool read_counts(int16_t *counts)
{
    int found = 0;
    int32_t value = 0;
    bool negative = false, digits = false;
    for (;;) {
        const int c = next_char();
        if (c >= '0' && c <= '9') {
            value = value < 100000 ? value * 10 + (c - '0') : value;
            digits = true;
        } else if (c == '-') {
            negative = true;
        } else if (c == ',' || c == '\n') {
            if (digits && found < 3) {
                counts[found++] = static_cast<int16_t>(negative ? -value : value);
            }
            value = 0;
            negative = digits = false;
            if (c == '\n') {
                return found == 3;
            }
        }
    }
}

#else

static uint32_t last_us;

static void write_register(uint8_t address, uint8_t value)
{
    Wire.beginTransmission(SENSOR);
    Wire.write(address);
    Wire.write(value);
    if (Wire.endTransmission() != 0) {
        stop_with("FAIL: the MPU-6050 does not answer; check its wiring and address");
    }
}

static void start_sensor()
{
    Wire.begin();
    Wire.setClock(400000);
    write_register(0x6B, 0); /* wake up */
    write_register(0x1A, 2); /* low-pass filter at 94 Hz */
    write_register(0x1C, 0); /* +-2 g, 16,384 counts per g */
    last_us = static_cast<uint32_t>(micros());
}

static int16_t read_word()
{
    const int high = Wire.read();
    const int low = Wire.read();
    return static_cast<int16_t>(static_cast<uint16_t>(high) << 8 | static_cast<uint16_t>(low));
}

static bool read_counts(int16_t *counts)
{
    if (static_cast<uint32_t>(micros()) - last_us < INTERVAL_US) {
        return false;
    }
    last_us += INTERVAL_US;
    Wire.beginTransmission(SENSOR);
    Wire.write(static_cast<uint8_t>(0x3B)); /* the first of six bytes: x, y, z */
    Wire.endTransmission(false);
    if (Wire.requestFrom(SENSOR, static_cast<uint8_t>(6)) != 6) {
        return false; /* a reading is missing; the next one goes on with the same state */
    }
    for (int i = 0; i < 3; ++i) {
        counts[i] = read_word();
    }
    return true;
}

#endif

/* Print a score with five decimals, in integers alone. */
static void print_score(int32_t y)
{
    const int shift = VIBRATION_OUTPUT_0_FRAC_BITS - 15;
    const uint32_t size = y < 0 ? 0 - static_cast<uint32_t>(y) : static_cast<uint32_t>(y);
    const uint32_t with_15_bits = (size + (1u << (shift - 1))) >> shift;
    const uint32_t decimals = ((with_15_bits & 0x7FFF) * 100000 + 0x4000) >> 15;
    if (y < 0) {
        Serial.print('-');
    }
    Serial.print(static_cast<unsigned long>(with_15_bits >> 15));
    Serial.print('.');
    for (uint32_t power = 10000; power > 0; power /= 10) {
        Serial.print(static_cast<unsigned long>(decimals / power % 10));
    }
}

void setup()
{
    Serial.begin(115200);
    if (vibration_check() != 0) {
        stop_with("FAIL: the constants in flash are not those that were exported");
    }
    if (vibration_self_test(&state) != 0) {
        stop_with("FAIL: this build does not compute the bits of the model");
    }
    start_sensor();
}

void loop()
{
    int16_t counts[3];
    int32_t x[VIBRATION_INPUTS];
    vibration_input_t q_x[VIBRATION_INPUTS];
    int16_t q_y[VIBRATION_OUTPUTS];
    int32_t y[VIBRATION_OUTPUTS];
    if (!read_counts(counts)) {
        return;
    }
    for (int i = 0; i < VIBRATION_INPUTS; ++i) {
        x[i] = counts[i] * COUNT;
    }
    vibration_quantize_input(x, q_x);
    vibration_step(&state, q_x, q_y);
    if (++since_line < READINGS_PER_LINE) {
        return;
    }
    since_line = 0;
    vibration_dequantize_output(q_y, y);
    int best = 0;
    for (int i = 1; i < VIBRATION_OUTPUTS; ++i) {
        best = y[i] > y[best] ? i : best;
    }
    Serial.print("condition:");
    Serial.print(best);
    for (int i = 0; i < VIBRATION_OUTPUTS; ++i) {
        Serial.print(',');
        Serial.print(NAMES[i]);
        Serial.print(':');
        print_score(y[i]);
    }
    Serial.println();
}
