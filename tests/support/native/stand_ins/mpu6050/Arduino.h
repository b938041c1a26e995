/* Stands in for a board's Arduino core with a serial port that can be read. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stdint.h>

class HardwareSerial {
public:
    void begin(unsigned long baud);
    int available();
    int read();
    void print(char c);
    void print(const char *text);
    void print(int value);
    void print(unsigned long value);
    void println(const char *text);
    void println();
};

extern HardwareSerial Serial;

unsigned long micros();
void delay(unsigned long ms);
void setup();
void loop();

#endif
