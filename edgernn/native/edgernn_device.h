/* What streams of readings, of decisions and of heads keep (NUMERICS.md sections 12 and 14). */
#ifndef EDGERNN_DEVICE_H
#define EDGERNN_DEVICE_H

#include <stdint.h>

/* A ring of the last values. */
typedef struct {
    int32_t sum;   /* of the values in it */
    int16_t place; /* of the next value */
    int16_t count; /* of values in it */
} edgernn_window;

/* A threshold. */
typedef struct {
    int32_t count; /* readings in a row that speak for a change */
    int32_t is_on;
} edgernn_switch;

/* The last steps of a head that learns. */
typedef struct {
    int16_t place; /* of the next step */
    int16_t count; /* of steps that are kept */
} edgernn_steps;

#endif
