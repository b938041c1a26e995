/* Stands in for an I2C bus with an MPU-6050 on it. */
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>

class TwoWire {
public:
    void begin();
    void setClock(uint32_t hertz);
    void beginTransmission(uint8_t address);
    void write(uint8_t value);
    uint8_t endTransmission(bool stop = true);
    uint8_t requestFrom(uint8_t address, uint8_t count);
    int read();
};

extern TwoWire Wire;

#endif
