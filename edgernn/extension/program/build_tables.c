#include "builder.h"

#define MAX_TOKENS 32768 /* what int16 codes can number */

static int refuse(const char *what, int low, int high, int got)
{
    PyErr_Format(PyExc_ValueError, "%s: expected %d..%d, got %d", what, low, high, got);
    return -1;
}

/* A look-up counts entries in 32 bits. */
static int build_table(native_builder *builder, PyObject *from, edgernn_embedding *table)
{
    PyObject *entries;
    const void *place;
    int rows;
    int columns;
    if (!PyArg_ParseTuple(from, "iiO:table", &rows, &columns, &entries)) {
        return -1;
    }
    if (rows < 1 || rows > MAX_TOKENS) {
        return refuse("rows of a table", 1, MAX_TOKENS, rows);
    }
    if (columns < 1 || columns > INT32_MAX / rows || columns > NATIVE_MAX_WIDTH) {
        return refuse("columns of a table", 1, NATIVE_MAX_WIDTH, columns);
    }
    if (native_copy_in(builder, entries, (size_t)rows * (size_t)columns, "table", &place) < 0) {
        return -1;
    }
    *table = (edgernn_embedding){rows, columns, place};
    return 0;
}

int native_build_tables(native_builder *builder, PyObject *from, native_layer *layer,
                        int32_t *columns)
{
    edgernn_embedding tables[NATIVE_MAX_TABLES];
    const void *place;
    Py_ssize_t count;
    Py_ssize_t i;
    if (!PyTuple_Check(from)) {
        PyErr_SetString(PyExc_TypeError, "tables: expected a tuple");
        return -1;
    }
    count = PyTuple_Size(from);
    if (count > NATIVE_MAX_TABLES) {
        return refuse("tables", 0, NATIVE_MAX_TABLES, (int)count);
    }
    for (i = 0; i < count; ++i) {
        PyObject *one = PyTuple_GetItem(from, i);
        if (!PyTuple_Check(one)) {
            PyErr_SetString(PyExc_TypeError, "tables: expected a tuple of tuples");
            return -1;
        }
        if (build_table(builder, one, &tables[i]) < 0) {
            return -1;
        }
        columns[i] = tables[i].columns;
    }
    if (native_place(builder, tables, (size_t)count * sizeof tables[0], &place) < 0) {
        return -1;
    }
    layer->record.operations.tables = place;
    return (int)count;
}

int native_build_vocabulary(native_builder *builder, PyObject *from)
{
    native_program *program = builder->program;
    const size_t bytes = (size_t)program->inputs * sizeof(int32_t);
    const void *place;
    int32_t i;
    if (native_copy_in(builder, from, bytes, "vocabulary", &place) < 0) {
        return -1;
    }
    for (i = 0; place != NULL && i < program->inputs; ++i) {
        const int32_t tokens = ((const int32_t *)place)[i];
        if (tokens < 0 || tokens > MAX_TOKENS) {
            return refuse("tokens of a channel", 0, MAX_TOKENS, (int)tokens);
        }
    }
    program->vocabulary = place;
    return 0;
}
