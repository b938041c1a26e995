/* edgernn._native.Rows: its life, and what goes into its memory and out of it. */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

uint64_t *native_row_clipped(const rows_object *rows, const native_row *row)
{
    const uint32_t extra = row->extra & ROW_EXTRA;
    return extra == 0 ? NULL
                      : (uint64_t *)(rows->extras.base + (size_t)(extra - 1) * rows->extras.stride);
}

unsigned char *native_row_known(const rows_object *rows, const native_row *row)
{
    uint64_t *clipped = native_row_clipped(rows, row);
    return clipped == NULL ? NULL
                           : (unsigned char *)(clipped + rows->program->program.inputs);
}

int native_need_extra(rows_object *rows, native_row *row)
{
    native_extras *extras = &rows->extras;
    uint32_t extra = extras->free;
    if (row->extra & ROW_EXTRA) {
        return 0;
    }
    if (extra > 0) {
        memcpy(&extras->free, extras->base + (size_t)(extra - 1) * extras->stride, sizeof extra);
    } else {
        if (extras->used == extras->room) {
            const uint32_t room = extras->room < 8 ? 8 : extras->room + extras->room / 2;
            char *base = room > ROW_EXTRA || room > PTRDIFF_MAX / extras->stride
                             ? NULL
                             : realloc(extras->base, (size_t)room * extras->stride);
            if (base == NULL) {
                return -1;
            }
            extras->base = base;
            extras->room = room;
        }
        extra = ++extras->used;
    }
    row->extra |= extra;
    memset(native_row_clipped(rows, row), 0, extras->stride);
    return 0;
}

static void free_extra(rows_object *rows, native_row *row)
{
    const uint32_t extra = row->extra & ROW_EXTRA;
    if (extra > 0) {
        memcpy(native_row_clipped(rows, row), &rows->extras.free, sizeof extra);
        rows->extras.free = extra;
        row->extra &= ~ROW_EXTRA;
    }
}

/* The beginning of a stream. */
static void begin_row(rows_object *rows, native_row *row)
{
    const native_program *program = &rows->program->program;
    memset(row, 0, rows->stride);
    if (program->start != NULL) {
        memcpy(row_state(row), program->start, program->state_count * sizeof(int16_t));
    }
}

int native_check_rows(const rows_object *rows)
{
    if (!rows->busy) {
        return 0;
    }
    native_set_error("EdgeRnnError", "rows: expected one thread at a time, got a second one. Give "
                                     "each thread rows of its own.");
    return -1;
}

int native_view_items(PyObject *x, const char *letters, Py_ssize_t item, Py_ssize_t count,
                      Py_ssize_t width, int flags, const char *what, Py_buffer *view)
{
    if (PyObject_GetBuffer(x, view, PyBUF_ND | PyBUF_FORMAT | flags) < 0) {
        return 0;
    }
    if (view->itemsize == item && view->format != NULL && view->format[0] != 0 &&
        strchr(letters, view->format[0]) != NULL && view->format[1] == 0 &&
        view->ndim == (width > 0 ? 2 : 1) && (count < 0 || view->shape[0] == count) &&
        (width == 0 || view->shape[1] == width) && (uintptr_t)view->buf % (uintptr_t)item == 0) {
        return 1;
    }
    PyErr_Format(PyExc_ValueError, "%s: expected a contiguous array of %zd items of %zd bytes each",
                 what, width > 0 ? width : 1, item);
    PyBuffer_Release(view);
    return 0;
}

