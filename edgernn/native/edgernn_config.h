/* The one place that chooses how the kernels are built. Every variant gives the same bits.
 *
 * A variant replaces the dot products of edgernn_affine.c and the helpers of edgernn_fixed.h, and
 * nothing else: cells, tables and the generated model do not know which variant is in use. Other
 * layouts of the weights (sparse blocks, four bits) are further dot products beside those.
 */
#ifndef EDGERNN_CONFIG_H
#define EDGERNN_CONFIG_H

#define EDGERNN_PORTABLE 1 /* C99, 32-bit integers, no 64-bit arithmetic */

#ifndef EDGERNN_VARIANT
#define EDGERNN_VARIANT EDGERNN_PORTABLE
#endif

#if EDGERNN_VARIANT != EDGERNN_PORTABLE
#error "edgernn_config.h: expected EDGERNN_VARIANT to be EDGERNN_PORTABLE. Remove the definition."
#endif

#endif
