/* edgernn._native.Stream: its life, and what can be read and set of its memory. */
#include "extension.h"

#include <stdlib.h>
#include <string.h>

static size_t state_bytes(const stream_object *stream)
{
    return stream->program->program.state_count * sizeof(int16_t);
}

PyObject *native_new_stream(program_object *program, native_module *module)
{
    native_arena arena = {NULL, 0, 0};
    stream_object *stream =
        (stream_object *)PyType_GenericAlloc((PyTypeObject *)module->stream_type, 0);
    if (stream == NULL) {
        return NULL;
    }
    Py_INCREF((PyObject *)program);
    stream->program = program;
    stream->module = module; /* lives as long as the type, hence as this object */
    if (native_lay_out(&program->program, &arena, &stream->memory) < 0 ||
        native_allocate(&arena, &stream->block) < 0 ||
        native_lay_out(&program->program, &arena, &stream->memory) < 0) {
        Py_DECREF((PyObject *)stream);
        return PyErr_NoMemory();
    }
    return (PyObject *)stream;
}

static void stream_dealloc(PyObject *self)
{
    stream_object *stream = (stream_object *)self;
    free(stream->block);
    Py_XDECREF((PyObject *)stream->program);
    native_free(self);
}

static PyObject *stream_reset(PyObject *self, PyObject *unused)
{
    stream_object *stream = (stream_object *)self;
    (void)unused;
    if (native_check_idle(stream) < 0) {
        return NULL;
    }
    memset(stream->memory.state, 0, state_bytes(stream));
    stream->advanced = 0;
    return native_none();
}

static PyObject *stream_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    ((stream_object *)self)->closed = 1;
    return native_none();
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
        memcpy(to->memory.held, from->memory.held,
               (size_t)program->inputs * native_code_bytes(program));
        memcpy(to->memory.last, from->memory.last, (size_t)program->outputs * sizeof(int16_t));
        to->advanced = from->advanced;
    }
    return (PyObject *)to;
}

static PyObject *stream_state(PyObject *self, PyObject *unused)
{
    stream_object *stream = (stream_object *)self;
    (void)unused;
    if (native_check_idle(stream) < 0) {
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)stream->memory.state,
                                     (Py_ssize_t)state_bytes(stream));
}

static PyObject *stream_set_state(PyObject *self, PyObject *state)
{
    stream_object *stream = (stream_object *)self;
    Py_buffer view;
    if (native_check_idle(stream) < 0 || PyObject_GetBuffer(state, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    if ((size_t)view.len != state_bytes(stream)) {
        PyErr_Format(PyExc_ValueError, "state: expected %zd bytes, got %zd",
                     (Py_ssize_t)state_bytes(stream), view.len);
        PyBuffer_Release(&view);
        return NULL;
    }
    memcpy(stream->memory.state, view.buf, state_bytes(stream));
    PyBuffer_Release(&view);
    stream->advanced = 0;
    return native_none();
}

static PyObject *bytes_once_advanced(stream_object *stream, const void *from, size_t bytes)
{
    if (native_check_idle(stream) < 0) {
        return NULL;
    }
    if (!stream->advanced) {
        return native_none();
    }
    return PyBytes_FromStringAndSize(from, (Py_ssize_t)bytes);
}

static PyObject *stream_held(PyObject *self, PyObject *unused)
{
    stream_object *stream = (stream_object *)self;
    const native_program *program = &stream->program->program;
    (void)unused;
    return bytes_once_advanced(stream, stream->memory.held,
                               (size_t)program->inputs * native_code_bytes(program));
}

static PyObject *stream_last(PyObject *self, PyObject *unused)
{
    stream_object *stream = (stream_object *)self;
    (void)unused;
    return bytes_once_advanced(stream, stream->memory.last,
                               (size_t)stream->program->program.outputs * sizeof(int16_t));
}

static PyMethodDef methods[] = {
    {"step", native_stream_step, METH_O, "float64 [O] from finite reals [I]; None if not those."},
    {"run", native_stream_run, METH_O, "float64 [T, O] from finite float64 [T, I]; None if not."},
    {"step_codes", native_stream_step_codes, METH_O, "int16 [O] from input codes [I]; or None."},
    {"run_codes", native_stream_run_codes, METH_O, "int16 [T, O] from codes [T, I]; or None."},
    {"bind", native_stream_bind, METH_VARARGS, "bind(x, y, otherwise): a step without arguments."},
    {"reset", stream_reset, METH_NOARGS, "Begin anew in the zero state."},
    {"copy", stream_copy, METH_NOARGS, "Another stream that continues from here."},
    {"close", stream_close, METH_NOARGS, "Refuse every further step with None."},
    {"state", stream_state, METH_NOARGS, "The carried vectors, bytes of int16."},
    {"set_state", stream_set_state, METH_O, "Set the carried vectors, bytes of int16."},
    {"held", stream_held, METH_NOARGS, "Codes of the last step, bytes; None before the first."},
    {"last", stream_last, METH_NOARGS, "Output of the last step, bytes of int16; or None."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "State and scratch of one stream; made by Program.stream()."},
    {Py_tp_dealloc, stream_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec native_stream_spec = {
    .name = "edgernn._native.Stream",
    .basicsize = sizeof(stream_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};
