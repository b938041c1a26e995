/* A model in memory, and the kernels of one instruction set that run it.
 *
 * The types of the kernels are the same for all instruction sets; only the bytes of packed weights
 * and of operands differ, and nobody but the instruction set's own functions looks at those.
 */
#ifndef EDGERNN_EXTENSION_PROGRAM_PROGRAM_H
#define EDGERNN_EXTENSION_PROGRAM_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#ifndef EDGERNN_VARIANT
#define EDGERNN_VARIANT EDGERNN_PORTABLE
#endif
#include "../../native/edgernn_curve.h"
#include "../../native/edgernn_kernels.h"
#include "../../native/edgernn_norm.h"
#include "../../native/edgernn_ops.h"
#include "../../native/edgernn_tokens.h"
#include "../../native/edgernn_wide.h"

#define NATIVE_MAX_WIDTH 65536 /* inputs or units of a layer */
#define NATIVE_MAX_LAYERS 65536
#define NATIVE_GROUP 4 /* streams that take a step at once */

/* In the order of `edgernn.backends.native`. */
typedef enum {
    NATIVE_SIMPLE_RNN,
    NATIVE_LSTM,
    NATIVE_GRU_BEFORE,
    NATIVE_GRU_AFTER,
    NATIVE_DENSE,
    NATIVE_OPERATIONS, /* any other, operation by operation */
    NATIVE_KINDS
} native_kind;

/* In the order of `edgernn.graph.schedule.VectorCall`. */
typedef enum {
    NATIVE_CALL_OPERANDS,
    NATIVE_CALL_AFFINE,
    NATIVE_CALL_COPY,
    NATIVE_CALL_ACTIVATE,
    NATIVE_CALL_PRODUCT,
    NATIVE_CALL_SUM,
    NATIVE_CALL_RESCALE,
    NATIVE_CALL_COMPLEMENT,
    NATIVE_CALL_SCALE,
    NATIVE_CALL_MAXIMUM,
    NATIVE_CALL_MINIMUM,
    NATIVE_CALL_HYPOTENUSE,
    NATIVE_CALL_NORMALIZE,
    NATIVE_CALL_PUSH,
    NATIVE_CALL_EMBED,
    NATIVE_CALL_ROW,
    NATIVE_CALL_CURVE,
    NATIVE_CALL_BLEND,
    NATIVE_CALL_GATED_SUM,
    NATIVE_CALL_LEAKY_SUM,
    NATIVE_CALL_WIDE_RESCALE,
    NATIVE_CALL_DOT_SCORES,
    NATIVE_CALL_ADDITIVE_SCORES,
    NATIVE_CALL_SOFTMAX,
    NATIVE_CALL_CONTEXT,
    NATIVE_CALLS
} native_call;

/* A call on vectors. A place is an element of the layer's states, one after another, where it is 0
 * or more; else that of the scratch which -1 - place counts. */
typedef struct {
    int32_t call;
    int32_t count;  /* elements */
    int32_t option; /* shift, activation, which map, table or constants, elements of a row, the
                       first operand of one, or the code of 1 */
    int32_t a;
    int32_t b;
    int32_t out;
    int32_t c; /* of updates of wide states: what they read behind the high and the low part */
    int32_t d;
    int32_t e;
    int32_t shares; /* what their gates are: NATIVE_FINE and NATIVE_ONE_LESS of the loss, and those of
                       the gain times NATIVE_GAIN; of a leaky sum 1 where it is rectified; elements of a
                       key of scores, slots of a context */
} native_instruction;

#define NATIVE_FINE 1
#define NATIVE_ONE_LESS 2
#define NATIVE_GAIN 4
#define NATIVE_SHARES 16

