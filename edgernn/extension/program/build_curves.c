#include "builder.h"

/* How many tuples a tuple holds; -1 with an error set. */
static Py_ssize_t count_of(PyObject *from, const char *what, int most)
{
    Py_ssize_t count;
    Py_ssize_t i;
    if (!PyTuple_Check(from)) {
        PyErr_Format(PyExc_TypeError, "%s: expected a tuple", what);
        return -1;
    }
    count = PyTuple_Size(from);
    if (count > most) {
        return native_out_of_range(what, 0, most, (int)count);
    }
    for (i = 0; i < count; ++i) {
        if (!PyTuple_Check(PyTuple_GetItem(from, i))) {
            PyErr_Format(PyExc_TypeError, "%s: expected a tuple of tuples", what);
            return -1;
        }
    }
    return count;
}

/* With as many entries as the step says, every int16_t finds two of them. */
static int build_curve(native_builder *builder, PyObject *from, edgernn_curve *curve)
{
    PyObject *entries;
    const void *place;
    int bits;
    int low;
    int high;
    if (!PyArg_ParseTuple(from, "iiiO:curve", &bits, &low, &high, &entries)) {
        return -1;
    }
    if (native_out_of_range("bits of a step", 4, 12, bits) ||
        native_out_of_range("largest result", -32768, 32767, high) ||
        native_out_of_range("least result", -32768, high, low) ||
        native_copy_in(builder, entries, 2 * (((size_t)1 << (16 - bits)) + 1), "curve", &place) < 0) {
        return -1;
    }
    *curve = (edgernn_curve){bits, low, high, place};
    return 0;
}

int native_build_curves(native_builder *builder, PyObject *from, native_layer *layer)
{
    const Py_ssize_t count = count_of(from, "curves", NATIVE_MAX_CURVES);
    edgernn_curve curves[NATIVE_MAX_CURVES];
    const void *place;
    Py_ssize_t i;
    for (i = 0; i < count; ++i) {
        if (build_curve(builder, PyTuple_GetItem(from, i), &curves[i]) < 0) {
            return -1;
        }
    }
    if (count < 0 ||
        native_place(builder, curves, (size_t)count * sizeof curves[0], &place) < 0) {
        return -1;
    }
    layer->record.operations.curves = place;
    return (int)count;
}

/* Shares and shifts within the bounds of clause 7.23, with which nothing passes 32 bits. */
static int build_leak(native_builder *builder, PyObject *from, int *width, edgernn_leak *leak)
{
    static const char *const names[] = {"upper half of a share", "lower half of a share",
                                        "shift of an entry"};
    PyObject *given[3];
    const void *places[3];
    int field;
    int32_t i;
    if (!PyArg_ParseTuple(from, "iOOO:leak", width, &given[0], &given[1], &given[2])) {
        return -1;
    }
    if (native_out_of_range("elements of a leaky sum", 1, NATIVE_MAX_WIDTH, *width)) {
        return -1;
    }
    for (field = 0; field < 3; ++field) {
        if (native_copy_in(builder, given[field], 2 * (size_t)*width, names[field],
                           &places[field]) < 0) {
            return -1;
        }
        for (i = 0; places[field] != NULL && i < *width; ++i) {
            const int16_t value = ((const int16_t *)places[field])[i];
            if (native_out_of_range(names[field], 0, field == 2 ? 15 : 32767, value)) {
                return -1;
            }
        }
    }
    *leak = (edgernn_leak){places[0], places[1], places[2]};
    return 0;
}

int native_build_leaks(native_builder *builder, PyObject *from, native_layer *layer,
                       int32_t *widths)
{
    const Py_ssize_t count = count_of(from, "leaks", NATIVE_MAX_LEAKS);
    edgernn_leak leaks[NATIVE_MAX_LEAKS];
    const void *place;
    Py_ssize_t i;
    for (i = 0; i < count; ++i) {
        int width;
        if (build_leak(builder, PyTuple_GetItem(from, i), &width, &leaks[i]) < 0) {
            return -1;
        }
        widths[i] = width;
    }
    if (count < 0 || native_place(builder, leaks, (size_t)count * sizeof leaks[0], &place) < 0) {
        return -1;
    }
    layer->record.operations.leaks = place;
    return (int)count;
}
