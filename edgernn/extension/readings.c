/* Numbers of every real type from arrays, buffers and sequences, as doubles. */
#include "extension.h"

#include <math.h>
#include <string.h>

/* The value of a half, exactly. */
static double half_value(uint16_t bits)
{
    const int exponent = bits >> 10 & 0x1F;
    const int fraction = bits & 0x3FF;
    double value;
    if (exponent == 0x1F) {
        value = fraction ? (double)NAN : (double)INFINITY;
    } else if (exponent == 0) {
        value = ldexp(fraction, -24);
    } else {
        value = ldexp(fraction + 0x400, exponent - 25);
    }
    return bits & 0x8000 ? -value : value;
}

#define SAME(value) (value)

/* Rows of numbers of one type; without alignment, and any distance apart. */
#define DEFINE_COPY(name, type, as_double)                                                     \
    static void copy_##name(const char *from, Py_ssize_t rows, Py_ssize_t width,               \
                            const Py_ssize_t *strides, double *to)                             \
    {                                                                                          \
        Py_ssize_t t;                                                                          \
        Py_ssize_t i;                                                                          \
        for (t = 0; t < rows; ++t) {                                                           \
            const char *row = from + t * strides[0];                                           \
            for (i = 0; i < width; ++i) {                                                      \
                type value;                                                                    \
                memcpy(&value, row + i * strides[1], sizeof value);                            \
                *to++ = (double)as_double(value);                                              \
            }                                                                                  \
        }                                                                                      \
    }

DEFINE_COPY(float64, double, SAME)
DEFINE_COPY(float32, float, SAME)
DEFINE_COPY(float16, uint16_t, half_value)
DEFINE_COPY(int8, int8_t, SAME)
DEFINE_COPY(int16, int16_t, SAME)
DEFINE_COPY(int32, int32_t, SAME)
DEFINE_COPY(int64, int64_t, SAME)
DEFINE_COPY(uint8, uint8_t, SAME)
DEFINE_COPY(uint16, uint16_t, SAME)
DEFINE_COPY(uint32, uint32_t, SAME)
DEFINE_COPY(uint64, uint64_t, SAME)

typedef void (*copy_function)(const char *from, Py_ssize_t rows, Py_ssize_t width,
                              const Py_ssize_t *strides, double *to);

/* What copies numbers of the format of a buffer; NULL where these are no real numbers or of another
 * byte order. The letter says what kind of number, the size of an item how many bytes it has. */
static copy_function copy_of(const Py_buffer *view)
{
    static const struct {
        const char *letters;
        Py_ssize_t bytes;
        copy_function copy;
    } known[] = {
        {"fd", 8, copy_float64},    {"fd", 4, copy_float32},    {"e", 2, copy_float16},
        {"bhilqn", 1, copy_int8},   {"bhilqn", 2, copy_int16},  {"bhilqn", 4, copy_int32},
        {"bhilqn", 8, copy_int64},  {"BHILQN?", 1, copy_uint8}, {"BHILQN", 2, copy_uint16},
        {"BHILQN", 4, copy_uint32}, {"BHILQN", 8, copy_uint64},
    };
    const char *format = view->format == NULL ? "B" : view->format;
    const uint16_t one = 1;
    size_t i;
    if (*format == '@' || *format == '=' || (*format == '<' && *(const char *)&one == 1)) {
        ++format;
    }
    if (format[0] == 0 || format[1] != 0) {
        return NULL;
    }
    for (i = 0; i < sizeof known / sizeof known[0]; ++i) {
        if (view->itemsize == known[i].bytes && strchr(known[i].letters, format[0]) != NULL) {
            return known[i].copy;
        }
    }
    return NULL;
}

/* Whether x may be read through its buffer. An array that is no plain one has an idea of its own of
 * its values, a masked one of those that are missing; bytes are a text. */
static int is_plain_buffer(native_module *module, PyObject *x)
{
    PyTypeObject *type = Py_TYPE(x);
    return (PyObject *)type == module->ndarray ||
           (PyObject_CheckBuffer(x) && !PyBytes_Check(x) &&
            !PyType_IsSubtype(type, (PyTypeObject *)module->ndarray));
}

/* 1 and a view of x, if it has that many dimensions and numbers that can be copied. */
static int view_numbers(native_module *module, PyObject *x, Py_buffer *view, copy_function *copy)
{
    if (!is_plain_buffer(module, x)) {
        return 0;
    }
    if (PyObject_GetBuffer(x, view, PyBUF_STRIDED_RO | PyBUF_FORMAT) < 0) {
        PyErr_Clear();
        return 0;
    }
    *copy = copy_of(view);
    if (*copy == NULL || (view->ndim > 0 && view->shape == NULL)) {
        PyBuffer_Release(view);
        return 0;
    }
    return 1;
}

/* Bytes from one item of a dimension to the next; who gives none has all in one piece. */
static Py_ssize_t stride_of(const Py_buffer *view, int dimension)
{
    Py_ssize_t bytes = view->itemsize;
    int i;
    if (view->strides != NULL) {
        return view->strides[dimension];
    }
    for (i = dimension + 1; i < view->ndim; ++i) {
        bytes *= view->shape[i];
    }
    return bytes;
}

/* Copy one reading from a buffer: [width], or a number where there is one channel. */
static int row_of_buffer(native_module *module, PyObject *x, Py_ssize_t width, double *to)
{
    Py_buffer view;
    copy_function copy;
    int taken;
    if (!view_numbers(module, x, &view, &copy)) {
        return 0;
    }
    taken = view.ndim == 1 ? view.shape[0] == width : view.ndim == 0 && width == 1;
    if (taken) {
        const Py_ssize_t strides[2] = {0, view.ndim == 1 ? stride_of(&view, 0) : 0};
        copy(view.buf, 1, width, strides, to);
    }
    PyBuffer_Release(&view);
    return taken;
}

