/* The types of the Python module `edgernn._native`. */
#ifndef EDGERNN_EXTENSION_EXTENSION_H
#define EDGERNN_EXTENSION_EXTENSION_H

/* One binary for every Python from 3.11 on. Formats of arguments have no '#': what headers of 3.13
 * make of it fails on 3.11 and 3.12. */
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "program/program.h"

/* A reference to None. Headers of Python 3.12 and later take Py_RETURN_NONE for one without a count,
 * which 3.11, that the binary must run on too, would free in the end. */
static inline PyObject *native_none(void)
{
    return Py_NewRef(Py_None);
}

/* What a module instance keeps. */
typedef struct {
    PyObject *stream_type;
    PyObject *bound_type;
    PyObject *rows_type;
    PyObject *ndarray;      /* numpy.ndarray */
    PyObject *empty;        /* numpy.empty */
    PyObject *as_contiguous; /* numpy.ascontiguousarray */
    PyObject *float64_type; /* the scalar */
    PyObject *float64;      /* the dtypes */
    PyObject *int16;
    PyObject *int8;
    PyObject *dtype_name; /* "dtype" */
    PyObject *integer;    /* numpy.integer, .floating and .bool_, the scalars that are numbers */
    PyObject *floating;
    PyObject *boolean;
    PyObject *timedelta; /* numpy.timedelta64, an integer that is none */
} native_module;

/* Weights and constants of a model; never changes. */
typedef struct {
    PyObject_HEAD
    native_program program;
    void *block;
    PyObject *code_dtype; /* of input codes; borrowed from the module, which the type keeps */
    PyObject *step_shape; /* arguments of numpy.empty for one output */
    PyObject *report;     /* called with channel and value when a stream clips for the first time */
    size_t stream_bytes;  /* of a stream's own memory */
    native_scratch *idle; /* as many as steps were ever under way at a time; under the lock */
} program_object;

/* One stream; its own memory lies behind it. */
typedef struct {
    PyObject_VAR_HEAD
    program_object *program;
    native_module *module;
    native_memory memory;
    int64_t sequence; /* of its last reading */
    char advanced; /* `held` and `last` are this stream's */
    char told;     /* has called `report` */
    char busy;     /* runs without the interpreter's lock, or reports */
    char closed;
} stream_object;

/* Readings [steps, inputs] in memory. */
typedef struct {
    const double *x;
    Py_ssize_t steps;
    Py_buffer view; /* where `x` is the caller's memory */
    int viewed;
    double *owned; /* where it was made for the occasion */
} native_reals;

extern PyType_Spec native_program_spec;
extern PyType_Spec native_stream_spec;
extern PyType_Spec native_bound_spec;
extern PyType_Spec native_key_index_spec;
extern PyType_Spec native_rows_spec;

/* What a stream carries, in memory of its own or in that of bytes, where nothing is aligned. */
typedef struct {
    int64_t sequence;
    uint64_t bad;
    const void *clipped; /* uint64_t [inputs]; NULL: none */
    const void *state;   /* int16_t [state_count] */
    const void *held;    /* input codes [inputs]; NULL: none */
    const void *known;   /* uint8_t [inputs], where `held` has a code, before the first step; or NULL */
    const void *last;    /* int16_t [outputs]; NULL: none */
} native_carried;

/* What the bytes of every stream of a model begin with. */
typedef struct {
    const char *bytes;
    size_t count;
} native_head;

/* FORMAT.md section 10: the bytes of a stream as an object; NULL with an error set. */
PyObject *native_write_carried(const native_program *program, const native_head *head,
                               const native_carried *carried);

/* 1 and places in these bytes, where they are undamaged and of that model; 0 where the caller has to
 * find out what they are. No error. */
int native_read_carried(const native_program *program, const native_head *head, const char *bytes,
                        size_t count, native_carried *carried);

/* Whether there are nothing but zeros. */
int native_all_zero(const void *bytes, size_t count);

/* Whether the codes of one reading, wherever they are, are input codes; NULL has none that are not. */
int native_are_codes(const native_program *program, const void *codes);

void native_make_crc_tables(void);

/* Methods of Stream. */
PyObject *native_stream_to_bytes(PyObject *self, PyObject *arguments);
PyObject *native_stream_from_bytes(PyObject *self, PyObject *arguments);
PyObject *native_stream_step(PyObject *self, PyObject *x);
PyObject *native_stream_run(PyObject *self, PyObject *xs);
PyObject *native_stream_step_codes(PyObject *self, PyObject *codes);
PyObject *native_stream_run_codes(PyObject *self, PyObject *codes);
PyObject *native_stream_advance(PyObject *self, PyObject *codes);
PyObject *native_stream_encode(PyObject *self, PyObject *xs);
PyObject *native_stream_bind(PyObject *self, PyObject *arguments);

/* Methods of Program. */
PyObject *native_program_run_sequences(PyObject *self, PyObject *arguments);

/* The module instance of an object of one of its types. */
native_module *native_module_of(PyObject *self);

/* Free an object of a heap type. */
void native_free(PyObject *self);

/* A stream in the zero state. */
PyObject *native_new_stream(program_object *program, native_module *module);

/* Set an error of edgernn.errors. */
void native_set_error(const char *name, const char *text);

/* 1 if x is a C-contiguous, aligned numpy.ndarray of that dtype and of shape [width], or of shape
 * [any, width] with `many`; then view is to be released. 0 if it is something else. No error. */
int native_view(native_module *module, PyObject *x, PyObject *dtype, int many, Py_ssize_t width,
                int flags, Py_buffer *view);

/* 1 and the numbers of a reading, or of a chunk with `many`, whatever real type they have, finite or
 * not; 0 if they are not plain numbers of that shape. No error. One reading may lie in
 * scratch->reading. */
int native_read(stream_object *stream, native_scratch *scratch, PyObject *xs, int many,
                native_reals *reals);
void native_release(native_reals *reals);

/* New numpy.empty([steps,] width) of that dtype, and a view of it; steps -1 is one row. NULL with an
 * error set, also where by then another thread runs this stream. */
PyObject *native_output(stream_object *stream, PyObject *dtype, Py_ssize_t steps, int32_t width,
                        Py_buffer *view);

/* A new vector of that dtype, copied from memory. */
PyObject *native_vector(native_module *module, PyObject *dtype, Py_ssize_t width, const void *from);

/* -1, with an error set, where another thread runs this stream. */
int native_check_idle(stream_object *stream);

/* Scratch for as long as a step takes; NULL with an error set where there is no memory. */
native_scratch *native_new_scratch(program_object *program);

static inline native_scratch *native_take_scratch(program_object *program)
{
    native_scratch *scratch = program->idle;
    if (scratch == NULL) {
        return native_new_scratch(program);
    }
    program->idle = scratch->next;
    return scratch;
}

static inline void native_return_scratch(program_object *program, native_scratch *scratch)
{
    scratch->next = program->idle;
    program->idle = scratch;
}

/* Room for counts of clipped readings; -1 with an error set where there is no memory. */
int native_need_counts(stream_object *stream);

/* Tell of the first clipped value of a reading. -1 where that raised an error. */
int native_report(stream_object *stream, const double *x);

/* Advance by real numbers or by codes; long chunks let other threads run. -1 with an error set, and
 * the stream as it was, where the report of a clipped reading raised one. */
int native_advance_real(stream_object *stream, native_scratch *scratch, const double *x,
                        Py_ssize_t steps, double *y);
void native_advance_codes(stream_object *stream, native_scratch *scratch, const void *x,
                          Py_ssize_t steps, int16_t *y);

#endif
