/* A board whose serial output is stdout. Its readings are lines "x,y,z" on stdin: SIMULATED sketches
 * get them as text, others from the registers of an MPU-6050, one reading each 5 ms. When they end,
 * the board is switched off with status 0, or 4 if the sensor was not configured as the sketch's
 * network expects; a board that waits in delay() ends with 3. */
#include <Arduino.h>
#include <Wire.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

HardwareSerial Serial;
TwoWire Wire;

static uint32_t now_us = UINT32_MAX - 12000;
static uint8_t registers[128] = {};
static uint8_t sent[2];
static int sent_count;
static int next_byte;

void HardwareSerial::begin(unsigned long) {}
int HardwareSerial::available()
{
    const int c = getchar();
    if (c == EOF) {
        exit(0);
    }
    ungetc(c, stdin);
    return 1;
}
int HardwareSerial::read() { return getchar(); }
void HardwareSerial::print(char c) { putchar(c); }
void HardwareSerial::print(const char *text) { fputs(text, stdout); }
void HardwareSerial::print(int value) { printf("%d", value); }
void HardwareSerial::print(unsigned long value) { printf("%lu", value); }
void HardwareSerial::println(const char *text) { puts(text); }
void HardwareSerial::println() { putchar('\n'); }

unsigned long micros() { return now_us += 1000; }
void delay(unsigned long) { exit(3); }

void TwoWire::begin() { registers[0x6B] = 0x40; /* asleep */ }
void TwoWire::setClock(uint32_t) {}
void TwoWire::beginTransmission(uint8_t) { sent_count = 0; }
void TwoWire::write(uint8_t value) { sent[sent_count++] = value; }
uint8_t TwoWire::endTransmission(bool)
{
    if (getenv("NO_SENSOR") != nullptr) {
        return 2;
    }
    next_byte = sent[0];
    if (sent_count == 2) {
        registers[sent[0]] = sent[1];
    }
    return 0;
}
uint8_t TwoWire::requestFrom(uint8_t, uint8_t count)
{
    char line[64];
    int axes[3];
    do {
        if (fgets(line, sizeof line, stdin) == nullptr) {
            const bool ready =
                registers[0x6B] == 0 && registers[0x1A] == 2 && registers[0x1C] == 0;
            exit(ready ? 0 : 4);
        }
    } while (sscanf(line, "%d,%d,%d", axes, axes + 1, axes + 2) != 3);
    for (int i = 0; i < 3; ++i) {
        registers[0x3B + 2 * i] = static_cast<uint8_t>(axes[i] >> 8 & 0xFF);
        registers[0x3C + 2 * i] = static_cast<uint8_t>(axes[i] & 0xFF);
    }
    return count;
}
int TwoWire::read() { return registers[next_byte++]; }

int main()
{
    setup();
    for (;;) {
        loop();
    }
}
