/* edgernn._native.Stream: its steps. */
#include "extension.h"

#include <string.h>

/* Steps from which on it pays to let other threads run. */
#define LONG_CHUNK 32

void native_set_error(const char *name, const char *text)
{
    PyObject *errors = PyImport_ImportModule("edgernn.errors");
    PyObject *type = errors == NULL ? NULL : PyObject_GetAttrString(errors, name);
    if (type != NULL) {
        PyErr_SetString(type, text);
    }
    Py_XDECREF(type);
    Py_XDECREF(errors);
}

int native_check_idle(stream_object *stream)
{
    if (!stream->busy) {
        return 0;
    }
    native_set_error("EdgeRnnError",
                     "session: expected one thread at a time, got a second one. Give each thread a "
                     "stream of its own with `new_stream`.");
    return -1;
}

/* Let other threads run meanwhile where it takes long. */
#define WHILE_BUSY(stream, steps, statement) \
    do {                                     \
        if ((steps) >= LONG_CHUNK) {         \
            (stream)->busy = 1;              \
            Py_BEGIN_ALLOW_THREADS           \
            statement;                       \
            Py_END_ALLOW_THREADS             \
            (stream)->busy = 0;              \
        } else {                             \
            statement;                       \
        }                                    \
    } while (0)

int native_report(stream_object *stream, const double *x)
{
    const native_program *program = &stream->program->program;
    PyObject *done;
    int32_t i = 0;
    if (native_need_counts(stream) < 0) {
        return -1;
    }
    while (i < program->inputs - 1 && !native_is_clipped(program, i, x[i])) {
        ++i;
    }
    stream->busy = 1; /* whoever hears of it must not step meanwhile */
    done = PyObject_CallFunction(stream->program->report, "id", (int)i, x[i]);
    stream->busy = 0;
    if (done == NULL) {
        return -1;
    }
    Py_DECREF(done);
    stream->told = 1;
    return 0;
}

/* What a chunk changes while it runs, out of the stream or back into it. */
static void copy_backup(const stream_object *stream, native_scratch *scratch, int back)
{
    const native_program *program = &stream->program->program;
    const native_memory *memory = &stream->memory;
    const size_t states = program->state_count;
    int16_t *last = scratch->backup + states;
    if (back) {
        memcpy(memory->state, scratch->backup, states * sizeof(int16_t));
        memcpy(memory->last, last, (size_t)program->outputs * sizeof(int16_t));
    } else {
        memcpy(scratch->backup, memory->state, states * sizeof(int16_t));
        memcpy(last, memory->last, (size_t)program->outputs * sizeof(int16_t));
    }
}

int native_advance_real(stream_object *stream, native_scratch *scratch, const double *x,
                        Py_ssize_t steps, double *y)
{
    const native_program *program = &stream->program->program;
    const int copied = !stream->told && steps > 1;
    Py_ssize_t done = 0;
    if (copied) {
        copy_backup(stream, scratch, 0);
    }
    while (done < steps) {
        const Py_ssize_t left = steps - done;
        const double *from = x + done * program->inputs;
        double *to = y + done * program->outputs;
        const int stop = !stream->told;
        size_t taken = 0;
        WHILE_BUSY(stream, left,
                   taken = program->isa->run_real(program, &stream->memory, scratch, from,
                                                  (size_t)left, to, stop));
        done += (Py_ssize_t)taken;
        if (done < steps && native_report(stream, x + done * program->inputs) < 0) {
            if (copied) {
                copy_backup(stream, scratch, 1);
            }
            return -1;
        }
    }
    if (steps > 0) {
        stream->advanced = 1;
        stream->sequence += steps;
    }
    return 0;
}

void native_advance_codes(stream_object *stream, native_scratch *scratch, const void *x,
                          Py_ssize_t steps, int16_t *y)
{
    const native_program *program = &stream->program->program;
    WHILE_BUSY(stream, steps,
               program->isa->run_codes(program, &stream->memory, scratch, x, (size_t)steps, y));
    if (steps > 0) {
        stream->advanced = 1;
        stream->sequence += steps;
    }
}

