/* The kernels of one instruction set, and the functions of its `native_isa`. A source file defines
 * EDGERNN_VARIANT and includes this; the build compiles it with the flags of that set alone. Where
 * the set has all_rows8 and all_rows16, it defines STEPS_ALTERNATE; where it has its own form of
 * clause 9.1, CODES_HEADER; where it has maps of several streams, STREAMS_HEADER.
 */
#define EDGERNN_API static __attribute__((unused))

#include "../../native/edgernn_affine.c"
#include "../../native/edgernn_attention.c"
#include "../../native/edgernn_border.c"
#include "../../native/edgernn_curve.c"
#include "../../native/edgernn_dense.c"
#include "../../native/edgernn_gru.c"
#include "../../native/edgernn_lstm.c"
#include "../../native/edgernn_norm.c"
#include "../../native/edgernn_ops.c"
#include "../../native/edgernn_simple_rnn.c"
#include "../../native/edgernn_tables.c"
#include "../../native/edgernn_tokens.c"
#include "../../native/edgernn_wide.c"

#include "../program/program.h"

#define EACH_OF_TILE(w)                                                                        \
    (w)[0], (w)[1], (w)[2], (w)[3], (w)[4], (w)[5], (w)[6], (w)[7], (w)[8], (w)[9], (w)[10],   \
        (w)[11], (w)[12], (w)[13], (w)[14], (w)[15]

/* The macros of common/tile.h and common/tile4.h, which make the constants of generated C, on
 * weights at run time. */
#define APPLIED(macro, arguments) macro(arguments)
#define DEFINE_PACK(name, macro, bytes)                                                        \
    static void name(const int8_t *tiles, size_t count, int8_t *packed)                        \
    {                                                                                          \
        size_t i;                                                                              \
        size_t j;                                                                              \
        for (i = 0; i < count; ++i) {                                                          \
            const int8_t *w = tiles + EDGERNN_TILE_BYTES * i;                                  \
            const int tile[bytes] = {APPLIED(macro, EACH_OF_TILE(w))};                         \
            for (j = 0; j < (bytes); ++j) {                                                    \
                packed[(bytes) * i + j] = (int8_t)tile[j];                                     \
            }                                                                                  \
        }                                                                                      \
    }

