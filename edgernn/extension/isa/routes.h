/* Routes of networks for isa/body.h: what layers and the output read are parts of the model's input
 * and of earlier outputs (clauses 6.6 and 6.7).
 */
#ifndef EDGERNN_EXTENSION_ISA_ROUTES_H
#define EDGERNN_EXTENSION_ISA_ROUTES_H

/* Where a part of a layer's output is. */
static const int16_t *part_of(const native_program *program, const native_memory *memory,
                              const native_scratch *scratch, const native_part *part)
{
    const native_layer *layer = program->layers + part->source;
    return (layer->is_state ? memory->state : scratch->value) + layer->output + part->start;
}

/* Input codes that are int16, whatever step they are handed to. */
static const int16_t *wide_codes(const void *x)
{
    return x;
}

static int holds_codes(const native_layer *layer)
{
    return layer->kind == NATIVE_OPERATIONS && layer->record.operations.holds_codes;
}

/* `values_of` makes values of input codes. The model's output, which may lie where its input does, is
 * gathered when all of that has been read. Nothing here is part of the steps of chains. */
#define DEFINE_FEED(bits, values_of)                                                           \
    static void gather_operands##bits(const native_program *program,                           \
                                      const native_memory *memory, native_scratch *scratch,    \
                                      const native_route *route, const int##bits##_t *x)       \
    {                                                                                          \
        edgernn_code##bits *operands = scratch->operands;                                      \
        int32_t first = 0;                                                                     \
        int32_t end = 0;                                                                       \
        int32_t i;                                                                             \
        for (i = 0; i < route->count; ++i) { /* each fills itself up, the next one goes over it */ \
            const native_part *part = route->parts + i;                                        \
            if (part->source == NATIVE_INPUT) {                                                \
                edgernn_codes##bits(x + part->start, part->width, operands + first);           \
            } else if (part->source == NATIVE_WIDE_INPUT) {                                    \
                edgernn_held##bits(wide_codes(x) + part->start, part->width, operands + first);\
            } else if (holds_codes(program->layers + part->source)) {                          \
                edgernn_held##bits(part_of(program, memory, scratch, part), part->width,       \
                                   operands + first);                                          \
            } else {                                                                           \
                edgernn_operands##bits(part_of(program, memory, scratch, part), part->width,   \
                                       operands + first);                                      \
            }                                                                                  \
            end = first + EDGERNN_PADDED(part->width);                                         \
            first += part->width;                                                              \
        }                                                                                      \
        for (; end < EDGERNN_PADDED(first); ++end) {                                           \
            operands[end] = 0;                                                                 \
        }                                                                                      \
    }                                                                                          \
    EDGERNN_NOT_INLINE void gather_values##bits(                                               \
        const native_program *program, const native_memory *memory,                            \
        const native_scratch *scratch, const native_route *route, const int##bits##_t *x,      \
        int16_t *to)                                                                           \
    {                                                                                          \
        int32_t i;                                                                             \
        for (i = 0; i < route->count; ++i) {                                                   \
            const native_part *part = route->parts + i;                                        \
            if (part->source == NATIVE_INPUT) {                                                \
                values_of(x + part->start, part->width, to);                                   \
            } else if (part->source == NATIVE_WIDE_INPUT) {                                    \
                edgernn_copy16(wide_codes(x) + part->start, part->width, to);                  \
            } else {                                                                           \
                edgernn_copy16(part_of(program, memory, scratch, part), part->width, to);      \
            }                                                                                  \
            to += part->width;                                                                 \
        }                                                                                      \
    }                                                                                          \
    /* Have ready what a layer reads; where its output is made, if that is no state. */        \
    EDGERNN_NOT_INLINE int16_t *feed##bits(const native_program *program,                      \
                                           const native_memory *memory, native_scratch *scratch, \
                                           int32_t index, const int##bits##_t *x)              \
    {                                                                                          \
        const native_layer *layer = program->layers + index;                                   \
        const native_route *route = program->routes + index;                                   \
        if (layer->kind == NATIVE_OPERATIONS && layer->record.operations.reads_values) {       \
            gather_values##bits(program, memory, scratch, route, x, scratch->z);               \
        } else {                                                                               \
            gather_operands##bits(program, memory, scratch, route, x);                         \
        }                                                                                      \
        return scratch->value + (layer->is_state ? 0 : layer->output);                         \
    }

#endif
