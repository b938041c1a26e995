/* Preparation and decisions on a device (NUMERICS.md section 12) in integers alone. */
#ifndef EDGERNN_READINGS_H
#define EDGERNN_READINGS_H

#include <stdint.h>

#include "edgernn_border.h"
#include "edgernn_config.h"
#include "edgernn_device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a feature is computed from the last readings (clause 12.2). */
enum {
    EDGERNN_VALUE,
    EDGERNN_LAG,
    EDGERNN_DIFFERENCE,
    EDGERNN_MEAN,
    EDGERNN_MINIMUM,
    EDGERNN_MAXIMUM,
    EDGERNN_DEVIATION
};

/* Members of a feature's constants, in their order. */
enum {
    EDGERNN_FEATURE_CHANNEL,
    EDGERNN_FEATURE_KIND,
    EDGERNN_FEATURE_RING, /* values that its ring holds */
    EDGERNN_FEATURE_LEAST,
    EDGERNN_FEATURE_GREATEST,
    EDGERNN_FEATURE_FRACTION,
    EDGERNN_FEATURE_MULTIPLIER,
    EDGERNN_FEATURE_BIAS,
    EDGERNN_FEATURE_SHIFT,
    EDGERNN_FEATURE_LOW,
    EDGERNN_FEATURE_HIGH,
    EDGERNN_FEATURE_MEMBERS
};

/* Constants of a preparation. */
typedef struct {
    int32_t channels;
    int32_t features;
    const int32_t *of_features; /* [features][EDGERNN_FEATURE_MEMBERS] */
} edgernn_preparation;

/* The beginning of a stream. */
EDGERNN_API void edgernn_begin_readings(const edgernn_preparation *of, int16_t *values,
                                        edgernn_window *windows);

/* One reading: the values before clause 12.4 multiplies codes by 4.
 *
 * x:       [channels].
 * missing: [channels], other than 0 where a reading is missing; 0: none is.
 * values:  [channels]; windows: [features]; rings: those of all features, one behind another.
 * codes:   [features].
 */
EDGERNN_API void edgernn_prepare(const edgernn_preparation *of,
                                 const edgernn_input_channel *channels, const int32_t *x,
                                 const uint8_t *missing, int16_t *values, edgernn_window *windows,
                                 int16_t *rings, int16_t *codes);

/* Members of a threshold's constants, in their order. */
enum {
    EDGERNN_THRESHOLD_OUTPUT,
    EDGERNN_THRESHOLD_ON,
    EDGERNN_THRESHOLD_OFF,
    EDGERNN_THRESHOLD_BELOW,
    EDGERNN_THRESHOLD_ON_READINGS,
    EDGERNN_THRESHOLD_OFF_READINGS,
    EDGERNN_THRESHOLD_MEMBERS
};

/* Clause 12.6: what a threshold decides of an answer. */
EDGERNN_API int32_t edgernn_decide_threshold(const int32_t *of, const int16_t *y,
                                             edgernn_switch *state);

/* Clause 12.7: the number of the class.
 *
 * outputs: [count], those that are compared.
 * state:   one, for the place in the ring and how much of it is filled.
 * ring:    [readings]; votes: [count], 0 at first.
 */
EDGERNN_API int32_t edgernn_decide_majority(const int16_t *outputs, int32_t count,
                                            int32_t readings, const int16_t *y,
                                            edgernn_window *state, int16_t *ring, int16_t *votes);

#ifdef __cplusplus
}
#endif

#endif