#define IS_DENSE(bits, map) \
    (!is_stored##bits((map)->terms) && !is_stored##bits((map)->terms + (map)->term_count - 1))

/* Steps that turn round where the one before them ended, if the variant has them. */
#ifdef STEPS_ALTERNATE
#include "alternating_steps.h"
#define TURNED(step)                                                                           \
    if (step) {                                                                                \
        return h;                                                                              \
    }
#else
#define TURNED(step)
#endif

/* Where a place is (program.h). */
static int16_t *at_place(int32_t place, int16_t *state, int16_t *z)
{
    return place < 0 ? z + (-1 - place) : state + place;
}

/* Clause 8.3, out[count]. A function of its own: the steps of other models stay as they are. */
EDGERNN_NOT_INLINE void look_up(const edgernn_embedding *embedding, const int16_t *tokens,
                                int32_t count, int16_t *out)
{
    edgernn_embed(embedding, tokens, count / embedding->columns, out);
}

/* Updates of wide states, and what cells of any function have. A function of its own, likewise. */
EDGERNN_NOT_INLINE void general_call(const native_operations *step, const native_instruction *one,
                                     int16_t *state, int16_t *z)
{
    const int16_t *a = at_place(one->a, state, z);
    int16_t *b = at_place(one->b, state, z);
    const int16_t *c = at_place(one->c, state, z);
    const int16_t *d = at_place(one->d, state, z);
    const int16_t *e = at_place(one->e, state, z);
    int16_t *out = at_place(one->out, state, z);
    const int32_t loss_less = (one->shares & NATIVE_ONE_LESS) != 0;
    const int32_t gain_less = (one->shares & (NATIVE_GAIN * NATIVE_ONE_LESS)) != 0;
    const int fine_loss = (one->shares & NATIVE_FINE) != 0;
    const int fine_gain = (one->shares & (NATIVE_GAIN * NATIVE_FINE)) != 0;
    switch ((native_call)one->call) {
    case NATIVE_CALL_CURVE:
        edgernn_interpolate(step->curves + one->option, a, one->count, out);
        break;
    case NATIVE_CALL_RESCALE:
        edgernn_enlarge(a, -one->option, one->count, out);
        break;
    case NATIVE_CALL_COMPLEMENT:
        edgernn_one_less(a, one->option, one->count, out);
        break;
    case NATIVE_CALL_BLEND:
        (fine_loss ? edgernn_blend_fine : edgernn_blend)(a, b, c, d, loss_less, one->count, out);
        break;
    case NATIVE_CALL_GATED_SUM:
        (fine_loss ? (fine_gain ? edgernn_gated_sum_fine : edgernn_gated_sum_fine_loss)
                   : (fine_gain ? edgernn_gated_sum_fine_gain : edgernn_gated_sum))(
            a, b, c, d, e, loss_less, gain_less, one->option, one->count, out);
        break;
    case NATIVE_CALL_LEAKY_SUM:
        edgernn_leaky_sum(step->leaks + one->option, a, b, c, one->shares, one->count, out);
        break;
    default: /* NATIVE_CALL_WIDE_RESCALE */
        edgernn_wide_rescale(a, b, one->option, one->count, out);
        break;
    }
}

/* Attention. A function of its own, likewise. */
EDGERNN_NOT_INLINE void attention_call(const native_operations *step, const native_instruction *one,
                                       int16_t *state, int16_t *z)
{
    const int16_t *a = at_place(one->a, state, z);
    const int16_t *b = at_place(one->b, state, z);
    int16_t *out = at_place(one->out, state, z);
    switch ((native_call)one->call) {
    case NATIVE_CALL_DOT_SCORES:
        edgernn_dot_scores(a, b, one->shares, one->option, one->count, out);
        break;
    case NATIVE_CALL_ADDITIVE_SCORES:
        edgernn_additive_scores(step->scales + one->option, a, b, one->shares, one->count, out);
        break;
    case NATIVE_CALL_SOFTMAX:
        edgernn_softmax(a, b, one->count, out);
        break;
    default: /* NATIVE_CALL_CONTEXT */
        edgernn_context(a, b, one->shares, one->count, out);
        break;
    }
}

/* A layer of operations, to its output. */
#define DEFINE_OPERATIONS(bits)                                                                \
    static int16_t *operations##bits(const native_layer *layer, edgernn_code##bits *operands,  \
                                     int16_t *state, int16_t *z)                               \
    {                                                                                          \
        const native_operations *step = &layer->record.operations;                             \
        int32_t i;                                                                             \
        for (i = 0; i < step->count; ++i) {                                                    \
            const native_instruction *one = step->instructions + i;                            \
            const int16_t *a = at_place(one->a, state, z);                                     \
            const int16_t *b = at_place(one->b, state, z);                                     \
            int16_t *out = at_place(one->out, state, z);                                       \
            switch ((native_call)one->call) {                                                  \
            case NATIVE_CALL_OPERANDS:                                                         \
                edgernn_operands##bits(a, one->count, operands + EDGERNN_PADDED(layer->inputs)); \
                break;                                                                         \
            case NATIVE_CALL_AFFINE:                                                           \
                edgernn_affine##bits(step->maps##bits + one->option, operands, out);           \
                break;                                                                         \
            case NATIVE_CALL_COPY:                                                             \
                edgernn_copy16(a, one->count, out);                                            \
                break;                                                                         \
            case NATIVE_CALL_ACTIVATE:                                                         \
                edgernn_activate((edgernn_activation)one->option, out, one->count);            \
                break;                                                                         \
            case NATIVE_CALL_PRODUCT:                                                          \
                edgernn_product(a, b, one->option, one->count, out);                           \
                break;                                                                         \
            case NATIVE_CALL_SUM:                                                              \
                edgernn_sum(a, b, one->count, out);                                            \
                break;                                                                         \
            case NATIVE_CALL_RESCALE:                                                          \
                if (one->option < 0) {                                                         \
                    general_call(step, one, state, z);                                         \
                } else {                                                                       \
                    edgernn_rescale(a, one->option, one->count, out);                          \
                }                                                                              \
                break;                                                                         \
            case NATIVE_CALL_SCALE:                                                            \
                edgernn_scale(step->scales + one->option, a, one->count, out);                 \
                break;                                                                         \
            case NATIVE_CALL_MAXIMUM:                                                          \
                edgernn_maximum(a, b, one->count, out);                                        \
                break;                                                                         \
            case NATIVE_CALL_MINIMUM:                                                          \
                edgernn_minimum(a, b, one->count, out);                                        \
                break;                                                                         \
            case NATIVE_CALL_HYPOTENUSE:                                                       \
                edgernn_hypotenuse(a, b, one->count, out);                                     \
                break;                                                                         \
            case NATIVE_CALL_NORMALIZE:                                                        \
                edgernn_normalize(step->norms + one->option, a, one->count, out);              \
                break;                                                                         \
            case NATIVE_CALL_PUSH:                                                             \
                edgernn_push(a, one->option, one->count, out);                                 \
                break;                                                                         \
            case NATIVE_CALL_EMBED:                                                            \
                look_up(step->tables + one->option, a, one->count, out);                       \
                break;                                                                         \
            case NATIVE_CALL_ROW:                                                              \
                edgernn_row##bits(operands + one->option, one->count,                          \
                                  operands + EDGERNN_PADDED(layer->inputs));                   \
                break;                                                                         \
            case NATIVE_CALL_COMPLEMENT:                                                       \
                if (one->option != 0) {                                                        \
                    general_call(step, one, state, z);                                         \
                } else {                                                                       \
                    edgernn_complement(a, one->count, out);                                    \
                }                                                                              \
                break;                                                                         \
            case NATIVE_CALL_DOT_SCORES:                                                       \
            case NATIVE_CALL_ADDITIVE_SCORES:                                                  \
            case NATIVE_CALL_SOFTMAX:                                                          \
            case NATIVE_CALL_CONTEXT:                                                          \
                attention_call(step, one, state, z);                                           \
                break;                                                                         \
            case NATIVE_CALL_CURVE:                                                            \
            case NATIVE_CALL_BLEND:                                                            \
            case NATIVE_CALL_GATED_SUM:                                                        \
            case NATIVE_CALL_LEAKY_SUM:                                                        \
            case NATIVE_CALL_WIDE_RESCALE:                                                     \
            case NATIVE_CALLS:                                                                 \
                general_call(step, one, state, z);                                             \
                break;                                                                         \
            }                                                                                  \
        }                                                                                      \
        return at_place(step->output, state, z);                                               \
    }

