/* edgernn._native.Rows: many streams of one model, a row of memory for each. */
#ifndef EDGERNN_EXTENSION_ROWS_H
#define EDGERNN_EXTENSION_ROWS_H

#include "extension.h"

/* What a row begins with. Behind it lie the states, the last output and the codes of the last
 * reading, as in native_memory. */
typedef struct {
    int64_t sequence;
    uint32_t bad;   /* readings of which a value was missing; stays at the largest number */
    uint32_t extra; /* which extra is the row's, from 1 on; 0 where it has none; and two flags */
} native_row;

#define ROW_ADVANCED (1u << 31) /* has a last reading and a last output */
#define ROW_QUEUED (1u << 30)   /* is to be advanced by a job that waits */
#define ROW_EXTRA (ROW_QUEUED - 1)

/* What few rows need: counts of clipped readings, uint64_t [inputs], and, before the first step,
 * which channels had a value, uint8_t [inputs]. The first bytes of a free one name the next. */
typedef struct {
    char *base;
    size_t stride;
    uint32_t used; /* handed out so far, those that are free again among them */
    uint32_t room;
    uint32_t free; /* first one that is free again, from 1 on; 0: none */
} native_extras;

/* In the order of `edgernn.backends.streams.native_rows`. */
enum { POLICY_RAISE, POLICY_HOLD, POLICY_SKIP, POLICY_NUMBER };

#define NATIVE_MAX_JOBS 64

/* A stream to be advanced by the codes of one reading. */
typedef struct {
    native_memory memory;
    const void *x;
} native_job;

typedef struct {
    PyObject_HEAD
    program_object *program;
    native_module *module;
    PyObject *head; /* what the bytes of a stream begin with */
    char *base;
    Py_ssize_t count;
    size_t stride;
    size_t last_at;
    size_t held_at;
    native_extras extras;
    uint64_t *clipped;      /* [inputs], of all rows */
    unsigned char *policies; /* [inputs] */
    char *values;           /* codes [inputs] that take the place of missing ones */
    char *codes;            /* of the readings of a batch */
    unsigned char *kinds;   /* what becomes of each of them */
    Py_ssize_t room;        /* readings that the two have room for */
    char told;
    char busy;
} rows_object;

static inline native_row *row_at(const rows_object *rows, Py_ssize_t index)
{
    return (native_row *)(rows->base + (size_t)index * rows->stride);
}

static inline int16_t *row_state(native_row *row)
{
    return (int16_t *)(row + 1);
}

static inline int16_t *row_last(const rows_object *rows, native_row *row)
{
    return (int16_t *)((char *)row + rows->last_at);
}

static inline char *row_held(const rows_object *rows, native_row *row)
{
    return (char *)row + rows->held_at;
}

/* Counts and known channels of a row; NULL where it has no extra. */
uint64_t *native_row_clipped(const rows_object *rows, const native_row *row);
unsigned char *native_row_known(const rows_object *rows, const native_row *row);

/* An extra of zeros for a row that has none; -1 where there is no memory. Needs no interpreter. */
int native_need_extra(rows_object *rows, native_row *row);

/* Rows without streams, of (head, policies, values). */
PyObject *native_new_rows(program_object *program, native_module *module, PyObject *arguments);

/* -1 with an error set where another thread runs these rows. */
int native_check_rows(const rows_object *rows);

/* 1 and a view of a C-contiguous array of such items [count, width], or [count] with width 0; count
 * -1 is any. 0 with an error set where it is something else. */
int native_view_items(PyObject *x, const char *letters, Py_ssize_t item, Py_ssize_t count,
                      Py_ssize_t width, int flags, const char *what, Py_buffer *view);

PyObject *native_rows_step(PyObject *self, PyObject *arguments);

/* Advance each stream by its reading: afterwards `held` has the codes, `last` the output. The streams
 * are distinct, and at most NATIVE_MAX_JOBS. */
void native_advance_many(const native_program *program, native_scratch *scratch, native_job *jobs,
                         size_t count);

#endif
