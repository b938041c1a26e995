/* edgernn._native.Stream: its steps. */
#include "extension.h"

/* Steps from which on it pays to let other threads run. */
#define LONG_CHUNK 32

int native_check_idle(stream_object *stream)
{
    PyObject *errors;
    PyObject *type;
    if (!stream->busy) {
        return 0;
    }
    errors = PyImport_ImportModule("edgernn.errors");
    type = errors == NULL ? NULL : PyObject_GetAttrString(errors, "EdgeRnnError");
    if (type != NULL) {
        PyErr_SetString(type, "session: expected one thread at a time, got a second one. Give each "
                              "thread a stream of its own with `new_stream`.");
    }
    Py_XDECREF(type);
    Py_XDECREF(errors);
    return -1;
}

#define ADVANCE(stream, run, x, steps, y)                                            \
    do {                                                                             \
        const native_program *program = &(stream)->program->program;                 \
        if ((steps) >= LONG_CHUNK) {                                                 \
            (stream)->busy = 1;                                                      \
            Py_BEGIN_ALLOW_THREADS                                                   \
            program->isa->run(program, &(stream)->memory, x, (size_t)(steps), y);    \
            Py_END_ALLOW_THREADS                                                     \
            (stream)->busy = 0;                                                      \
        } else {                                                                     \
            program->isa->run(program, &(stream)->memory, x, (size_t)(steps), y);    \
        }                                                                            \
        if ((steps) > 0) {                                                           \
            (stream)->advanced = 1;                                                  \
        }                                                                            \
    } while (0)

void native_advance_real(stream_object *stream, const double *x, Py_ssize_t steps, double *y)
{
    ADVANCE(stream, run_real, x, steps, y);
}

void native_advance_codes(stream_object *stream, const void *x, Py_ssize_t steps, int16_t *y)
{
    ADVANCE(stream, run_codes, x, steps, y);
}

/* 1 and the value of a Python or NumPy float, 0 for everything else. */
static int float_value(native_module *module, PyObject *x, double *value)
{
    if (!PyFloat_CheckExact(x) && (PyObject *)Py_TYPE(x) != module->float64_type) {
        return 0;
    }
    *value = PyFloat_AsDouble(x);
    return 1;
}

/* Copy a number (one channel) or a list of numbers to memory.reading; 0 if it is neither. */
static int read_floats(stream_object *stream, PyObject *x)
{
    const Py_ssize_t width = stream->program->program.inputs;
    double *reading = stream->memory.reading;
    const int is_list = PyList_CheckExact(x);
    Py_ssize_t i;
    if (width == 1 && float_value(stream->module, x, reading)) {
        return 1;
    }
    if (!is_list && !PyTuple_CheckExact(x)) {
        return 0;
    }
    if ((is_list ? PyList_Size(x) : PyTuple_Size(x)) != width) {
        return 0;
    }
    for (i = 0; i < width; ++i) {
        PyObject *item = is_list ? PyList_GetItem(x, i) : PyTuple_GetItem(x, i);
        if (!float_value(stream->module, item, reading + i)) {
            return 0;
        }
    }
    return 1;
}

/* One output from finite numbers; None where they are not. */
static PyObject *real_step(stream_object *stream, const double *x)
{
    Py_buffer out;
    PyObject *array;
    if (!native_all_finite(x, (size_t)stream->program->program.inputs)) {
        return native_none();
    }
    array = native_output(stream, stream->module->float64, -1, &out);
    if (array != NULL) {
        native_advance_real(stream, x, 1, out.buf);
        PyBuffer_Release(&out);
    }
    return array;
}

PyObject *native_stream_step(PyObject *self, PyObject *x)
{
    stream_object *stream = (stream_object *)self;
    const Py_ssize_t width = stream->program->program.inputs;
    PyObject *array;
    Py_buffer in;
    if (native_check_idle(stream) < 0) {
        return NULL;
    }
    if (stream->closed) {
        return native_none();
    }
    if (native_view(stream->module, x, stream->module->float64, 0, width, 0, &in)) {
        array = real_step(stream, in.buf);
        PyBuffer_Release(&in);
        return array;
    }
    if (read_floats(stream, x)) {
        return real_step(stream, stream->memory.reading);
    }
    return native_none();
}

PyObject *native_stream_run(PyObject *self, PyObject *xs)
{
    stream_object *stream = (stream_object *)self;
    const Py_ssize_t width = stream->program->program.inputs;
    PyObject *array = NULL;
    Py_buffer in;
    Py_buffer out;
    if (native_check_idle(stream) < 0) {
        return NULL;
    }
    if (stream->closed ||
        !native_view(stream->module, xs, stream->module->float64, 1, width, 0, &in)) {
        return native_none();
    }
    if (!native_all_finite(in.buf, (size_t)(in.shape[0] * width))) {
        PyBuffer_Release(&in);
        return native_none();
    }
    array = native_output(stream, stream->module->float64, in.shape[0], &out);
    if (array != NULL) {
        native_advance_real(stream, in.buf, in.shape[0], out.buf);
        PyBuffer_Release(&out);
    }
    PyBuffer_Release(&in);
    return array;
}

static PyObject *codes_call(stream_object *stream, PyObject *codes, int many)
{
    const native_program *program = &stream->program->program;
    PyObject *dtype = stream->program->code_dtype;
    Py_ssize_t steps;
    PyObject *array = NULL;
    Py_buffer in;
    Py_buffer out;
    if (native_check_idle(stream) < 0) {
        return NULL;
    }
    if (stream->closed ||
        !native_view(stream->module, codes, dtype, many, program->inputs, 0, &in)) {
        return native_none();
    }
    steps = many ? in.shape[0] : 1;
    if (!native_all_codes(program, in.buf, (size_t)(steps * program->inputs))) {
        PyBuffer_Release(&in);
        return native_none();
    }
    array = native_output(stream, stream->module->int16, many ? steps : -1, &out);
    if (array != NULL) {
        native_advance_codes(stream, in.buf, steps, out.buf);
        PyBuffer_Release(&out);
    }
    PyBuffer_Release(&in);
    return array;
}

PyObject *native_stream_step_codes(PyObject *self, PyObject *codes)
{
    return codes_call((stream_object *)self, codes, 0);
}

PyObject *native_stream_run_codes(PyObject *self, PyObject *codes)
{
    return codes_call((stream_object *)self, codes, 1);
}
