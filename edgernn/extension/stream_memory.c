/* edgernn._native.Stream: its life, and what can be read and set of its memory. */
#include "extension.h"

#include <string.h>

static size_t state_bytes(const stream_object *stream)
{
    return stream->program->program.state_count * sizeof(int16_t);
}

/* What every stream begins with. */
static void begin(stream_object *stream)
{
    const int16_t *start = stream->program->program.start;
    if (start != NULL) {
        memcpy(stream->memory.state, start, state_bytes(stream));
    } else {
        memset(stream->memory.state, 0, state_bytes(stream));
    }
}

native_scratch *native_new_scratch(program_object *program)
{
    native_arena arena = {NULL, 0, 0, NATIVE_ALIGNMENT};
    native_scratch *scratch = PyMem_Calloc(1, sizeof *scratch);
    void *block;
    if (scratch == NULL ||
        native_lay_out_scratch(&program->program, &arena, scratch) < 0 ||
        native_allocate(&arena, &block) < 0) {
        PyMem_Free(scratch);
        PyErr_NoMemory();
        return NULL;
    }
    scratch->block = block;
    native_lay_out_scratch(&program->program, &arena, scratch);
    return scratch;
}

PyObject *native_new_stream(program_object *program, native_module *module)
{
    native_arena arena = {NULL, 0, program->stream_bytes, NATIVE_STREAM_ALIGNMENT};
    stream_object *stream = (stream_object *)PyType_GenericAlloc(
        (PyTypeObject *)module->stream_type, (Py_ssize_t)program->stream_bytes);
    if (stream == NULL) {
        return NULL;
    }
    arena.base = (char *)(stream + 1);
    if (native_lay_out(&program->program, &arena, &stream->memory) < 0) {
        Py_DECREF((PyObject *)stream);
        return PyErr_NoMemory();
    }
    Py_INCREF((PyObject *)program);
    stream->program = program;
    if (program->program.start != NULL) { /* the memory is zeroed */
        begin(stream);
    }
    stream->module = module; /* lives as long as the type, hence as this object */
    return (PyObject *)stream;
}