/* -1 where these are not the parts of rows. */
static int set_up(rows_object *rows, PyObject *arguments)
{
    const native_program *program = &rows->program->program;
    const size_t inputs = (size_t)program->inputs;
    const size_t codes = inputs * native_code_bytes(program);
    PyObject *head;
    PyObject *policies;
    PyObject *values;
    if (!PyArg_ParseTuple(arguments, "O!O!O!:rows", &PyBytes_Type, &head, &PyBytes_Type, &policies,
                          &PyBytes_Type, &values)) {
        return -1;
    }
    if ((size_t)PyBytes_Size(policies) != inputs || (size_t)PyBytes_Size(values) != codes ||
        program->reads_tokens) {
        PyErr_Format(PyExc_ValueError, "rows: expected policies and codes of %zu channels that are "
                                       "no tokens", inputs);
        return -1;
    }
    rows->head = Py_NewRef(head);
    rows->last_at = sizeof(native_row) + program->state_count * sizeof(int16_t);
    rows->held_at = rows->last_at + (size_t)program->outputs * sizeof(int16_t);
    rows->stride = (rows->held_at + codes + 7) / 8 * 8;
    rows->extras.stride = (inputs * (sizeof(uint64_t) + 1) + 7) / 8 * 8;
    rows->clipped = PyMem_Calloc(inputs, sizeof *rows->clipped);
    rows->policies = PyMem_Malloc(inputs);
    rows->values = PyMem_Malloc(codes);
    if (rows->clipped == NULL || rows->policies == NULL || rows->values == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(rows->policies, PyBytes_AsString(policies), inputs);
    memcpy(rows->values, PyBytes_AsString(values), codes);
    return 0;
}

PyObject *native_new_rows(program_object *program, native_module *module, PyObject *arguments)
{
    rows_object *rows =
        (rows_object *)PyType_GenericAlloc((PyTypeObject *)module->rows_type, 0);
    if (rows == NULL) {
        return NULL;
    }
    Py_INCREF((PyObject *)program);
    rows->program = program;
    rows->module = module;
    if (set_up(rows, arguments) < 0) {
        Py_DECREF((PyObject *)rows);
        return NULL;
    }
    return (PyObject *)rows;
}

static void rows_dealloc(PyObject *self)
{
    rows_object *rows = (rows_object *)self;
    free(rows->base);
    free(rows->extras.base);
    PyMem_Free(rows->clipped);
    PyMem_Free(rows->policies);
    PyMem_Free(rows->values);
    PyMem_Free(rows->codes);
    PyMem_Free(rows->kinds);
    Py_XDECREF(rows->head);
    Py_XDECREF((PyObject *)rows->program);
    native_free(self);
}

static PyObject *rows_resize(PyObject *self, PyObject *count)
{
    rows_object *rows = (rows_object *)self;
    const Py_ssize_t wanted = PyLong_AsSsize_t(count);
    char *base;
    if ((wanted == -1 && PyErr_Occurred()) || native_check_rows(rows) < 0) {
        return NULL;
    }
    if (wanted <= rows->count) {
        return native_none();
    }
    base = wanted > INT32_MAX || (size_t)wanted > PTRDIFF_MAX / rows->stride
               ? NULL
               : realloc(rows->base, (size_t)wanted * rows->stride);
    if (base == NULL) {
        return PyErr_NoMemory();
    }
    rows->base = base;
    for (; rows->count < wanted; ++rows->count) {
        begin_row(rows, row_at(rows, rows->count));
    }
    return native_none();
}

/* A view of numbers of rows that there are; 0 with an error set. */
static int view_rows(const rows_object *rows, PyObject *which, Py_buffer *view)
{
    Py_ssize_t b;
    if (native_check_rows(rows) < 0 || !native_view_items(which, "il", 4, -1, 0, 0, "rows", view)) {
        return 0;
    }
    for (b = 0; b < view->shape[0]; ++b) {
        const int32_t row = ((const int32_t *)view->buf)[b];
        if (row < 0 || row >= rows->count) {
            PyErr_Format(PyExc_IndexError, "rows: expected 0..%zd, got %d", rows->count - 1,
                         (int)row);
            PyBuffer_Release(view);
            return 0;
        }
    }
    return 1;
}

static PyObject *rows_reset(PyObject *self, PyObject *which)
{
    rows_object *rows = (rows_object *)self;
    Py_buffer view;
    Py_ssize_t b;
    if (!view_rows(rows, which, &view)) {
        return NULL;
    }
    for (b = 0; b < view.shape[0]; ++b) {
        native_row *row = row_at(rows, ((const int32_t *)view.buf)[b]);
        free_extra(rows, row);
        begin_row(rows, row);
    }
    PyBuffer_Release(&view);
    return native_none();
}

static PyObject *row_bytes(const rows_object *rows, native_row *row)
{
    const size_t inputs = (size_t)rows->program->program.inputs;
    const unsigned char *known = native_row_known(rows, row);
    native_carried carried = {0};
    native_head head;
    head.bytes = PyBytes_AsString(rows->head);
    head.count = (size_t)PyBytes_Size(rows->head);
    carried.sequence = row->sequence;
    carried.bad = row->bad;
    carried.clipped = native_row_clipped(rows, row);
    carried.state = row_state(row);
    if (row->extra & ROW_ADVANCED) {
        carried.held = row_held(rows, row);
        carried.last = row_last(rows, row);
    } else if (known != NULL && !native_all_zero(known, inputs)) {
        carried.held = row_held(rows, row);
        carried.known = known;
    }
    return native_write_carried(&rows->program->program, &head, &carried);
}

static PyObject *rows_export(PyObject *self, PyObject *which)
{
    rows_object *rows = (rows_object *)self;
    PyObject *all;
    Py_buffer view;
    Py_ssize_t b;
    if (!view_rows(rows, which, &view)) {
        return NULL;
    }
    rows->busy = 1; /* to make objects may set off the garbage collector */
    all = PyList_New(view.shape[0]);
    for (b = 0; all != NULL && b < view.shape[0]; ++b) {
        PyObject *bytes = row_bytes(rows, row_at(rows, ((const int32_t *)view.buf)[b]));
        if (bytes == NULL || PyList_SetItem(all, b, bytes) < 0) {
            Py_CLEAR(all);
        }
    }
    rows->busy = 0;
    PyBuffer_Release(&view);
    return all;
}

/* Continue a stream in a row; -1 where there is no memory. */
static int load_row(rows_object *rows, native_row *row, const native_carried *carried)
{
    const native_program *program = &rows->program->program;
    const size_t inputs = (size_t)program->inputs;
    free_extra(rows, row);
    begin_row(rows, row);
    if ((carried->clipped != NULL || carried->known != NULL) && native_need_extra(rows, row) < 0) {
        return -1;
    }
    row->sequence = carried->sequence;
    row->bad = carried->bad < UINT32_MAX ? (uint32_t)carried->bad : UINT32_MAX;
    if (carried->clipped != NULL) {
        memcpy(native_row_clipped(rows, row), carried->clipped, inputs * sizeof(uint64_t));
    }
    memcpy(row_state(row), carried->state, program->state_count * sizeof(int16_t));
    if (carried->held != NULL) {
        memcpy(row_held(rows, row), carried->held, inputs * native_code_bytes(program));
    }
    if (carried->known != NULL) {
        memcpy(native_row_known(rows, row), carried->known, inputs);
    }
    if (carried->last != NULL) {
        memcpy(row_last(rows, row), carried->last, (size_t)program->outputs * sizeof(int16_t));
        row->extra |= ROW_ADVANCED;
    }
    return 0;
}

/* How many of these bytes, from the first on, are streams of the model. */
static Py_ssize_t read_all(const rows_object *rows, PyObject *blobs, Py_ssize_t count,
                           native_carried *carried)
{
    const native_program *program = &rows->program->program;
    native_head head;
    Py_ssize_t b;
    head.bytes = PyBytes_AsString(rows->head);
    head.count = (size_t)PyBytes_Size(rows->head);
    for (b = 0; b < count; ++b) {
        PyObject *blob = PyTuple_GetItem(blobs, b);
        if (!PyBytes_Check(blob) ||
            !native_read_carried(program, &head, PyBytes_AsString(blob), (size_t)PyBytes_Size(blob),
                                 carried + b) ||
            !native_are_codes(program, carried[b].held)) {
            break;
        }
    }
    return b;
}

static PyObject *rows_load(PyObject *self, PyObject *arguments)
{
    rows_object *rows = (rows_object *)self;
    native_carried *carried;
    PyObject *which;
    PyObject *blobs;
    Py_ssize_t count;
    Py_ssize_t good = -1;
    Py_buffer view;
    if (!PyArg_ParseTuple(arguments, "OO!:load", &which, &PyTuple_Type, &blobs) ||
        !view_rows(rows, which, &view)) {
        return NULL;
    }
    count = view.shape[0];
    carried = PyMem_Calloc((size_t)count + 1, sizeof *carried);
    if (carried == NULL) {
        PyErr_NoMemory();
    } else if (PyTuple_Size(blobs) != count) {
        PyErr_Format(PyExc_ValueError, "load: expected bytes for %zd rows", count);
    } else {
        good = read_all(rows, blobs, count, carried);
    }
    if (good == count) {
        Py_ssize_t b;
        for (b = 0; b < count && good >= 0; ++b) {
            if (load_row(rows, row_at(rows, ((const int32_t *)view.buf)[b]), carried + b) < 0) {
                PyErr_NoMemory();
                good = -1;
            }
        }
    }
    PyMem_Free(carried);
    PyBuffer_Release(&view);
    return good < 0 ? NULL : PyLong_FromSsize_t(good);
}

static PyObject *get_count(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSsize_t(((rows_object *)self)->count);
}

static PyObject *get_row_bytes(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(((rows_object *)self)->stride);
}

static PyObject *get_clipped(PyObject *self, void *unused)
{
    const rows_object *rows = (rows_object *)self;
    const Py_ssize_t inputs = rows->program->program.inputs;
    PyObject *counts = PyTuple_New(inputs);
    Py_ssize_t i;
    (void)unused;
    for (i = 0; counts != NULL && i < inputs; ++i) {
        PyObject *count = PyLong_FromUnsignedLongLong(rows->clipped[i]);
        if (count == NULL || PyTuple_SetItem(counts, i, count) < 0) {
            Py_CLEAR(counts);
        }
    }
    return counts;
}

static PyGetSetDef attributes[] = {
    {"count", get_count, NULL, "Rows there are.", NULL},
    {"row_bytes", get_row_bytes, NULL, "Memory of one row.", NULL},
    {"clipped", get_clipped, NULL, "How many readings were clipped, per channel.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"resize", rows_resize, METH_O, "Have at least so many rows; new ones begin a stream."},
    {"reset", rows_reset, METH_O, "Begin new streams in rows int32 [B]."},
    {"step", native_rows_step, METH_VARARGS,
     "step(rows int32 [B], xs [B, I], ys [B, O], bad bool [B], sequence int64 [B] or None)"},
    {"export", rows_export, METH_O, "The streams in rows int32 [B], each as bytes."},
    {"load", rows_load, METH_VARARGS,
     "load(rows int32 [B], tuple of bytes): how many it takes; it continues all streams or none."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Many streams, made by Program.rows(); see `edgernn.backends.rows.Rows`."},
    {Py_tp_dealloc, rows_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {0, NULL},
};

PyType_Spec native_rows_spec = {
    .name = "edgernn._native.Rows",
    .basicsize = sizeof(rows_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};
