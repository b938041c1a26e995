#include "builder.h"

static int refuse(const char *what, Py_ssize_t reader, int low, int high, int got)
{
    PyErr_Format(PyExc_ValueError, "route %zd: expected %s of %d..%d, got %d", reader, what, low,
                 high, got);
    return -1;
}

static int reads_values(const native_layer *layer)
{
    return layer->kind == NATIVE_OPERATIONS && layer->record.operations.reads_values;
}

/* A chain: every layer reads the operands of the one before it. */
static int check_chain(const native_program *program, const native_layer *layers)
{
    int32_t width = program->inputs;
    int32_t i;
    for (i = 0; i < program->layer_count; ++i) {
        if (program->reads_tokens || reads_values(layers + i)) {
            PyErr_Format(PyExc_ValueError, "layer %d: expected routes to what it reads, got none",
                         (int)i);
            return -1;
        }
        if (layers[i].inputs != width) {
            PyErr_Format(PyExc_ValueError, "layer %d: expected %d inputs, got %d", (int)i,
                         (int)width, (int)layers[i].inputs);
            return -1;
        }
        width = layers[i].units;
    }
    if (width != program->outputs) {
        PyErr_Format(PyExc_ValueError, "layers: expected %d outputs, got %d",
                     (int)program->outputs, (int)width);
        return -1;
    }
    return 0;
}

/* Outputs that are no state, one behind another: any later layer may read them. */
static void place_outputs(native_program *program, native_layer *layers)
{
    int32_t i;
    program->value_count = 0;
    for (i = 0; i < program->layer_count; ++i) {
        if (!layers[i].is_state) {
            layers[i].output = program->value_count;
            program->value_count += (size_t)layers[i].units;
        }
    }
}

static int check_part(const native_program *program, const native_layer *layers, Py_ssize_t reader,
                      const native_part *part)
{
    const int lowest = reader == program->layer_count ? 0 : NATIVE_INPUT;
    int32_t whole;
    if (part->source < lowest || part->source >= reader) {
        return refuse("a source", reader, lowest, (int)reader - 1, part->source);
    }
    whole = part->source == NATIVE_INPUT ? program->inputs : layers[part->source].units;
    if (part->start < 0 || part->start >= whole) {
        return refuse("a start", reader, 0, whole - 1, part->start);
    }
    if (part->width < 1 || part->width > whole - part->start) {
        return refuse("a width", reader, 1, whole - part->start, part->width);
    }
    return 0;
}

static int build_route(native_builder *builder, PyObject *from, const native_layer *layers,
                       Py_ssize_t reader, native_route *route)
{
    native_program *program = builder->program;
    const native_layer *layer = reader < program->layer_count ? layers + reader : NULL;
    const int32_t wanted = layer == NULL ? program->outputs : layer->inputs;
    const Py_ssize_t count = PyTuple_Check(from) ? PyTuple_Size(from) : 0;
    int32_t width = 0;
    void *place;
    Py_ssize_t i;
    if (count < 1 || count > wanted) {
        PyErr_Format(PyExc_ValueError, "route %zd: expected a tuple of 1..%d parts", reader,
                     (int)wanted);
        return -1;
    }
    if (native_take(&builder->arena, (size_t)count * sizeof(native_part), &place) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    for (i = 0; i < count; ++i) {
        native_part part;
        PyObject *numbers = PyTuple_GetItem(from, i);
        if (!PyTuple_Check(numbers)) {
            PyErr_Format(PyExc_TypeError, "route %zd: expected tuples as parts", reader);
            return -1;
        }
        if (!PyArg_ParseTuple(numbers, "iii:part", &part.source, &part.start, &part.width) ||
            check_part(program, layers, reader, &part) < 0) {
            return -1;
        }
        if (part.width > wanted - width) {
            return refuse("a width", reader, 0, wanted - width, part.width);
        }
        if (layer != NULL) { /* behind a part there is room for what fills it up */
            const size_t end = (size_t)width + (size_t)EDGERNN_PADDED(part.width);
            program->operand_count = end > program->operand_count ? end : program->operand_count;
        }
        width += part.width;
        if (part.source == NATIVE_INPUT && program->width == 8 && program->reads_tokens) {
            part.source = NATIVE_WIDE_INPUT;
        }
        if (place != NULL) {
            ((native_part *)place)[i] = part;
        }
    }
    if (width != wanted) {
        PyErr_Format(PyExc_ValueError, "route %zd: expected %d elements, got %d", reader,
                     (int)wanted, (int)width);
        return -1;
    }
    route->count = (int32_t)count;
    route->parts = place;
    return 0;
}

int native_build_routes(native_builder *builder, PyObject *from, native_layer *layers)
{
    native_program *program = builder->program;
    const Py_ssize_t count = PyTuple_Size(from);
    native_route route;
    void *place;
    Py_ssize_t i;
    program->routes = NULL;
    if (count == 0) {
        return check_chain(program, layers);
    }
    if (count != (Py_ssize_t)program->layer_count + 1) {
        PyErr_Format(PyExc_ValueError, "routes: expected %d, got %zd", (int)program->layer_count + 1,
                     count);
        return -1;
    }
    if (native_take(&builder->arena, (size_t)count * sizeof route, &place) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    place_outputs(program, layers);
    for (i = 0; i < count; ++i) {
        if (build_route(builder, PyTuple_GetItem(from, i), layers, i, &route) < 0) {
            return -1;
        }
        if (place != NULL) {
            ((native_route *)place)[i] = route;
        }
    }
    program->routes = place;
    return 0;
}
