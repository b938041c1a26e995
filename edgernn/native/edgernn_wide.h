/* Wide states: NUMERICS.md clauses 2.8, 3.5 and 7.20 to 7.23.
 *
 * A wide state is the vectors `high` and `low`. Its update writes the new high part to `out`, which
 * may be `high` or any other vector that it reads but `low`, and the new low part over the old one.
 */
#ifndef EDGERNN_WIDE_H
#define EDGERNN_WIDE_H

#include <stdint.h>

#include "edgernn_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Shares of clause 7.20. A gate is a share in Q0.15, 0 to 32767, or, of functions with "fine" in
 * their names, a pre-activation in Q5.10, any int16_t, the sigmoid of which is the share. `one_less`
 * is 1 where one less the gate is meant, else 0. */

/* Clause 7.21: the state goes towards `target`. */
EDGERNN_API void edgernn_blend(const int16_t *high, int16_t *low, const int16_t *target,
                               const int16_t *gate, int32_t one_less, int32_t count, int16_t *out);
EDGERNN_API void edgernn_blend_fine(const int16_t *high, int16_t *low, const int16_t *target,
                                    const int16_t *gate, int32_t one_less, int32_t count,
                                    int16_t *out);

/* Clause 7.22: the state loses the share `loss`, and gains the share `gain` of `candidate`, which
 * has `shift` fraction bits more than `high`, 0 <= shift <= 29. */
EDGERNN_API void edgernn_gated_sum(const int16_t *high, int16_t *low, const int16_t *loss,
                                   const int16_t *candidate, const int16_t *gain, int32_t loss_less,
                                   int32_t gain_less, int32_t shift, int32_t count, int16_t *out);
/* The same where both gates, only the loss, and only the gain are fine. */
EDGERNN_API void edgernn_gated_sum_fine(const int16_t *high, int16_t *low, const int16_t *loss,
                                        const int16_t *candidate, const int16_t *gain,
                                        int32_t loss_less, int32_t gain_less, int32_t shift,
                                        int32_t count, int16_t *out);
EDGERNN_API void edgernn_gated_sum_fine_loss(const int16_t *high, int16_t *low, const int16_t *loss,
                                             const int16_t *candidate, const int16_t *gain,
                                             int32_t loss_less, int32_t gain_less, int32_t shift,
                                             int32_t count, int16_t *out);
EDGERNN_API void edgernn_gated_sum_fine_gain(const int16_t *high, int16_t *low, const int16_t *loss,
                                             const int16_t *candidate, const int16_t *gain,
                                             int32_t loss_less, int32_t gain_less, int32_t shift,
                                             int32_t count, int16_t *out);

/* Constants of clause 7.23 for each element, 0 to 32767. */
typedef struct {
    const int16_t *high;  /* [count], w1 */
    const int16_t *low;   /* [count], w0 */
    const int16_t *shift; /* [count], j, 0 to 15 */
} edgernn_leak;

/* Clause 7.23: the state loses a constant share and takes in `entry`; `rectified` is 1 or 0. */
EDGERNN_API void edgernn_leaky_sum(const edgernn_leak *by, const int16_t *high, int16_t *low,
                                   const int16_t *entry, int32_t rectified, int32_t count,
                                   int16_t *out);

/* Clause 7.22: out = sat16(R(state, shift)), 0 <= shift <= 30. `out` may be either part. */
EDGERNN_API void edgernn_wide_rescale(const int16_t *high, const int16_t *low, int32_t shift,
                                      int32_t count, int16_t *out);

#ifdef __cplusplus
}
#endif

#endif
