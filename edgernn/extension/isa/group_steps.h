/* Steps of NATIVE_GROUP streams at once, for isa/body.h: dense maps load their weights once for all
 * of them; everything else is done for one stream after another. STREAMS_HEADER gives
 *
 *   spread_for_streams8(operands, count, spread), spread_for_streams16(...): the operands in the form
 *   that the maps read; `spread` has room for NATIVE_SPREAD_BYTES of each
 *   map_of_streams8(map, spread, z), map_of_streams16(...): clauses 4.2 and 5.2 for every stream
 *
 * Each layer is that of edgernn_kernels.h; what has no dense map goes by way of layer8 or layer16.
 */
#ifndef EDGERNN_EXTENSION_ISA_GROUP_STEPS_H
#define EDGERNN_EXTENSION_ISA_GROUP_STEPS_H

#include STREAMS_HEADER

#define EACH_STREAM(statement)                                                                 \
    for (s = 0; s < NATIVE_GROUP; ++s) {                                                       \
        statement;                                                                             \
    }

/* What a layer works on, of every stream. */
typedef struct {
    void *operands[NATIVE_GROUP];
    void *room[NATIVE_GROUP];
    const void *spread[NATIVE_GROUP];
    int16_t *z[NATIVE_GROUP];
    int16_t *h[NATIVE_GROUP];
    int16_t *c[NATIVE_GROUP];
} native_group;

