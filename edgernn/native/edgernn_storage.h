/* The storages of weights that the kernels support besides bytes (NUMERICS.md clause 4.5).
 *
 * Exported models have a copy of this header with only what they need, so that kernels are no
 * larger than that. A program with several models takes the kernels once and knows what any of
 * them needs: set here, or by the compiler's options.
 */
#ifndef EDGERNN_STORAGE_H
#define EDGERNN_STORAGE_H

#ifndef EDGERNN_HAS_SPARSE
#define EDGERNN_HAS_SPARSE 1 /* tiles without a weight are left out */
#endif
#ifndef EDGERNN_HAS_INT4
#define EDGERNN_HAS_INT4 1 /* half a byte a weight */
#endif

#endif
