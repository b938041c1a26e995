#include "builder.h"

#define MAX_MAPS 3

/* Rows per unit of each map of a layer, and of scratch; in the order of native_kind. */
static const struct {
    int32_t maps;
    int32_t rows[MAX_MAPS];
    int32_t scratch;
    int32_t states;
} shapes[NATIVE_KINDS] = {
    {1, {1, 0, 0}, 0, 1}, /* simple RNN: gates */
    {1, {4, 0, 0}, 4, 2}, /* LSTM: gates */
    {2, {2, 1, 0}, 3, 1}, /* GRU, reset before: zr, n */
    {3, {2, 1, 1}, 4, 1}, /* GRU, reset after: zr, n_x, n_h */
    {1, {1, 0, 0}, 0, 0}, /* Dense: out */
    {0, {0, 0, 0}, 0, 0}, /* operations: as they say themselves */
};

/* Fill in the record of one width from the maps. */
#define DEFINE_ASSEMBLE(width)                                                                   \
    static void assemble##width(native_layer *layer, edgernn_activation activation,              \
                                int32_t cell_exponent, const edgernn_map##width *maps)           \
    {                                                                                            \
        const int32_t inputs = layer->inputs;                                                    \
        const int32_t units = layer->units;                                                      \
        switch (layer->kind) {                                                                   \
        case NATIVE_SIMPLE_RNN:                                                                  \
            layer->record.simple_rnn##width =                                                    \
                (edgernn_simple_rnn##width){inputs, units, activation, maps[0]};                 \
            break;                                                                               \
        case NATIVE_LSTM:                                                                        \
            layer->record.lstm##width =                                                          \
                (edgernn_lstm##width){inputs, units, activation, cell_exponent, maps[0]};        \
            break;                                                                               \
        case NATIVE_GRU_BEFORE:                                                                  \
            layer->record.gru_before##width =                                                    \
                (edgernn_gru_before##width){inputs, units, activation, maps[0], maps[1]};        \
            break;                                                                               \
        case NATIVE_GRU_AFTER:                                                                   \
            layer->record.gru_after##width =                                                     \
                (edgernn_gru_after##width){inputs, units, activation, maps[0], maps[1], maps[2]}; \
            break;                                                                               \
        case NATIVE_DENSE:                                                                       \
        case NATIVE_OPERATIONS:                                                                  \
        case NATIVE_KINDS:                                                                       \
            layer->record.dense##width = (edgernn_dense##width){units, activation, maps[0]};     \
            break;                                                                               \
        }                                                                                        \
    }

DEFINE_ASSEMBLE(8)
DEFINE_ASSEMBLE(16)

static int out_of_range(const char *what, int low, int high, int got)
{
    if (got >= low && got <= high) {
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "%s: expected %d..%d, got %d", what, low, high, got);
    return 1;
}

/* The maps of a layer whose widths are known. */
static int build_maps(native_builder *builder, PyObject *from, native_layer *layer,
                      int activation, int cell_exponent)
{
    const int32_t count = shapes[layer->kind].maps;
    const int32_t hidden = layer->kind == NATIVE_DENSE ? 0 : EDGERNN_PADDED(layer->units);
    const int32_t operands = EDGERNN_PADDED(layer->inputs) + hidden;
    edgernn_map8 maps8[MAX_MAPS];
    edgernn_map16 maps16[MAX_MAPS];
    int32_t i;
    if (!PyTuple_Check(from) || PyTuple_Size(from) != count) {
        PyErr_Format(PyExc_ValueError, "layer: expected a tuple of %d maps", (int)count);
        return -1;
    }
    for (i = 0; i < count; ++i) {
        const int32_t rows = shapes[layer->kind].rows[i] * layer->units;
        PyObject *map = PyTuple_GetItem(from, i);
        if (!PyTuple_Check(map)) {
            PyErr_SetString(PyExc_TypeError, "map: expected a tuple");
            return -1;
        }
        if ((builder->program->width == 8
                 ? native_build_map8(builder, map, rows, operands, &maps8[i])
                 : native_build_map16(builder, map, rows, operands, &maps16[i])) < 0) {
            return -1;
        }
    }
    if (builder->program->width == 8) {
        assemble8(layer, (edgernn_activation)activation, cell_exponent, maps8);
    } else {
        assemble16(layer, (edgernn_activation)activation, cell_exponent, maps16);
    }
    return 0;
}

static void grow(size_t *most, size_t count)
{
    *most = count > *most ? count : *most;
}

/* What the layer adds to a stream's memory. */
static void add_to_memory(native_program *program, native_layer *layer, size_t scratch,
                          size_t hidden, size_t states)
{
    const size_t units = (size_t)layer->units;
    layer->h = program->state_count;
    layer->is_state = layer->kind != NATIVE_DENSE;
    layer->output = layer->h;
    if (layer->kind == NATIVE_OPERATIONS) {
        layer->is_state = layer->record.operations.output >= 0;
        layer->output += layer->is_state ? (size_t)layer->record.operations.output : 0;
    }
    layer->c = program->state_count + (shapes[layer->kind].states > 1 ? units : 0);
    program->state_count += states;
    grow(&program->z_count, scratch);
    grow(&program->operand_count, (size_t)EDGERNN_PADDED(layer->inputs) + hidden);
    if (layer->kind == NATIVE_DENSE) {
        grow(&program->value_count, units);
    }
}

int native_build_layer(native_builder *builder, PyObject *from, native_layer *layer)
{
    PyObject *maps;
    PyObject *step = NULL;
    size_t scratch;
    size_t hidden;
    size_t states;
    int kind;
    int inputs;
    int units;
    int activation;
    int exponent;
    if (!PyTuple_Check(from)) {
        PyErr_SetString(PyExc_TypeError, "layer: expected a tuple");
        return -1;
    }
    if (!PyArg_ParseTuple(from, "iiiiiO|O:layer", &kind, &inputs, &units, &activation, &exponent,
                          &maps, &step)) {
        return -1;
    }
    if (out_of_range("kind", 0, NATIVE_KINDS - 1, kind) ||
        out_of_range("inputs", 1, NATIVE_MAX_WIDTH, inputs) ||
        out_of_range("units", 1, NATIVE_MAX_WIDTH, units) ||
        out_of_range("activation", EDGERNN_LINEAR, EDGERNN_HARD_SIGMOID, activation) ||
        out_of_range("cell exponent", 10, 14, exponent)) {
        return -1;
    }
    layer->kind = (native_kind)kind;
    layer->inputs = inputs;
    layer->units = units;
    scratch = (size_t)(shapes[kind].scratch * units);
    hidden = kind == NATIVE_DENSE ? 0 : (size_t)EDGERNN_PADDED(units);
    states = (size_t)(shapes[kind].states * units);
    if (kind == NATIVE_OPERATIONS
            ? native_build_operations(builder, maps, step, layer, &scratch, &hidden, &states) < 0
            : build_maps(builder, maps, layer, activation, exponent) < 0) {
        return -1;
    }
    add_to_memory(builder->program, layer, scratch, hidden, states);
    return 0;
}
