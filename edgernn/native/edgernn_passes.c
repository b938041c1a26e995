#include "edgernn_passes.h"

#include "common/fixed.h"

EDGERNN_API void edgernn_pass_codes8(const int16_t *value, int32_t count, int8_t *codes)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        codes[j] = (int8_t)edgernn_sat8(edgernn_round(value[j], 8));
    }
}

EDGERNN_API void edgernn_pass_codes16(const int16_t *value, int32_t count, int16_t *codes)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        codes[j] = (int16_t)(edgernn_round(value[j], 3) * 4);
    }
}

EDGERNN_API void edgernn_pass_read8(const int8_t *codes, int32_t count, int8_t *x)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        x[j] = codes[j];
    }
}

EDGERNN_API void edgernn_pass_read8_16(const int8_t *codes, int32_t count, int16_t *x)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        x[j] = codes[j];
    }
}

EDGERNN_API void edgernn_pass_read16(const int16_t *codes, int32_t count, int16_t *x)
{
    int32_t j;
    for (j = 0; j < count; ++j) {
        x[j] = codes[j];
    }
}