/* One layer: from the operands, which hold its input, to the vector it returns. */
#define DEFINE_LAYER(bits)                                                                     \
    static int16_t *layer##bits(const native_layer *layer, native_memory *memory,              \
                                native_scratch *scratch, int16_t *y)                           \
    {                                                                                          \
        edgernn_code##bits *operands = scratch->operands;                                      \
        int16_t *z = scratch->z;                                                               \
        int16_t *h = memory->state + layer->h;                                                 \
        int16_t *c = memory->state + layer->c;                                                 \
        switch (layer->kind) {                                                                 \
        case NATIVE_SIMPLE_RNN:                                                                \
            edgernn_simple_rnn##bits##_step(&layer->record.simple_rnn##bits, operands, h);     \
            return h;                                                                          \
        case NATIVE_LSTM:                                                                      \
            TURNED(turned_lstm##bits(&layer->record.lstm##bits, operands, z, h, c,             \
                                     scratch->backwards))                                      \
            edgernn_lstm##bits##_step(&layer->record.lstm##bits, operands, z, h, c);           \
            return h;                                                                          \
        case NATIVE_GRU_BEFORE:                                                                \
            TURNED(turned_gru_before##bits(&layer->record.gru_before##bits, operands, z, h,    \
                                           scratch->backwards))                                \
            edgernn_gru_before##bits##_step(&layer->record.gru_before##bits, operands, z, h);  \
            return h;                                                                          \
        case NATIVE_GRU_AFTER:                                                                 \
            TURNED(turned_gru_after##bits(&layer->record.gru_after##bits, operands, z, h,      \
                                          scratch->backwards))                                 \
            edgernn_gru_after##bits##_step(&layer->record.gru_after##bits, operands, z, h);    \
            return h;                                                                          \
        case NATIVE_OPERATIONS:                                                                \
            return operations##bits(layer, operands, h, z);                                    \
        case NATIVE_DENSE:                                                                     \
        case NATIVE_KINDS:                                                                     \
            break;                                                                             \
        }                                                                                      \
        edgernn_dense##bits##_step(&layer->record.dense##bits, operands, y);                   \
        return y;                                                                              \
    }

