#include "builder.h"

#include <string.h>

#define MAX_TERMS 2

int native_place(native_builder *builder, const void *from, size_t bytes, const void **place)
{
    void *to;
    if (native_take(&builder->arena, bytes, &to) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    if (to != NULL && from != NULL) {
        memcpy(to, from, bytes);
    }
    *place = to;
    return 0;
}

static int view_of(PyObject *from, size_t bytes, const char *what, Py_buffer *view)
{
    if (PyObject_GetBuffer(from, view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    if ((size_t)view->len != bytes) {
        PyErr_Format(PyExc_ValueError, "%s: expected %zu bytes, got %zd", what, bytes, view->len);
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

int native_copy_in(native_builder *builder, PyObject *from, size_t bytes, const char *what,
                   const void **place)
{
    Py_buffer view;
    int result;
    if (view_of(from, bytes, what, &view) < 0) {
        return -1;
    }
    result = native_place(builder, view.buf, bytes, place);
    PyBuffer_Release(&view);
    return result;
}

/* The shifts of a w8a16 term, each within what half_up takes. */
static int copy_shifts(native_builder *builder, PyObject *from, size_t rows, const uint8_t **place)
{
    Py_buffer view;
    const void *copy = NULL;
    int result = 0;
    size_t i;
    if (view_of(from, rows, "shift", &view) < 0) {
        return -1;
    }
    for (i = 0; i < rows && result == 0; ++i) {
        const int shift = ((const uint8_t *)view.buf)[i];
        if (shift < 1 || shift > 30) {
            PyErr_Format(PyExc_ValueError, "shift: expected 1..30, got %d", shift);
            result = -1;
        }
    }
    if (result == 0) {
        result = native_place(builder, view.buf, rows, &copy);
    }
    PyBuffer_Release(&view);
    *place = copy;
    return result;
}

static int build_term8(native_builder *builder, PyObject *from, int32_t rows, int32_t operands,
                       edgernn_term8 *term)
{
    const size_t padded = (size_t)EDGERNN_PADDED(rows);
    native_storage s = {0, NULL, NULL, 8, 0, NULL, NULL};
    const void *multiplier;
    PyObject *factors;
    if (!PyArg_ParseTuple(from, "iOO|Oi:term", &s.first, &s.weights, &factors, &s.index, &s.bits) ||
        native_pack(builder, &s, rows, operands) < 0 ||
        native_copy_in(builder, factors, 4 * padded, "multiplier", &multiplier) < 0) {
        return -1;
    }
    *term = (edgernn_term8){s.first, s.tiles, s.packed, multiplier, s.places, s.bits};
    return 0;
}

static int build_term16(native_builder *builder, PyObject *from, int32_t rows, int32_t operands,
                        edgernn_term16 *term)
{
    const size_t padded = (size_t)EDGERNN_PADDED(rows);
    native_storage s = {0, NULL, NULL, 8, 0, NULL, NULL};
    const void *multiplier;
    const void *bias;
    const uint8_t *shift;
    PyObject *factors;
    PyObject *biases;
    PyObject *shifts;
    if (!PyArg_ParseTuple(from, "iOOOO|Oi:term", &s.first, &s.weights, &factors, &biases, &shifts,
                          &s.index, &s.bits) ||
        native_pack(builder, &s, rows, operands) < 0 ||
        native_copy_in(builder, factors, 2 * padded, "multiplier", &multiplier) < 0 ||
        native_copy_in(builder, biases, 4 * padded, "bias", &bias) < 0 ||
        copy_shifts(builder, shifts, padded, &shift) < 0) {
        return -1;
    }
    *term = (edgernn_term16){s.first, s.tiles,    s.packed, bias,
                             shift,   multiplier, s.places, s.bits};
    return 0;
}

static int term_count(PyObject *terms)
{
    const Py_ssize_t count = PyTuple_Check(terms) ? PyTuple_Size(terms) : 0;
    Py_ssize_t i;
    if (count < 1 || count > MAX_TERMS) {
        PyErr_SetString(PyExc_ValueError, "terms: expected a tuple of 1 or 2");
        return -1;
    }
    for (i = 0; i < count; ++i) {
        if (!PyTuple_Check(PyTuple_GetItem(terms, i))) {
            PyErr_SetString(PyExc_TypeError, "term: expected a tuple");
            return -1;
        }
    }
    return (int)count;
}

int native_build_map8(native_builder *builder, PyObject *from, int32_t rows, int32_t operands,
                      edgernn_map8 *map)
{
    edgernn_term8 terms[MAX_TERMS];
    const void *place;
    PyObject *bias;
    PyObject *tuple;
    int shift;
    int i;
    if (!PyArg_ParseTuple(from, "iOO:map", &shift, &bias, &tuple)) {
        return -1;
    }
    if (shift < 1 || shift > 28) {
        PyErr_Format(PyExc_ValueError, "shift: expected 1..28, got %d", shift);
        return -1;
    }
    map->rows = rows;
    map->shift = shift;
    map->term_count = term_count(tuple);
    for (i = 0; i < map->term_count; ++i) {
        if (build_term8(builder, PyTuple_GetItem(tuple, i), rows, operands, &terms[i]) < 0) {
            return -1;
        }
    }
    if (map->term_count < 0 ||
        native_copy_in(builder, bias, 4 * (size_t)EDGERNN_PADDED(rows), "bias", &place) < 0) {
        return -1;
    }
    map->bias = place;
    if (native_place(builder, terms, (size_t)map->term_count * sizeof terms[0], &place) < 0) {
        return -1;
    }
    map->terms = place;
    return 0;
}

int native_build_map16(native_builder *builder, PyObject *from, int32_t rows, int32_t operands,
                       edgernn_map16 *map)
{
    edgernn_term16 terms[MAX_TERMS];
    const void *place;
    PyObject *tuple;
    int i;
    if (!PyArg_ParseTuple(from, "O:map", &tuple)) {
        return -1;
    }
    map->rows = rows;
    map->term_count = term_count(tuple);
    for (i = 0; i < map->term_count; ++i) {
        if (build_term16(builder, PyTuple_GetItem(tuple, i), rows, operands, &terms[i]) < 0) {
            return -1;
        }
    }
    if (map->term_count < 0 ||
        native_place(builder, terms, (size_t)map->term_count * sizeof terms[0], &place) < 0) {
        return -1;
    }
    map->terms = place;
    return 0;
}