/* The step of a layer that has no kernel of its own. */
typedef struct {
    int32_t count;
    const native_instruction *instructions; /* [count] */
    const edgernn_map8 *maps8;              /* of w8a8 models */
    const edgernn_map16 *maps16;            /* of w8a16 models */
    const edgernn_scales *scales;
    const edgernn_norm *norms;
    const edgernn_embedding *tables;
    const edgernn_curve *curves;
    const edgernn_leak *leaks;
    int32_t vectors;
    const int32_t *widths; /* [vectors], of the states */
    int32_t output;        /* place of the layer's output */
    int32_t reads_values;  /* 1: the scratch begins with the int16 values of the layer's input */
    int32_t holds_codes;   /* 1: its output is input codes, which affine maps read as they are */
} native_operations;

typedef union {
    edgernn_simple_rnn8 simple_rnn8;
    edgernn_simple_rnn16 simple_rnn16;
    edgernn_lstm8 lstm8;
    edgernn_lstm16 lstm16;
    edgernn_gru_before8 gru_before8;
    edgernn_gru_before16 gru_before16;
    edgernn_gru_after8 gru_after8;
    edgernn_gru_after16 gru_after16;
    edgernn_dense8 dense8;
    edgernn_dense16 dense16;
    native_operations operations;
} native_record;

typedef struct {
    native_kind kind;
    int32_t inputs;
    int32_t units;
    size_t h; /* first element of the vectors it carries in the state */
    size_t c;
    native_record record;
    size_t output;    /* its first element; in a chain only where it is part of the state */
    int32_t is_state; /* 1: the output is part of the state; 0: a vector of its own */
} native_layer;

#define NATIVE_INPUT (-1)
#define NATIVE_WIDE_INPUT (-2) /* int16 codes of a w8a8 model that reads tokens */

/* Consecutive elements of the model's input or of a layer's output (clause 6.6). */
typedef struct {
    int32_t source; /* one of these, or a layer before the one that reads them */
    int32_t start;
    int32_t width;
} native_part;

typedef struct {
    int32_t count;
    const native_part *parts; /* [count], one behind another */
} native_route;

typedef struct native_isa native_isa;

typedef struct {
    const native_isa *isa;
    int32_t width; /* of operands: 8 or 16 bits */
    int32_t inputs;
    int32_t outputs;
    int32_t layer_count;
    const native_layer *layers;
    const double *input_offset; /* [inputs] */
    const double *input_scale;  /* [inputs], of a step between two input codes */
    const double *output_scale; /* [outputs] */
    size_t state_count;         /* int16_t of all carried vectors */
    const int16_t *start;       /* [state_count], what streams begin with; NULL: zeros */
    size_t z_count;             /* int16_t of the largest layer's scratch */
    size_t value_count;         /* int16_t of outputs that are no state; in a chain, the largest */
    size_t operand_count;       /* of the layer with most operands */
    const native_route *routes; /* of the layers, then of the output; NULL: a chain */
    size_t dense_bytes;         /* of the weights that steps of a group load once */
    int32_t grouped;            /* 1: there are some, and the instruction set has such steps */
    int32_t reads_tokens;       /* 1: some channels are tokens, and all input codes are int16 */
    const int32_t *vocabulary;  /* [inputs], how many tokens each channel has, 0 of a real one; NULL
                                 * where the model reads none */
} native_program;

/* What one stream owns. */
typedef struct {
    uint64_t *clipped; /* [inputs], readings beyond the range of the codes; NULL before the first */
    int16_t *state;
    int16_t *last; /* output codes of the last step */
    void *held;    /* input codes of the last step */
    void *spare;   /* as large: codes of a step that may yet be refused */
} native_memory;

/* What a step needs beside the stream; nothing in it outlasts the step. */
typedef struct native_scratch native_scratch;
struct native_scratch {
    native_scratch *next; /* in the list of those that nobody uses */
    void *block;
    double *reading; /* [inputs] */
    void *operands;
    int16_t *z;
    int16_t *value;
    void *spread;      /* operands for steps of a group; NULL where the program has none */
    int16_t *backup;   /* state and output of a stream before a chunk */
    int32_t backwards; /* whether the last step took the rows of its maps from their end */
    native_scratch *group[NATIVE_GROUP]; /* itself and others; NULL before native_need_group */
    void *group_block;
};