#include "routes.h"

/* One step: clause 6.1, of networks 6.6. */
#define DEFINE_STEP(bits)                                                                      \
    static void step##bits(const native_program *program, native_memory *memory,               \
                           native_scratch *scratch, const int##bits##_t *x, int16_t *y)        \
    {                                                                                          \
        const int routed = program->routes != NULL;                                            \
        const int32_t last = program->layer_count - 1;                                         \
        const int16_t *value = NULL;                                                           \
        int32_t i;                                                                             \
        scratch->backwards = !scratch->backwards;                                              \
        if (!routed) {                                                                         \
            edgernn_codes##bits(x, program->inputs, scratch->operands);                        \
        }                                                                                      \
        for (i = 0; i <= last; ++i) {                                                          \
            const native_layer *layer = program->layers + i;                                   \
            int16_t *made = i == last ? y : scratch->value;                                    \
            if (routed) {                                                                      \
                made = feed##bits(program, memory, scratch, i, x);                             \
            } else if (i > 0) {                                                                \
                edgernn_operands##bits(value, layer->inputs, scratch->operands);               \
            }                                                                                  \
            value = layer##bits(layer, memory, scratch, made);                                 \
            if (routed && !layer->is_state && value != made) {                                 \
                edgernn_copy16(value, layer->units, made);                                     \
            }                                                                                  \
        }                                                                                      \
        if (routed) {                                                                          \
            gather_values##bits(program, memory, scratch, program->routes + i, x, y);          \
        } else if (value != y) {                                                               \
            edgernn_copy16(value, program->outputs, y);                                        \
        }                                                                                      \
    }

#ifdef CODES_HEADER
#include CODES_HEADER
#else

/* Clause 9.1. Rounds by adding what leaves no bit for a fraction: to even, without a library. The
 * bounds are whole, so they may come before the rounding; NaN becomes the lower one. */
#define DEFINE_CODES_OF(bits, low, high, grid)                                                 \
    static int codes_of##bits(const native_program *program, const double *restrict x,         \
                              int##bits##_t *restrict codes)                                   \
    {                                                                                          \
        const double whole = 6755399441055744.0; /* 1.5 * 2^52 */                              \
        const double *restrict offset = program->input_offset;                                 \
        const double *restrict scale = program->input_scale;                                   \
        const int32_t inputs = program->inputs;                                                \
        int clipped = 0;                                                                       \
        int32_t i;                                                                             \
        for (i = 0; i < inputs; ++i) {                                                         \
            double v = (x[i] - offset[i]) / scale[i];                                          \
            clipped |= (v < NATIVE_BELOW##bits) | (v >= NATIVE_ABOVE##bits);                   \
            v = v > (low) ? v : (low);                                                         \
            v = v < (high) ? v : (high);                                                       \
            codes[i] = (int##bits##_t)((int32_t)((v + whole) - whole) * (grid));               \
        }                                                                                      \
        return clipped;                                                                        \
    }

DEFINE_CODES_OF(8, -128.0, 127.0, 1)
DEFINE_CODES_OF(16, -8191.0, 8191.0, 4)

#endif

#define DEFINE_RUN(bits)                                                                       \
    static void run_codes##bits(const native_program *program, native_memory *memory,          \
                                native_scratch *scratch, const int##bits##_t *x, size_t steps, \
                                int16_t *y)                                                    \
    {                                                                                          \
        const size_t inputs = (size_t)program->inputs;                                         \
        const size_t outputs = (size_t)program->outputs;                                       \
        int##bits##_t *held = memory->held;                                                    \
        size_t t;                                                                              \
        size_t i;                                                                              \
        for (i = 0; steps > 0 && i < inputs; ++i) { /* y may take the place of x */            \
            held[i] = x[(steps - 1) * inputs + i];                                             \
        }                                                                                      \
        for (t = 0; t < steps; ++t) {                                                          \
            step##bits(program, memory, scratch, x + t * inputs, y + t * outputs);             \
        }                                                                                      \
        if (steps > 0) {                                                                       \
            edgernn_copy16(y + (steps - 1) * outputs, program->outputs, memory->last);         \
        }                                                                                      \
    }                                                                                          \
    static size_t run_real##bits(const native_program *program, native_memory *memory,         \
                                 native_scratch *scratch, const double *x, size_t steps,       \
                                 double *y, int stop)                                          \
    {                                                                                          \
        const size_t outputs = (size_t)program->outputs;                                       \
        void *codes = memory->spare;                                                           \
        size_t t;                                                                              \
        size_t i;                                                                              \
        for (t = 0; t < steps; ++t) {                                                          \
            const double *reading = x + t * (size_t)program->inputs;                           \
            if (codes_of##bits(program, reading, codes)) {                                     \
                if (stop) {                                                                    \
                    return t;                                                                  \
                }                                                                              \
                native_count_clipped(program, reading, memory->clipped);                       \
            }                                                                                  \
            step##bits(program, memory, scratch, codes, memory->last);                         \
            for (i = 0; i < outputs; ++i) { /* clause 9.2 */                                   \
                y[t * outputs + i] = memory->last[i] * program->output_scale[i];               \
            }                                                                                  \
        }                                                                                      \
        if (steps > 0) {                                                                       \
            memory->spare = memory->held;                                                      \
            memory->held = codes;                                                              \
        }                                                                                      \
        return steps;                                                                          \
    }