/* Outputs of finite numbers; None where they are not. */
static PyObject *real_outputs(stream_object *stream, native_scratch *scratch,
                              const native_reals *reals, int many)
{
    const native_program *program = &stream->program->program;
    PyObject *array;
    Py_buffer out;
    if (!native_all_finite(reals->x, (size_t)(reals->steps * program->inputs))) {
        return native_none();
    }
    array = native_output(stream, stream->module->float64, many ? reals->steps : -1,
                          program->outputs, &out);
    if (array != NULL) {
        if (native_advance_real(stream, scratch, reals->x, reals->steps, out.buf) < 0) {
            Py_CLEAR(array);
        }
        PyBuffer_Release(&out);
    }
    return array;
}

static PyObject *real_call(stream_object *stream, PyObject *x, int many)
{
    native_scratch *scratch;
    native_reals reals;
    PyObject *array;
    if (native_check_idle(stream) < 0) {
        return NULL;
    }
    if (stream->closed || stream->program->program.reads_tokens) { /* what is no token is an error */
        return native_none();
    }
    scratch = native_take_scratch(stream->program);
    if (scratch == NULL) {
        return NULL;
    }
    if (native_read(stream, scratch, x, many, &reals)) {
        array = real_outputs(stream, scratch, &reals, many);
        native_release(&reals);
    } else {
        array = native_none();
    }
    native_return_scratch(stream->program, scratch);
    return array;
}

PyObject *native_stream_step(PyObject *self, PyObject *x)
{
    return real_call((stream_object *)self, x, 0);
}

PyObject *native_stream_run(PyObject *self, PyObject *xs)
{
    return real_call((stream_object *)self, xs, 1);
}

static PyObject *codes_call(stream_object *stream, PyObject *codes, int many)
{
    const native_program *program = &stream->program->program;
    PyObject *dtype = stream->program->code_dtype;
    native_scratch *scratch;
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
    scratch = native_take_scratch(stream->program);
    if (scratch != NULL) {
        array = native_output(stream, stream->module->int16, many ? steps : -1, program->outputs,
                              &out);
        if (array != NULL) {
            native_advance_codes(stream, scratch, in.buf, steps, out.buf);
            PyBuffer_Release(&out);
        }
        native_return_scratch(stream->program, scratch);
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

PyObject *native_stream_advance(PyObject *self, PyObject *codes)
{
    stream_object *stream = (stream_object *)self;
    PyObject *array = codes_call(stream, codes, 1);
    if (array == Py_None) { /* another order in memory */
        PyObject *copy = PyObject_CallFunctionObjArgs(stream->module->as_contiguous, codes,
                                                      stream->program->code_dtype, NULL);
        Py_DECREF(array);
        array = copy == NULL ? NULL : codes_call(stream, copy, 1);
        Py_XDECREF(copy);
    }
    if (array == Py_None) {
        Py_DECREF(array);
        PyErr_SetString(PyExc_ValueError, "advance: expected input codes [T, I] of an open stream");
        return NULL;
    }
    return array;
}

/* Codes of readings; counts what is clipped, after it was reported. */
static int encode_rows(stream_object *stream, const double *x, Py_ssize_t rows, char *codes)
{
    const native_program *program = &stream->program->program;
    const size_t bytes = (size_t)program->inputs * native_code_bytes(program);
    Py_ssize_t t;
    for (t = 0; t < rows; ++t) {
        const double *reading = x + t * program->inputs;
        if (program->isa->code(program, reading, codes + (size_t)t * bytes)) {
            if (!stream->told && native_report(stream, reading) < 0) {
                return -1;
            }
            native_count_clipped(program, reading, stream->memory.clipped);
        }
    }
    return 0;
}

PyObject *native_stream_encode(PyObject *self, PyObject *xs)
{
    stream_object *stream = (stream_object *)self;
    const int32_t inputs = stream->program->program.inputs;
    native_reals reals;
    PyObject *array;
    Py_buffer out;
    if (native_check_idle(stream) < 0) {
        return NULL;
    }
    if (stream->program->program.reads_tokens) {
        PyErr_SetString(PyExc_ValueError, "encode: expected a model without tokens, got one that "
                                          "reads them");
        return NULL;
    }
    if (!native_read(stream, NULL, xs, 1, &reals)) {
        PyErr_SetString(PyExc_ValueError, "encode: expected real numbers [T, I]");
        return NULL;
    }
    array = native_output(stream, stream->program->code_dtype, reals.steps, inputs, &out);
    if (array != NULL) {
        if (encode_rows(stream, reals.x, reals.steps, out.buf) < 0) {
            Py_CLEAR(array);
        }
        PyBuffer_Release(&out);
    }
    native_release(&reals);
    return array;
}
