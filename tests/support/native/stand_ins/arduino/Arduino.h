/* Stands in for a board's Arduino core: what the sketch uses, and no more. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stdint.h>

enum { A0 = 14, A1, A2, A3, A4, A5 };

class HardwareSerial {
public:
    void begin(unsigned long baud);
    void print(char c);
    void print(const char *text);
    void print(int value);
    void print(unsigned long value);
    void println(const char *text);
    void println();
};

extern HardwareSerial Serial;

int analogRead(uint8_t pin);
unsigned long millis();
void delay(unsigned long ms);
void setup();
void loop();

#endif
