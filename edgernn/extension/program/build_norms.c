#include "builder.h"

#define MAX_WIDTH 256
#define MAX_EPSILON (1 << 29)

int native_out_of_range(const char *what, int low, int high, int got)
{
    if (got < low || got > high) {
        PyErr_Format(PyExc_ValueError, "%s: expected %d..%d, got %d", what, low, high, got);
        return -1;
    }
    return 0;
}

/* The bounds of clause 7.11: with them nothing passes 32 bits or leaves a table. */
static int build_norm(native_builder *builder, PyObject *from, int *width, edgernn_norm *norm)
{
    PyObject *table;
    const void *place;
    int least;
    int most;
    int square;
    int gain;
    int shift;
    int32_t i;
    if (!PyArg_ParseTuple(from, "iiiiiiO:normalization", width, &least, &most, &square, &gain,
                          &shift, &table)) {
        return -1;
    }
    if (native_out_of_range("elements that are normalised", 1, MAX_WIDTH, *width) ||
        native_out_of_range("most bits", 16, 24, most) ||
        native_out_of_range("elements for these bits", 1, 1 << (most - 16), *width) ||
        native_out_of_range("least bits", 0, most, least) ||
        native_out_of_range("square bits", 10, 14, square) ||
        native_out_of_range("elements for these square bits", 1, 1 << (29 - 2 * square), *width) ||
        native_out_of_range("gain", 1, 32767, gain) || native_out_of_range("normalization shift", 1, 15, shift) ||
        native_copy_in(builder, table, sizeof(int32_t) * (size_t)(most - least + 1), "epsilon",
                       &place) < 0) {
        return -1;
    }
    for (i = 0; place != NULL && i <= most - least; ++i) {
        if (native_out_of_range("epsilon", 1, MAX_EPSILON, ((const int32_t *)place)[i])) {
            return -1;
        }
    }
    *norm = (edgernn_norm){least, most, square, gain, shift, place};
    return 0;
}

int native_build_norms(native_builder *builder, PyObject *from, native_layer *layer,
                       int32_t *widths)
{
    edgernn_norm norms[NATIVE_MAX_NORMS];
    const void *place;
    Py_ssize_t count;
    Py_ssize_t i;
    if (!PyTuple_Check(from)) {
        PyErr_SetString(PyExc_TypeError, "normalizations: expected a tuple");
        return -1;
    }
    count = PyTuple_Size(from);
    if (count > NATIVE_MAX_NORMS) {
        return native_out_of_range("normalizations", 0, NATIVE_MAX_NORMS, (int)count);
    }
    for (i = 0; i < count; ++i) {
        PyObject *one = PyTuple_GetItem(from, i);
        int width;
        if (!PyTuple_Check(one)) {
            PyErr_SetString(PyExc_TypeError, "normalizations: expected a tuple of tuples");
            return -1;
        }
        if (build_norm(builder, one, &width, &norms[i]) < 0) {
            return -1;
        }
        widths[i] = width;
    }
    if (native_place(builder, norms, (size_t)count * sizeof norms[0], &place) < 0) {
        return -1;
    }
    layer->record.operations.norms = place;
    return (int)count;
}