int native_need_counts(stream_object *stream)
{
    const size_t inputs = (size_t)stream->program->program.inputs;
    if (stream->memory.clipped == NULL) {
        stream->memory.clipped = PyMem_Calloc(inputs, sizeof *stream->memory.clipped);
    }
    if (stream->memory.clipped == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static void stream_dealloc(PyObject *self)
{
    PyMem_Free(((stream_object *)self)->memory.clipped);
    Py_XDECREF((PyObject *)((stream_object *)self)->program);
    native_free(self);
}

static PyObject *stream_reset(PyObject *self, PyObject *unused)
{
    stream_object *stream = (stream_object *)self;
    (void)unused;
    if (native_check_idle(stream) < 0) {
        return NULL;
    }
    begin(stream);
    stream->advanced = 0;
    stream->sequence = 0;
    return native_none();
}

static PyObject *stream_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    ((stream_object *)self)->closed = 1;
    return native_none();
}

static size_t held_bytes(const native_program *program)
{
    return (size_t)program->inputs * native_code_bytes(program);
}

static PyObject *stream_copy(PyObject *self, PyObject *unused)
{
    stream_object *from = (stream_object *)self;
    const native_program *program = &from->program->program;
    stream_object *to;
    (void)unused;
    if (native_check_idle(from) < 0) {
        return NULL;
    }
    to = (stream_object *)native_new_stream(from->program, from->module);
    if (to != NULL) {
        memcpy(to->memory.state, from->memory.state, state_bytes(from));
        memcpy(to->memory.held, from->memory.held, held_bytes(program));
        memcpy(to->memory.last, from->memory.last, (size_t)program->outputs * sizeof(int16_t));
        to->advanced = from->advanced;
        to->sequence = from->sequence;
    }
    return (PyObject *)to;
}

/* Length of a vector that the state is made of, from the first layer on; 0 behind the last. */
static Py_ssize_t vector_units(const native_program *program, size_t index)
{
    int32_t i;
    for (i = 0; i < program->layer_count; ++i) {
        const native_layer *layer = program->layers + i;
        const size_t end =
            i + 1 < program->layer_count ? layer[1].h : program->state_count;
        const native_operations *step =
            layer->kind == NATIVE_OPERATIONS ? &layer->record.operations : NULL;
        const size_t count = step != NULL ? (size_t)step->vectors
                                          : (end - layer->h) / (size_t)layer->units;
        if (index < count) {
            return step != NULL ? step->widths[index] : layer->units;
        }
        index -= count;
    }
    return 0;
}

static Py_ssize_t vector_count(const native_program *program)
{
    size_t count = 0;
    while (vector_units(program, count) > 0) {
        ++count;
    }
    return (Py_ssize_t)count;
}

static PyObject *get_state(PyObject *self, void *unused)
{
    stream_object *stream = (stream_object *)self;
    const native_program *program = &stream->program->program;
    const Py_ssize_t count = vector_count(program);
    const int16_t *from = stream->memory.state;
    PyObject *state;
    Py_ssize_t i;
    (void)unused;
    state = native_check_idle(stream) < 0 ? NULL : PyTuple_New(count);
    for (i = 0; state != NULL && i < count; ++i) {
        const Py_ssize_t units = vector_units(program, (size_t)i);
        PyObject *vector = native_vector(stream->module, stream->module->int16, units, from);
        if (vector == NULL || PyTuple_SetItem(state, i, vector) < 0) {
            Py_CLEAR(state);
        }
        from += units;
    }
    return state;
}

/* Copy an object that exports that many bytes; -1 with an error set where it does not. */
static int copy_bytes(PyObject *from, size_t bytes, const char *what, void *to)
{
    Py_buffer view;
    int result = 0;
    if (PyObject_GetBuffer(from, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    if ((size_t)view.len == bytes) {
        memcpy(to, view.buf, bytes);
    } else {
        PyErr_Format(PyExc_ValueError, "%s: expected %zu bytes, got %zd", what, bytes, view.len);
        result = -1;
    }
    PyBuffer_Release(&view);
    return result;
}

static int set_state(PyObject *self, PyObject *state, void *unused)
{
    stream_object *stream = (stream_object *)self;
    const native_program *program = &stream->program->program;
    const Py_ssize_t count = vector_count(program);
    native_scratch *scratch;
    int16_t *to;
    Py_ssize_t i;
    (void)unused;
    if (native_check_idle(stream) < 0) {
        return -1;
    }
    if (state == NULL || !PyTuple_Check(state) || PyTuple_Size(state) != count) {
        PyErr_Format(PyExc_TypeError, "state: expected a tuple of %zd vectors", count);
        return -1;
    }
    scratch = native_take_scratch(stream->program);
    if (scratch == NULL) {
        return -1;
    }
    to = scratch->backup; /* until all of it is known to fit */
    for (i = 0; i < count; ++i) {
        const size_t units = (size_t)vector_units(program, (size_t)i);
        if (copy_bytes(PyTuple_GetItem(state, i), units * sizeof(int16_t), "state", to) < 0) {
            break;
        }
        to += units;
    }
    if (i == count) {
        memcpy(stream->memory.state, scratch->backup, state_bytes(stream));
        stream->advanced = 0;
    }
    native_return_scratch(stream->program, scratch);
    return i == count ? 0 : -1;
}

static PyObject *get_held(PyObject *self, void *unused)
{
    stream_object *stream = (stream_object *)self;
    (void)unused;
    if (native_check_idle(stream) < 0) {
        return NULL;
    }
    if (!stream->advanced) {
        return native_none();
    }
    return native_vector(stream->module, stream->program->code_dtype,
                         stream->program->program.inputs, stream->memory.held);
}

static PyObject *get_last(PyObject *self, void *unused)
{
    stream_object *stream = (stream_object *)self;
    (void)unused;
    if (native_check_idle(stream) < 0) {
        return NULL;
    }
    if (!stream->advanced) {
        return native_none();
    }
    return native_vector(stream->module, stream->module->int16, stream->program->program.outputs,
                         stream->memory.last);
}

static PyObject *get_clipped(PyObject *self, void *unused)
{
    stream_object *stream = (stream_object *)self;
    const Py_ssize_t inputs = stream->program->program.inputs;
    PyObject *counts;
    Py_ssize_t i;
    (void)unused;
    counts = native_check_idle(stream) < 0 ? NULL : PyTuple_New(inputs);
    for (i = 0; counts != NULL && i < inputs; ++i) {
        const uint64_t *clipped = stream->memory.clipped;
        PyObject *count = PyLong_FromUnsignedLongLong(clipped == NULL ? 0 : clipped[i]);
        if (count == NULL || PyTuple_SetItem(counts, i, count) < 0) {
            Py_CLEAR(counts);
        }
    }
    return counts;
}

static int set_clipped(PyObject *self, PyObject *counts, void *unused)
{
    stream_object *stream = (stream_object *)self;
    const Py_ssize_t inputs = stream->program->program.inputs;
    Py_ssize_t i;
    (void)unused;
    if (native_check_idle(stream) < 0) {
        return -1;
    }
    if (counts == NULL || !PyTuple_Check(counts) || PyTuple_Size(counts) != inputs) {
        PyErr_Format(PyExc_TypeError, "clipped: expected a tuple of %zd counts", inputs);
        return -1;
    }
    for (i = 0; i < inputs; ++i) {
        const uint64_t count = PyLong_AsUnsignedLongLong(PyTuple_GetItem(counts, i));
        if (PyErr_Occurred() || (count > 0 && native_need_counts(stream) < 0)) {
            return -1;
        }
        if (stream->memory.clipped != NULL) {
            stream->memory.clipped[i] = count;
        }
    }
    return 0;
}

static PyObject *get_sequence(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLongLong(((stream_object *)self)->sequence);
}

static int set_sequence(PyObject *self, PyObject *number, void *unused)
{
    long long value;
    (void)unused;
    if (number == NULL) {
        PyErr_SetString(PyExc_TypeError, "sequence: expected a number");
        return -1;
    }
    value = PyLong_AsLongLong(number);
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    ((stream_object *)self)->sequence = value;
    return 0;
}

static PyObject *get_told(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((stream_object *)self)->told);
}

static int set_told(PyObject *self, PyObject *told, void *unused)
{
    const int value = told == NULL ? -1 : PyObject_IsTrue(told);
    (void)unused;
    if (value < 0 || (value && native_need_counts((stream_object *)self) < 0)) {
        return -1;
    }
    ((stream_object *)self)->told = (char)value;
    return 0;
}

static PyObject *stream_snapshot(PyObject *self, PyObject *unused)
{
    PyObject *state = get_state(self, NULL);
    PyObject *held = state == NULL ? NULL : get_held(self, NULL);
    PyObject *last = held == NULL ? NULL : get_last(self, NULL);
    PyObject *sequence = last == NULL ? NULL : get_sequence(self, NULL);
    PyObject *all = sequence == NULL ? NULL : PyTuple_Pack(4, state, held, last, sequence);
    (void)unused;
    Py_XDECREF(state);
    Py_XDECREF(held);
    Py_XDECREF(last);
    Py_XDECREF(sequence);
    return all;
}

static PyObject *stream_restore(PyObject *self, PyObject *snapshot)
{
    stream_object *stream = (stream_object *)self;
    const native_program *program = &stream->program->program;
    PyObject *state;
    PyObject *held;
    PyObject *last;
    PyObject *sequence;
    if (!PyTuple_Check(snapshot)) {
        PyErr_SetString(PyExc_TypeError, "restore: expected a tuple");
        return NULL;
    }
    if (!PyArg_ParseTuple(snapshot, "OOOO:restore", &state, &held, &last, &sequence) ||
        set_state(self, state, NULL) < 0 || set_sequence(self, sequence, NULL) < 0) {
        return NULL;
    }
    if (held != Py_None) {
        if (copy_bytes(held, held_bytes(program), "held", stream->memory.held) < 0 ||
            copy_bytes(last, (size_t)program->outputs * sizeof(int16_t), "last",
                       stream->memory.last) < 0) {
            return NULL;
        }
        stream->advanced = 1;
    }
    return native_none();
}

static PyGetSetDef attributes[] = {
    {"state", get_state, set_state, "The carried vectors, a tuple of int16 arrays; copies.", NULL},
    {"held", get_held, NULL, "Codes [I] of the last step; None before the first.", NULL},
    {"last", get_last, NULL, "int16 [O] of the last step; None before the first.", NULL},
    {"clipped", get_clipped, set_clipped, "How many readings were clipped, per channel.", NULL},
    {"sequence", get_sequence, set_sequence, "Number of the last reading; 0 before the first.", NULL},
    {"told", get_told, set_told, "Whether the first of them was reported.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"step", native_stream_step, METH_O, "float64 [O] from finite reals [I]; None if not those."},
    {"run", native_stream_run, METH_O, "float64 [T, O] from finite reals [T, I]; None if not."},
    {"step_codes", native_stream_step_codes, METH_O, "int16 [O] from input codes [I]; or None."},
    {"run_codes", native_stream_run_codes, METH_O, "int16 [T, O] from codes [T, I]; or None."},
    {"advance_one", native_stream_step_codes, METH_O, "As step_codes."},
    {"advance", native_stream_advance, METH_O, "As run_codes; an error for what it does not take."},
    {"encode", native_stream_encode, METH_O, "Codes of finite float64 [T, I]; counts what is clipped."},
    {"bind", native_stream_bind, METH_VARARGS, "bind(x, y, otherwise): a step without arguments."},
    {"reset", stream_reset, METH_NOARGS, "Begin anew in the zero state."},
    {"copy", stream_copy, METH_NOARGS, "Another stream that continues from here."},
    {"close", stream_close, METH_NOARGS, "Refuse every further step with None."},
    {"to_bytes", native_stream_to_bytes, METH_VARARGS, "to_bytes(head, bad readings)"},
    {"from_bytes", native_stream_from_bytes, METH_VARARGS,
     "from_bytes(head, bytes): bad readings; None for bytes it does not take."},
    {"snapshot", stream_snapshot, METH_NOARGS, "(state, held, last, sequence)"},
    {"restore", stream_restore, METH_O, "Continue from a snapshot."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "One stream, made by Program.stream(); see `edgernn.backends.base.Stream`."},
    {Py_tp_dealloc, stream_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {0, NULL},
};

PyType_Spec native_stream_spec = {
    .name = "edgernn._native.Stream",
    .basicsize = sizeof(stream_object),
    .itemsize = 1, /* bytes of the stream's own memory */
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};
