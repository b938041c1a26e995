/* edgernn._native.Program: a model, laid out for one instruction set. */
#include "program/builder.h"
#include "rows.h"

#include <stdlib.h>
#include <string.h>

/* The layers, and what they read. */
static int build_layers(native_builder *builder, PyObject *from, PyObject *routes)
{
    native_program *program = builder->program;
    native_layer *layers; /* also where there is no memory for them yet */
    const Py_ssize_t count = PyTuple_Size(from);
    void *place;
    int result = 0;
    Py_ssize_t i;
    if (count < 1 || count > NATIVE_MAX_LAYERS) {
        PyErr_Format(PyExc_ValueError, "layers: expected 1..%d, got %zd", NATIVE_MAX_LAYERS, count);
        return -1;
    }
    layers = PyMem_Calloc((size_t)count, sizeof *layers);
    if (layers == NULL ||
        native_take(&builder->arena, (size_t)count * sizeof *layers, &place) < 0) {
        PyMem_Free(layers);
        PyErr_NoMemory();
        return -1;
    }
    for (i = 0; i < count && result == 0; ++i) {
        const size_t before = program->dense_bytes;
        result = native_build_layer(builder, PyTuple_GetItem(from, i), &layers[i]);
        if (layers[i].kind == NATIVE_OPERATIONS) { /* which a group takes one by one */
            program->dense_bytes = before;
        }
    }
    program->grouped = program->isa->step_group != NULL && program->dense_bytes > 0;
    program->layer_count = (int32_t)count;
    program->layers = place;
    if (result == 0) {
        result = native_build_routes(builder, routes, layers);
    }
    if (result == 0 && place != NULL) {
        memcpy(place, layers, (size_t)count * sizeof *layers);
    }
    PyMem_Free(layers);
    return result;
}

/* What Program() was called with. */
typedef struct {
    PyObject *layers;
    PyObject *offset;
    PyObject *scale;
    PyObject *output_scale;
    PyObject *report;
    PyObject *routes;
    PyObject *start;
    PyObject *vocabulary;
} parts;

static int build(native_builder *builder, const parts *from)
{
    native_program *program = builder->program;
    const size_t inputs = (size_t)program->inputs;
    const void *offset;
    const void *scale;
    const void *output_scale;
    const void *start = NULL;
    program->state_count = 0;
    program->z_count = 0;
    program->value_count = 0;
    program->operand_count = 0;
    program->dense_bytes = 0;
    if ((program->reads_tokens && native_build_vocabulary(builder, from->vocabulary) < 0) ||
        build_layers(builder, from->layers, from->routes) < 0 ||
        native_copy_in(builder, from->offset, 8 * inputs, "offset", &offset) < 0 ||
        native_copy_in(builder, from->scale, 8 * inputs, "scale", &scale) < 0 ||
        native_copy_in(builder, from->output_scale, 8 * (size_t)program->outputs, "output scale",
                       &output_scale) < 0 ||
        (from->start != Py_None &&
         native_copy_in(builder, from->start, program->state_count * sizeof(int16_t), "start",
                        &start) < 0)) {
        return -1;
    }
    program->input_offset = offset;
    program->input_scale = scale;
    program->output_scale = output_scale;
    program->start = start;
    return 0;
}

static int fill(program_object *self, const parts *from)
{
    native_builder builder = {{NULL, 0, 0, NATIVE_ALIGNMENT}, &self->program};
    native_arena stream = {NULL, 0, 0, NATIVE_STREAM_ALIGNMENT};
    native_memory memory;
    if (build(&builder, from) < 0) {
        return -1;
    }
    if (native_allocate(&builder.arena, &self->block) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    if (native_lay_out(&self->program, &stream, &memory) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    self->stream_bytes = stream.used;
    return build(&builder, from);
}

static PyObject *program_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    parts from = {.start = Py_None, .vocabulary = Py_None};
    const char *isa;
    int width;
    int inputs;
    int outputs;
    program_object *self;
    native_module *module;
    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Program() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "siiiO!OOOOO!|OO:Program", &isa, &width, &inputs, &outputs,
                          &PyTuple_Type, &from.layers, &from.offset, &from.scale,
                          &from.output_scale, &from.report, &PyTuple_Type, &from.routes,
                          &from.start, &from.vocabulary)) {
        return NULL;
    }
    if ((width != 8 && width != 16) || inputs < 1 || inputs > NATIVE_MAX_WIDTH || outputs < 1 ||
        outputs > NATIVE_MAX_WIDTH || native_isa_named(isa) == NULL) {
        PyErr_Format(PyExc_ValueError,
                     "Program: expected one of isas(), 8 or 16 bits and 1..%d channels, "
                     "got '%.40s', %d bits, %d inputs, %d outputs",
                     NATIVE_MAX_WIDTH, isa, width, inputs, outputs);
        return NULL;
    }
    if (!PyCallable_Check(from.report)) {
        PyErr_SetString(PyExc_TypeError, "report: expected a function");
        return NULL;
    }
    self = (program_object *)PyType_GenericAlloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->report = Py_NewRef(from.report);
    module = native_module_of((PyObject *)self);
    self->program.reads_tokens = from.vocabulary != Py_None;
    self->code_dtype = width == 8 && !self->program.reads_tokens ? module->int8 : module->int16;
    self->program.isa = native_isa_named(isa);
    self->program.width = width;
    self->program.inputs = inputs;
    self->program.outputs = outputs;
    self->step_shape = Py_BuildValue("(i)", outputs);
    if (self->step_shape == NULL || fill(self, &from) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void program_dealloc(PyObject *self)
{
    program_object *program = (program_object *)self;
    while (program->idle != NULL) {
        native_scratch *scratch = program->idle;
        program->idle = scratch->next;
        free(scratch->group_block);
        free(scratch->block);
        PyMem_Free(scratch);
    }
    Py_XDECREF(program->step_shape);
    Py_XDECREF(program->report);
    free(program->block);
    native_free(self);
}

static PyObject *program_stream(PyObject *self, PyObject *unused)
{
    (void)unused;
    return native_new_stream((program_object *)self, native_module_of(self));
}

static PyObject *program_isa(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyUnicode_FromString(((program_object *)self)->program.isa->name);
}

static PyObject *program_rows(PyObject *self, PyObject *arguments)
{
    return native_new_rows((program_object *)self, native_module_of(self), arguments);
}

static PyMethodDef methods[] = {
    {"rows", program_rows, METH_VARARGS, "rows(head, policies, values): no streams yet, in rows."},
    {"stream", program_stream, METH_NOARGS, "A new stream in the zero state."},
    {"run_sequences", native_program_run_sequences, METH_VARARGS,
     "run_sequences(codes, last): outputs of whole streams, a list of int16 [T, O] of codes [T, I]; "
     "or the last of each, int16 [B, O]."},
    {"isa", program_isa, METH_NOARGS, "Name of the instruction set it is laid out for."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Program(isa, bits, inputs, outputs, layers, offset, scale, output_scale, report, "
                "routes, start, vocabulary)"},
    {Py_tp_new, program_new},
    {Py_tp_dealloc, program_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec native_program_spec = {
    .name = "edgernn._native.Program",
    .basicsize = sizeof(program_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};