static int is_numpy_number(native_module *module, PyTypeObject *type)
{
    return (PyType_IsSubtype(type, (PyTypeObject *)module->floating) ||
            PyType_IsSubtype(type, (PyTypeObject *)module->integer) ||
            PyType_IsSubtype(type, (PyTypeObject *)module->boolean)) &&
           !PyType_IsSubtype(type, (PyTypeObject *)module->timedelta);
}

/* 1 and the value of a number of Python or NumPy, 0 for everything else. */
static int number_value(native_module *module, PyObject *x, double *value)
{
    PyTypeObject *type = Py_TYPE(x);
    if (PyFloat_CheckExact(x) || (PyObject *)type == module->float64_type) {
        *value = PyFloat_AsDouble(x);
        return 1;
    }
    if (PyLong_Check(x)) {
        *value = PyLong_AsDouble(x);
    } else if (is_numpy_number(module, type)) {
        Py_INCREF(x); /* a class of the caller's may let go of it */
        *value = PyFloat_AsDouble(x);
        Py_DECREF(x);
    } else {
        return 0;
    }
    if (*value == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    return 1;
}

/* Number of items of a list or tuple, -1 for everything else. */
static Py_ssize_t sequence_size(PyObject *x)
{
    return PyList_CheckExact(x) ? PyList_Size(x) : PyTuple_CheckExact(x) ? PyTuple_Size(x) : -1;
}

/* An item, borrowed; NULL without an error where by now there is none. */
static PyObject *sequence_item(PyObject *x, Py_ssize_t index)
{
    if (index >= sequence_size(x)) {
        return NULL;
    }
    return PyList_CheckExact(x) ? PyList_GetItem(x, index) : PyTuple_GetItem(x, index);
}

/* Copy one reading from a number (one channel), a list of numbers or a buffer. */
static int row_of_any(native_module *module, PyObject *x, Py_ssize_t width, double *to)
{
    const Py_ssize_t size = sequence_size(x);
    Py_ssize_t i;
    if (size < 0) {
        return (width == 1 && number_value(module, x, to)) || row_of_buffer(module, x, width, to);
    }
    for (i = 0; i < width; ++i) {
        PyObject *item = sequence_item(x, i);
        if (size != width || item == NULL || !number_value(module, item, to + i)) {
            return 0;
        }
    }
    return 1;
}

static double *new_reals(native_reals *reals, Py_ssize_t steps, Py_ssize_t width)
{
    if ((size_t)steps > PTRDIFF_MAX / sizeof(double) / (size_t)width) {
        return NULL;
    }
    reals->owned = PyMem_Malloc((size_t)(steps * width) * sizeof(double));
    reals->x = reals->owned;
    reals->steps = steps;
    return reals->owned;
}

/* Copy a chunk from a buffer: [any, width], or [any] where there is one channel. */
static int rows_of_buffer(native_module *module, PyObject *xs, Py_ssize_t width,
                          native_reals *reals)
{
    Py_buffer view;
    copy_function copy;
    int taken;
    if (!view_numbers(module, xs, &view, &copy)) {
        return 0;
    }
    taken = view.ndim == 2 ? view.shape[1] == width : view.ndim == 1 && width == 1;
    taken = taken && new_reals(reals, view.shape[0], width) != NULL;
    if (taken) {
        const Py_ssize_t strides[2] = {stride_of(&view, 0), view.ndim == 2 ? stride_of(&view, 1) : 0};
        copy(view.buf, view.shape[0], width, strides, reals->owned);
    }
    PyBuffer_Release(&view);
    return taken;
}

/* Copy a chunk from a list of readings. */
static int rows_of_list(native_module *module, PyObject *xs, Py_ssize_t width, native_reals *reals)
{
    const Py_ssize_t steps = sequence_size(xs);
    Py_ssize_t t;
    if (new_reals(reals, steps, width) == NULL) {
        return 0;
    }
    for (t = 0; t < steps; ++t) {
        PyObject *row = sequence_item(xs, t);
        int taken = 0;
        if (row != NULL) {
            Py_INCREF(row); /* reading a number may run code that empties the list */
            taken = row_of_any(module, row, width, reals->owned + t * width);
            Py_DECREF(row);
        }
        if (!taken) {
            return 0;
        }
    }
    return 1;
}

int native_read(stream_object *stream, native_scratch *scratch, PyObject *xs, int many,
                native_reals *reals)
{
    native_module *module = stream->module;
    const Py_ssize_t width = stream->program->program.inputs;
    int taken;
    reals->owned = NULL;
    reals->viewed = native_view(module, xs, module->float64, many, width, 0, &reals->view);
    if (reals->viewed) {
        reals->x = reals->view.buf;
        reals->steps = many ? reals->view.shape[0] : 1;
        return 1;
    }
    if (!many) {
        reals->x = scratch->reading;
        reals->steps = 1;
        return row_of_any(module, xs, width, scratch->reading);
    }
    taken = sequence_size(xs) >= 0 ? rows_of_list(module, xs, width, reals)
                                   : rows_of_buffer(module, xs, width, reals);
    if (!taken) {
        native_release(reals);
    }
    return taken;
}

void native_release(native_reals *reals)
{
    if (reals->viewed) {
        PyBuffer_Release(&reals->view);
    }
    PyMem_Free(reals->owned);
}