DEFINE_PACK(pack8, EDGERNN_TILE8, EDGERNN_TILE_BYTES)
DEFINE_PACK(pack16, EDGERNN_TILE16, EDGERNN_TILE_BYTES)
DEFINE_PACK(pack4_8, EDGERNN_TILE4_8, EDGERNN_TILE4_BYTES)
DEFINE_PACK(pack4_16, EDGERNN_TILE4_16, EDGERNN_TILE4_BYTES)
DEFINE_OPERATIONS(8)
DEFINE_OPERATIONS(16)
DEFINE_LAYER(8)
DEFINE_LAYER(16)
DEFINE_FEED(8, edgernn_values8)
DEFINE_FEED(16, edgernn_copy16)
DEFINE_STEP(8)
DEFINE_STEP(16)
DEFINE_RUN(8)
DEFINE_RUN(16)

/* The codes of a w8a8 model that reads tokens are int16, and parts of its routes say so. */
EDGERNN_NOT_INLINE void run_wide_codes8(const native_program *program, native_memory *memory,
                                        native_scratch *scratch, const int16_t *x, size_t steps,
                                        int16_t *y)
{
    const size_t inputs = (size_t)program->inputs;
    const size_t outputs = (size_t)program->outputs;
    size_t t;
    if (steps > 0) { /* y may take the place of x */
        edgernn_copy16(x + (steps - 1) * inputs, program->inputs, memory->held);
    }
    for (t = 0; t < steps; ++t) {
        const void *codes = x + t * inputs;
        step8(program, memory, scratch, codes, y + t * outputs);
    }
    if (steps > 0) {
        edgernn_copy16(y + (steps - 1) * outputs, program->outputs, memory->last);
    }
}

static void run_codes(const native_program *program, native_memory *memory,
                      native_scratch *scratch, const void *x, size_t steps, int16_t *y)
{
    if (program->width == 8 && program->reads_tokens) {
        run_wide_codes8(program, memory, scratch, x, steps, y);
    } else if (program->width == 8) {
        run_codes8(program, memory, scratch, x, steps, y);
    } else {
        run_codes16(program, memory, scratch, x, steps, y);
    }
}

static size_t run_real(const native_program *program, native_memory *memory,
                       native_scratch *scratch, const double *x, size_t steps, double *y, int stop)
{
    return program->width == 8 ? run_real8(program, memory, scratch, x, steps, y, stop)
                               : run_real16(program, memory, scratch, x, steps, y, stop);
}

static int code(const native_program *program, const double *x, void *codes)
{
    return program->width == 8 ? codes_of8(program, x, codes) : codes_of16(program, x, codes);
}

#ifdef STREAMS_HEADER
#include "group_steps.h"
#else
#define step_group NULL
#endif

#define DEFINE_ISA(identifier)                              \
    extern const native_isa native_##identifier;            \
    const native_isa native_##identifier = {                \
        #identifier,       supported, EDGERNN_READ_AHEAD,   \
        sizeof(edgernn_code8), pack8, pack16,               \
        pack4_8,           pack4_16,                        \
        run_codes,         run_real,            code,       \
        step_group,                                         \
    };