/* A reading is clipped where its quotient of clause 9.1 is less than the first or at least the second
 * of these: halves are rounded to even, hence to -128, -8192, 128 and 8192. */
#define NATIVE_BELOW8 (-128.5)
#define NATIVE_ABOVE8 127.5
#define NATIVE_BELOW16 (-8191.5 + 0x1p-40) /* the least double above -8191.5 */
#define NATIVE_ABOVE16 8191.5

struct native_isa {
    const char *name;
    int (*supported)(void);
    size_t read_ahead;     /* bytes behind weights that products read */
    size_t operand8_bytes; /* of one w8a8 operand */
    void (*pack8)(const int8_t *tiles, size_t count, int8_t *packed);
    void (*pack16)(const int8_t *tiles, size_t count, int8_t *packed);
    void (*pack4_8)(const int8_t *tiles, size_t count, int8_t *packed); /* half a byte a weight */
    void (*pack4_16)(const int8_t *tiles, size_t count, int8_t *packed);
    /* y[steps][outputs] from x[steps][inputs]; the last x stays in `held`, the last y in `last`. */
    void (*run_codes)(const native_program *program, native_memory *memory,
                      native_scratch *scratch, const void *x, size_t steps, int16_t *y);
    /* Counts what is clipped, for which there must be room. With `stop` it ends before the first reading of which something is,
     * leaves `held` as it was and returns how many steps it took. */
    size_t (*run_real)(const native_program *program, native_memory *memory,
                       native_scratch *scratch, const double *x, size_t steps, double *y, int stop);
    /* Input codes of one reading; whether one of its values is clipped. */
    int (*code)(const native_program *program, const double *x, void *codes);
    /* One step of NATIVE_GROUP streams, from their input codes to their output codes, which stay out
     * of `held` and `last`. The weights are loaded once for all. NULL: there is no such step. */
    void (*step_group)(const native_program *program, native_memory *const *memories,
                       native_scratch *const *scratches, const void *const *x, int16_t *const *y);
};

/* The instruction sets of this build that this processor has, the fastest first, then NULL. */
const native_isa *native_isa_at(size_t index);

/* The one of that name, NULL where there is none; "auto" is the fastest. */
const native_isa *native_isa_named(const char *name);

/* Memory handed out in pieces of one alignment, a power of two. With base NULL it only counts. */
typedef struct {
    char *base;
    size_t used;
    size_t capacity;
    size_t alignment;
} native_arena;

#define NATIVE_SPREAD_BYTES 8u     /* of an operand, at most, where steps of a group read it */
#define NATIVE_ALIGNMENT 64u       /* of weights and scratch */
#define NATIVE_STREAM_ALIGNMENT 8u /* of a stream's own memory, which is small */

/* 0, and *place (NULL while counting); -1 where the memory is smaller than what was counted. */
int native_take(native_arena *arena, size_t bytes, void **place);

/* Zeroed memory of arena->used bytes to hand out anew; *block is what to free. -1: no memory. */
int native_allocate(native_arena *arena, void **block);

/* The parts of a stream's memory, and of scratch. */
int native_lay_out(const native_program *program, native_arena *arena, native_memory *memory);
int native_lay_out_scratch(const native_program *program, native_arena *arena,
                           native_scratch *scratch);

/* Scratch for steps of a group; needs no lock. -1: there is no memory, or the program has no such
 * steps. */
int native_need_group(const native_program *program, native_scratch *scratch);

/* Whether a value of a channel is clipped; add those of one reading to counts[inputs]. */
int native_is_clipped(const native_program *program, int32_t channel, double x);
void native_count_clipped(const native_program *program, const double *x, uint64_t *counts);

/* Whether all numbers are finite; whether all are input codes of clause 2.3. */
int native_all_finite(const double *x, size_t count);
int native_all_codes(const native_program *program, const void *codes, size_t count);
int native_is_code(const native_program *program, int32_t channel, int32_t code);

size_t native_code_bytes(const native_program *program);

#endif
