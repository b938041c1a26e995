/* A head that learns behind a model (NUMERICS.md section 14) in integers alone. */
#ifndef EDGERNN_ADAPT_H
#define EDGERNN_ADAPT_H

#include <stdint.h>

#include "edgernn_border.h"
#include "edgernn_config.h"
#include "edgernn_device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Features in addition to the elements of the state: a constant, and the output itself. */
#define EDGERNN_HEAD_OWN 2

/* Members of a head's constants, in their order (clause 14.1). */
enum {
    EDGERNN_HEAD_FEATURES,
    EDGERNN_HEAD_OUTPUTS,
    EDGERNN_HEAD_RATE,
    EDGERNN_HEAD_LEAK,
    EDGERNN_HEAD_LIMIT,
    EDGERNN_HEAD_ERROR_LIMIT,
    EDGERNN_HEAD_STEPS, /* D + 1 */
    EDGERNN_HEAD_MEMBERS
};

/* Nothing learned, no steps. */
EDGERNN_API void edgernn_head_begin(const int32_t *of, int32_t *weights, edgernn_steps *kept);

/* Clauses 14.2 and 14.3: corrects the outputs of a step, which is kept.
 *
 * weights:   [outputs][features + EDGERNN_HEAD_OWN].
 * operands:  [steps][features] and answers: [steps][outputs], of the last steps.
 * h:         [features], the state after the step; y: [outputs], its output codes.
 * corrected: [outputs], in units of the output's scale.
 */
EDGERNN_API void edgernn_head_step(const int32_t *of, const int32_t *weights, edgernn_steps *kept,
                                   int8_t *operands, int16_t *answers, const int16_t *h,
                                   const int16_t *y, int32_t *corrected);

/* Clauses 14.4 and 14.5: learns from true values. 0: there were too few steps, nothing changed.
 *
 * target:  [outputs], in units of the output's scale; limited to -2^18 .. 2^18.
 * missing: [outputs], other than 0 where an output has no true value; 0: none is missing.
 * error:   [outputs], true values less the corrected outputs before learning, or 0.
 */
EDGERNN_API int32_t edgernn_head_learn(const int32_t *of, int32_t *weights,
                                       const edgernn_steps *kept, const int8_t *operands,
                                       const int16_t *answers, const int32_t *target,
                                       const uint8_t *missing, int32_t *error);

#ifdef __cplusplus
}
#endif

#endif
