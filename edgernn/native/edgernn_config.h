/* The one place that chooses how the kernels are built. Every variant gives the same bits.
 *
 * A variant is a name below and the folder isa/<name>, whose variant.h lists its contents
 * (edgernn_variant.h). Cells, tables and the generated model do not know which variant is in use.
 */
#ifndef EDGERNN_CONFIG_H
#define EDGERNN_CONFIG_H

#define EDGERNN_PORTABLE 1 /* C99, 32-bit integers, no 64-bit arithmetic */
#define EDGERNN_THUMB1 2   /* Cortex-M0, M0+, M1: 16-bit instructions, 32 x 32 -> 32 multiplies */
#define EDGERNN_DSP 3      /* Arm cores that multiply pairs: Cortex-M4, M7, M33 */
#define EDGERNN_MVE 4      /* Armv8.1-M vectors (Helium): Cortex-M55, M85 */
#define EDGERNN_RISCV 5    /* RV32, RV64 with the M extension */
#define EDGERNN_AVX2 6
#define EDGERNN_AVX512 7   /* with BW, DQ, VL and VNNI */
#define EDGERNN_NEON 8     /* Armv7-A and AArch64 */
#define EDGERNN_DOT 9      /* NEON with SDOT, Armv8.2-A */

/* What the compiler may use. */
#if defined(__GNUC__) && !defined(__ARM_BIG_ENDIAN)
#define EDGERNN_GNU_LITTLE 1
#else
#define EDGERNN_GNU_LITTLE 0
#endif
#if defined(__thumb__) && !defined(__thumb2__)
#define EDGERNN_ONLY_THUMB1 1 /* for any features of the core in Arm state */
#else
#define EDGERNN_ONLY_THUMB1 0
#endif

#ifndef EDGERNN_VARIANT
#if EDGERNN_GNU_LITTLE && defined(__ARM_FEATURE_MVE)
#define EDGERNN_VARIANT EDGERNN_MVE
#elif EDGERNN_GNU_LITTLE && defined(__ARM_NEON) && defined(__ARM_FEATURE_DOTPROD)
#define EDGERNN_VARIANT EDGERNN_DOT
#elif EDGERNN_GNU_LITTLE && defined(__ARM_NEON)
#define EDGERNN_VARIANT EDGERNN_NEON
#elif EDGERNN_GNU_LITTLE && defined(__ARM_FEATURE_SIMD32) && defined(__thumb2__)
#define EDGERNN_VARIANT EDGERNN_DSP
#elif EDGERNN_GNU_LITTLE && EDGERNN_ONLY_THUMB1 && __ARM_ARCH >= 6 /* from which on SXTB is */
#define EDGERNN_VARIANT EDGERNN_THUMB1
#elif defined(__GNUC__) && defined(__riscv_mul) && !defined(__riscv_32e)
#define EDGERNN_VARIANT EDGERNN_RISCV
#elif defined(__GNUC__) && defined(__AVX512VNNI__) && defined(__AVX512BW__) && \
    defined(__AVX512DQ__) && defined(__AVX512VL__)
#define EDGERNN_VARIANT EDGERNN_AVX512
#elif defined(__GNUC__) && defined(__AVX2__)
#define EDGERNN_VARIANT EDGERNN_AVX2
#else
#define EDGERNN_VARIANT EDGERNN_PORTABLE
#endif
#endif

#if EDGERNN_VARIANT < EDGERNN_PORTABLE || EDGERNN_VARIANT > EDGERNN_DOT
#error "edgernn_config.h: expected EDGERNN_VARIANT to be EDGERNN_PORTABLE or another name of \
edgernn_config.h. Remove the definition."
#endif
#if EDGERNN_VARIANT == EDGERNN_DSP && \
    !(EDGERNN_GNU_LITTLE && defined(__ARM_FEATURE_SIMD32) && defined(__thumb2__))
#error "edgernn_config.h: expected a little-endian core with the Arm DSP extension for \
EDGERNN_DSP. Remove the definition of EDGERNN_VARIANT."
#endif
#if (EDGERNN_VARIANT == EDGERNN_THUMB1 && !(EDGERNN_GNU_LITTLE && defined(__thumb__))) || \
    (EDGERNN_VARIANT == EDGERNN_RISCV && !(defined(__GNUC__) && defined(__riscv_mul))) || \
    (EDGERNN_VARIANT == EDGERNN_MVE && !(EDGERNN_GNU_LITTLE && defined(__ARM_FEATURE_MVE))) || \
    (EDGERNN_VARIANT == EDGERNN_AVX2 && !defined(__AVX2__)) || \
    (EDGERNN_VARIANT == EDGERNN_AVX512 && !defined(__AVX512VNNI__)) || \
    (EDGERNN_VARIANT == EDGERNN_NEON && !(EDGERNN_GNU_LITTLE && defined(__ARM_NEON))) || \
    (EDGERNN_VARIANT == EDGERNN_DOT && !(EDGERNN_GNU_LITTLE && defined(__ARM_FEATURE_DOTPROD)))
#error "edgernn_config.h: expected a compiler that may use the instructions of EDGERNN_VARIANT. \
Remove the definition, or give the compiler the processor's options."
#endif

/* Linkage of the kernels; a program that holds several variants makes them static. */
#ifndef EDGERNN_API
#define EDGERNN_API
#endif

/* Weights and operands that a variant loads as words. */
#ifdef __GNUC__
#define EDGERNN_ALIGNED __attribute__((aligned(4)))
#define EDGERNN_INLINE static inline __attribute__((always_inline, unused))
#define EDGERNN_NOT_INLINE static __attribute__((noinline))
#else
#define EDGERNN_ALIGNED
#define EDGERNN_INLINE static inline
#define EDGERNN_NOT_INLINE static
#endif

#endif
