/* The one place that chooses how the kernels are built. Every variant gives the same bits.
 *
 * A variant replaces the dot products of edgernn_affine.c and the helpers of edgernn_fixed.h, and
 * nothing else: cells, tables and the generated model do not know which variant is in use. Other
 * layouts of the weights (sparse blocks, four bits) are further dot products beside those.
 */
#ifndef EDGERNN_CONFIG_H
#define EDGERNN_CONFIG_H

#define EDGERNN_PORTABLE 1 /* C99, 32-bit integers, no 64-bit arithmetic */
#define EDGERNN_DSP 2      /* Arm cores that multiply pairs: Cortex-M4, M7, M33, M55 */

/* The pairs are loaded as words from any address and read in little-endian order. */
#if defined(__GNUC__) && defined(__ARM_FEATURE_SIMD32) && defined(__ARM_FEATURE_UNALIGNED) && \
    !defined(__ARM_BIG_ENDIAN)
#define EDGERNN_HAS_DSP 1
#else
#define EDGERNN_HAS_DSP 0
#endif

#ifndef EDGERNN_VARIANT
#if EDGERNN_HAS_DSP
#define EDGERNN_VARIANT EDGERNN_DSP
#else
#define EDGERNN_VARIANT EDGERNN_PORTABLE
#endif
#endif

#if EDGERNN_VARIANT == EDGERNN_DSP
#if !EDGERNN_HAS_DSP
#error "edgernn_config.h: expected a little-endian core with the Arm DSP extension and unaligned \
loads for EDGERNN_DSP. Remove the definition of EDGERNN_VARIANT."
#endif
#elif EDGERNN_VARIANT != EDGERNN_PORTABLE
#error "edgernn_config.h: expected EDGERNN_VARIANT to be EDGERNN_PORTABLE or EDGERNN_DSP. \
Remove the definition."
#endif

/* Rows that share every operand they load. Thumb-1 has eight registers to compute in. */
#if defined(__thumb__) && !defined(__thumb2__)
#define EDGERNN_ROWS 2
#else
#define EDGERNN_ROWS 4
#endif

#endif