#define DEFINE_GROUP_LAYERS(bits)                                                              \
    /* From the first `count` operands of every stream to the form that maps read. */          \
    static void spread_group##bits(native_group *group, int32_t count)                         \
    {                                                                                          \
        int32_t s;                                                                             \
        EACH_STREAM(group->spread[s] =                                                         \
                        spread_for_streams##bits(group->operands[s], count, group->room[s]))   \
    }                                                                                          \
    /* The same with the states behind the inputs. */                                          \
    static void spread_states##bits(native_group *group, int16_t *const *h, int32_t inputs,    \
                                    int32_t units)                                             \
    {                                                                                          \
        const int32_t first = EDGERNN_PADDED(inputs);                                          \
        int32_t s;                                                                             \
        EACH_STREAM(edgernn_operands##bits(                                                    \
            h[s], units, (edgernn_code##bits *)group->operands[s] + first))                    \
        spread_group##bits(group, first + EDGERNN_PADDED(units));                              \
    }                                                                                          \
    static void simple_rnns##bits(const edgernn_simple_rnn##bits *layer, native_group *group)  \
    {                                                                                          \
        int32_t s;                                                                             \
        spread_states##bits(group, group->h, layer->inputs, layer->units);                     \
        map_of_streams##bits(&layer->gates, group->spread, group->h);                          \
        EACH_STREAM(edgernn_activate(layer->activation, group->h[s], layer->units))            \
    }                                                                                          \
    static void lstms##bits(const edgernn_lstm##bits *layer, native_group *group)              \
    {                                                                                          \
        int32_t s;                                                                             \
        spread_states##bits(group, group->h, layer->inputs, layer->units);                     \
        map_of_streams##bits(&layer->gates, group->spread, group->z);                          \
        EACH_STREAM(update_cell(layer->gate, layer->cell_exponent, layer->units, group->z[s],  \
                                group->h[s], group->c[s]))                                     \
    }                                                                                          \
    static void grus_before##bits(const edgernn_gru_before##bits *layer, native_group *group)  \
    {                                                                                          \
        const int32_t units = layer->units;                                                    \
        int16_t *r[NATIVE_GROUP];                                                              \
        int16_t *n[NATIVE_GROUP];                                                              \
        int32_t s;                                                                             \
        spread_states##bits(group, group->h, layer->inputs, units);                            \
        map_of_streams##bits(&layer->zr, group->spread, group->z);                             \
        for (s = 0; s < NATIVE_GROUP; ++s) {                                                   \
            r[s] = group->z[s] + units;                                                        \
            n[s] = group->z[s] + 2 * units;                                                    \
            edgernn_activate(layer->gate, group->z[s], 2 * units);                             \
            reset_state(r[s], group->h[s], units);                                             \
        }                                                                                      \
        spread_states##bits(group, r, layer->inputs, units);                                   \
        map_of_streams##bits(&layer->n, group->spread, n);                                     \
        EACH_STREAM(update_state(group->z[s], n[s], units, group->h[s]))                       \
    }                                                                                          \
    static void grus_after##bits(const edgernn_gru_after##bits *layer, native_group *group)    \
    {                                                                                          \
        const int32_t units = layer->units;                                                    \
        int16_t *a[NATIVE_GROUP];                                                              \
        int16_t *d[NATIVE_GROUP];                                                              \
        int32_t s;                                                                             \
        EACH_STREAM(a[s] = group->z[s] + 2 * units)                                            \
        EACH_STREAM(d[s] = group->z[s] + 3 * units)                                            \
        spread_states##bits(group, group->h, layer->inputs, units);                            \
        map_of_streams##bits(&layer->zr, group->spread, group->z);                             \
        map_of_streams##bits(&layer->n_x, group->spread, a);                                   \
        map_of_streams##bits(&layer->n_h, group->spread, d);                                   \
        for (s = 0; s < NATIVE_GROUP; ++s) {                                                   \
            edgernn_activate(layer->gate, group->z[s], 2 * units);                             \
            update_after(group->z[s], group->z[s] + units, a[s], d[s], units, group->h[s]);    \
        }                                                                                      \
    }                                                                                          \
    static void denses##bits(const edgernn_dense##bits *layer, int32_t inputs,                 \
                             native_group *group, int16_t *const *y)                           \
    {                                                                                          \
        int32_t s;                                                                             \
        spread_group##bits(group, EDGERNN_PADDED(inputs));                                     \
        map_of_streams##bits(&layer->out, group->spread, y);                                   \
        EACH_STREAM(edgernn_activate(layer->activation, y[s], layer->units))                   \
    }                                                                                          \
    /* Whether all maps of a layer are dense. */                                               \
    static int is_dense##bits(const native_layer *layer)                                       \
    {                                                                                          \
        const native_record *record = &layer->record;                                          \
        switch (layer->kind) {                                                                 \
        case NATIVE_SIMPLE_RNN:                                                                \
            return IS_DENSE(bits, &record->simple_rnn##bits.gates);                            \
        case NATIVE_LSTM:                                                                      \
            return IS_DENSE(bits, &record->lstm##bits.gates);                                  \
        case NATIVE_GRU_BEFORE:                                                                \
            return IS_DENSE(bits, &record->gru_before##bits.zr) &&                             \
                   IS_DENSE(bits, &record->gru_before##bits.n);                                \
        case NATIVE_GRU_AFTER:                                                                 \
            return IS_DENSE(bits, &record->gru_after##bits.zr) &&                              \
                   IS_DENSE(bits, &record->gru_after##bits.n_x) &&                             \
                   IS_DENSE(bits, &record->gru_after##bits.n_h);                               \
        case NATIVE_DENSE:                                                                     \
            return IS_DENSE(bits, &record->dense##bits.out);                                   \
        case NATIVE_OPERATIONS:                                                                \
        case NATIVE_KINDS:                                                                     \
            break;                                                                             \
        }                                                                                      \
        return 0;                                                                              \
    }                                                                                          \
    /* One layer of every stream, to the vectors value[NATIVE_GROUP]. */                       \
    static void layer_of_group##bits(const native_layer *layer, native_memory *const *memories, \
                                     native_scratch *const *scratches, int16_t *const *made,   \
                                     const int16_t **value)                                    \
    {                                                                                          \
        const native_record *record = &layer->record;                                          \
        native_group group;                                                                    \
        int32_t s;                                                                             \
        if (!is_dense##bits(layer)) {                                                          \
            EACH_STREAM(value[s] = layer##bits(layer, memories[s], scratches[s], made[s]))     \
            return;                                                                            \
        }                                                                                      \
        for (s = 0; s < NATIVE_GROUP; ++s) {                                                   \
            group.operands[s] = scratches[s]->operands;                                        \
            group.room[s] = scratches[s]->spread;                                              \
            group.z[s] = scratches[s]->z;                                                      \
            group.h[s] = memories[s]->state + layer->h;                                        \
            group.c[s] = memories[s]->state + layer->c;                                        \
            value[s] = group.h[s];                                                             \
        }                                                                                      \
        if (layer->kind == NATIVE_SIMPLE_RNN) {                                                \
            simple_rnns##bits(&record->simple_rnn##bits, &group);                              \
        } else if (layer->kind == NATIVE_LSTM) {                                               \
            lstms##bits(&record->lstm##bits, &group);                                          \
        } else if (layer->kind == NATIVE_GRU_BEFORE) {                                         \
            grus_before##bits(&record->gru_before##bits, &group);                              \
        } else if (layer->kind == NATIVE_GRU_AFTER) {                                          \
            grus_after##bits(&record->gru_after##bits, &group);                                \
        } else {                                                                               \
            denses##bits(&record->dense##bits, layer->inputs, &group, made);                   \
            EACH_STREAM(value[s] = made[s])                                                    \
        }                                                                                      \
    }                                                                                          \
    /* As step8 and step16 of isa/body.h. */                                                   \
    static void group_step##bits(const native_program *program, native_memory *const *memories, \
                                 native_scratch *const *scratches, const void *const *x,       \
                                 int16_t *const *y)                                            \
    {                                                                                          \
        const int routed = program->routes != NULL;                                            \
        const int32_t last = program->layer_count - 1;                                         \
        const int16_t *value[NATIVE_GROUP] = {NULL, NULL, NULL, NULL};                         \
        int16_t *made[NATIVE_GROUP];                                                           \
        int32_t i;                                                                             \
        int32_t s;                                                                             \
        if (!routed) {                                                                         \
            EACH_STREAM(edgernn_codes##bits(x[s], program->inputs, scratches[s]->operands))    \
        }                                                                                      \
        for (i = 0; i <= last; ++i) {                                                          \
            const native_layer *layer = program->layers + i;                                   \
            for (s = 0; s < NATIVE_GROUP; ++s) {                                               \
                made[s] = i == last ? y[s] : scratches[s]->value;                              \
                if (routed) {                                                                  \
                    made[s] = feed##bits(program, memories[s], scratches[s], i, x[s]);         \
                } else if (i > 0) {                                                            \
                    edgernn_operands##bits(value[s], layer->inputs, scratches[s]->operands);   \
                }                                                                              \
            }                                                                                  \
            layer_of_group##bits(layer, memories, scratches, made, value);                     \
            for (s = 0; routed && s < NATIVE_GROUP; ++s) {                                     \
                if (!layer->is_state && value[s] != made[s]) {                                 \
                    edgernn_copy16(value[s], layer->units, made[s]);                           \
                }                                                                              \
            }                                                                                  \
        }                                                                                      \
        for (s = 0; s < NATIVE_GROUP; ++s) {                                                   \
            if (routed) {                                                                      \
                gather_values##bits(program, memories[s], scratches[s], program->routes + i,   \
                                    x[s], y[s]);                                               \
            } else if (value[s] != y[s]) {                                                     \
                edgernn_copy16(value[s], program->outputs, y[s]);                              \
            }                                                                                  \
        }                                                                                      \
    }

DEFINE_GROUP_LAYERS(8)
DEFINE_GROUP_LAYERS(16)

static void step_group(const native_program *program, native_memory *const *memories,
                       native_scratch *const *scratches, const void *const *x, int16_t *const *y)
{
    (program->width == 8 ? group_step8 : group_step16)(program, memories, scratches, x, y);
}

#endif
