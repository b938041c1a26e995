/* edgernn._native.Rows: its steps. A batch is taken in two passes. The first makes codes of the
 * readings and changes no stream, so that a report of a clipped one may still refuse the batch; the
 * second fills gaps and advances, in the order of the batch.
 */
#include "rows.h"

#include <math.h>
#include <string.h>

/* Readings from which on it pays to let other threads run. */
#define LONG_BATCH 16
/* Rows that are fetched ahead of the one at hand. */
#define AHEAD 12

/* What becomes of a reading. */
#define WHOLE 0
#define GAPS 1     /* some channels take another code */
#define SKIPPED 2  /* the last output again */
#define REFUSED 3
#define REPEATED 4
#define KIND 7
#define CLIPPED 8

/* A step of NATIVE_GROUP jobs, which share every load of the weights. */
static void advance_group(const native_program *program, const native_scratch *scratch,
                          native_job *jobs)
{
    const size_t bytes = (size_t)program->inputs * native_code_bytes(program);
    native_memory *memories[NATIVE_GROUP];
    const void *x[NATIVE_GROUP];
    int16_t *y[NATIVE_GROUP];
    int s;
    for (s = 0; s < NATIVE_GROUP; ++s) {
        memories[s] = &jobs[s].memory;
        x[s] = jobs[s].x;
        y[s] = jobs[s].memory.last;
    }
    program->isa->step_group(program, memories, scratch->group, x, y);
    for (s = 0; s < NATIVE_GROUP; ++s) {
        memcpy(jobs[s].memory.held, x[s], bytes);
    }
}

void native_advance_many(const native_program *program, native_scratch *scratch, native_job *jobs,
                         size_t count)
{
    size_t i = 0;
    if (count >= NATIVE_GROUP && native_need_group(program, scratch) == 0) {
        for (; i + NATIVE_GROUP <= count; i += NATIVE_GROUP) {
            advance_group(program, scratch, jobs + i);
        }
    }
    for (; i < count; ++i) {
        program->isa->run_codes(program, &jobs[i].memory, scratch, jobs[i].x, 1, scratch->backup);
    }
}

/* A batch, and the jobs that wait. */
typedef struct {
    rows_object *rows;
    const native_program *program;
    native_scratch *scratch;
    const int32_t *which;
    const double *x;
    double *y;
    unsigned char *bad;
    const int64_t *sequence; /* or NULL */
    Py_ssize_t count;
    size_t code_bytes; /* of a reading */
    native_job jobs[NATIVE_MAX_JOBS];
    Py_ssize_t job_of[NATIVE_MAX_JOBS]; /* the reading of each */
    size_t waiting;
} native_batch;

static const double *reading_at(const native_batch *batch, Py_ssize_t b)
{
    return batch->x + b * batch->program->inputs;
}

static char *codes_at(const native_batch *batch, Py_ssize_t b)
{
    return batch->rows->codes + (size_t)b * batch->code_bytes;
}

/* What becomes of a reading with gaps; `filled` gets a reading without. */
static int kind_of_gaps(const native_batch *batch, const double *x, double *filled)
{
    const native_program *program = batch->program;
    const unsigned char *policies = batch->rows->policies;
    int kind = GAPS;
    int32_t i;
    for (i = 0; i < program->inputs; ++i) {
        filled[i] = x[i];
        if (!isfinite(x[i])) {
            if (policies[i] == POLICY_RAISE) {
                return REFUSED;
            }
            kind = policies[i] == POLICY_SKIP ? SKIPPED : kind;
            filled[i] = program->input_offset[i];
        }
    }
    return kind;
}

/* Codes of all readings, and what becomes of them; the first one that is clipped, or -1. */
static Py_ssize_t code_batch(const native_batch *batch)
{
    const native_program *program = batch->program;
    Py_ssize_t first = -1;
    Py_ssize_t b;
    for (b = 0; b < batch->count; ++b) {
        const double *x = reading_at(batch, b);
        int kind = WHOLE;
        if (batch->sequence != NULL &&
            batch->sequence[b] <= row_at(batch->rows, batch->which[b])->sequence) {
            kind = REPEATED;
        } else if (!native_all_finite(x, (size_t)program->inputs)) {
            kind = kind_of_gaps(batch, x, batch->scratch->reading);
            x = batch->scratch->reading;
        }
        if (kind <= GAPS && program->isa->code(program, x, codes_at(batch, b))) {
            kind |= CLIPPED;
            first = first < 0 ? b : first;
        }
        batch->rows->kinds[b] = (unsigned char)kind;
    }
    return first;
}

static void write_last(const native_batch *batch, native_row *row, double *y)
{
    const native_program *program = batch->program;
    const int16_t *last = row_last(batch->rows, row);
    int32_t i;
    if (row->extra & ROW_ADVANCED) {
        for (i = 0; i < program->outputs; ++i) { /* clause 9.2 */
            y[i] = last[i] * program->output_scale[i];
        }
    } else {
        for (i = 0; i < program->outputs; ++i) {
            y[i] = (double)NAN;
        }
    }
}

static void finish_jobs(native_batch *batch)
{
    size_t i;
    native_advance_many(batch->program, batch->scratch, batch->jobs, batch->waiting);
    for (i = 0; i < batch->waiting; ++i) {
        const Py_ssize_t b = batch->job_of[i];
        native_row *row = row_at(batch->rows, batch->which[b]);
        row->extra = (row->extra & ~ROW_QUEUED) | ROW_ADVANCED;
        write_last(batch, row, batch->y + b * batch->program->outputs);
    }
    batch->waiting = 0;
}

static void put_job(native_batch *batch, native_row *row, Py_ssize_t b)
{
    native_job *job = batch->jobs + batch->waiting;
    job->memory.clipped = NULL;
    job->memory.state = row_state(row);
    job->memory.last = row_last(batch->rows, row);
    job->memory.held = row_held(batch->rows, row);
    job->memory.spare = NULL;
    job->x = codes_at(batch, b);
    batch->job_of[batch->waiting++] = b;
    row->extra |= ROW_QUEUED;
    if (batch->waiting == NATIVE_MAX_JOBS) {
        finish_jobs(batch);
    }
}

/* Put codes in the place of missing ones. 1 if one is lacking; then the codes are kept as the first
 * values of their channels. -1 where there is no memory. */
static int fill(const native_batch *batch, native_row *row, Py_ssize_t b)
{
    rows_object *rows = batch->rows;
    const int32_t inputs = batch->program->inputs;
    const size_t bytes = native_code_bytes(batch->program);
    const double *x = reading_at(batch, b);
    char *codes = codes_at(batch, b);
    char *held = row_held(rows, row);
    const int advanced = (row->extra & ROW_ADVANCED) != 0;
    unsigned char *known = advanced ? NULL : native_row_known(rows, row);
    int lacking = 0;
    int32_t i;
    for (i = 0; i < inputs; ++i) {
        const size_t at = (size_t)i * bytes;
        if (isfinite(x[i])) {
            continue;
        }
        if (rows->policies[i] == POLICY_NUMBER) {
            memcpy(codes + at, rows->values + at, bytes);
        } else if (advanced || (known != NULL && known[i])) {
            memcpy(codes + at, held + at, bytes);
        } else {
            memset(codes + at, 0, bytes);
            lacking = 1;
        }
    }
    if (!lacking) {
        return 0;
    }
    if (native_need_extra(rows, row) < 0) {
        return -1;
    }
    known = native_row_known(rows, row);
    for (i = 0; i < inputs; ++i) {
        known[i] |= isfinite(x[i]) || rows->policies[i] == POLICY_NUMBER;
    }
    memcpy(held, codes, batch->code_bytes);
    return 1;
}

static int count_clipped(const native_batch *batch, native_row *row, const double *x)
{
    const native_program *program = batch->program;
    uint64_t *counts;
    int32_t i;
    if (native_need_extra(batch->rows, row) < 0) {
        return -1;
    }
    counts = native_row_clipped(batch->rows, row);
    for (i = 0; i < program->inputs; ++i) {
        if (isfinite(x[i]) && native_is_clipped(program, i, x[i])) {
            ++counts[i];
            ++batch->rows->clipped[i];
        }
    }
    return 0;
}

/* One reading; -1 where there is no memory. */
static int take_reading(native_batch *batch, Py_ssize_t b)
{
    native_row *row = row_at(batch->rows, batch->which[b]);
    double *y = batch->y + b * batch->program->outputs;
    const int kinds = batch->rows->kinds[b];
    int kind = kinds & KIND;
    int lacking = 0;
    if (row->extra & ROW_QUEUED) { /* what it does depends on what the row does before */
        finish_jobs(batch);
    }
    if (batch->sequence != NULL && batch->sequence[b] <= row->sequence) {
        kind = REPEATED;
    }
    batch->bad[b] = kind == GAPS || kind == SKIPPED || kind == REFUSED;
    row->bad += batch->bad[b] && row->bad < UINT32_MAX;
    if (kind == REFUSED) {
        int32_t i;
        for (i = 0; i < batch->program->outputs; ++i) {
            y[i] = (double)NAN;
        }
        return 0;
    }
    if (kind != REPEATED) {
        row->sequence = batch->sequence != NULL ? batch->sequence[b] : row->sequence + 1;
    }
    if (kinds & CLIPPED && kind <= GAPS && count_clipped(batch, row, reading_at(batch, b)) < 0) {
        return -1;
    }
    if (kind == GAPS) {
        lacking = fill(batch, row, b);
    }
    if (kind <= GAPS && lacking == 0) {
        put_job(batch, row, b);
    } else {
        write_last(batch, row, y);
    }
    return lacking < 0 ? -1 : 0;
}

static inline void fetch_row(const native_batch *batch, Py_ssize_t b)
{
#ifdef __GNUC__
    if (b < batch->count) {
        const char *row = (const char *)row_at(batch->rows, batch->which[b]);
        const size_t bytes = batch->rows->stride < 512 ? batch->rows->stride : 512;
        size_t at;
        for (at = 0; at < bytes; at += 64) {
            __builtin_prefetch(row + at, 1);
        }
        __builtin_prefetch(row + bytes - 1, 1);
    }
#else
    (void)batch;
    (void)b;
#endif
}

static int take_batch(native_batch *batch)
{
    int result = 0;
    Py_ssize_t b;
    for (b = 0; b < AHEAD; ++b) {
        fetch_row(batch, b);
    }
    for (b = 0; b < batch->count && result == 0; ++b) {
        fetch_row(batch, b + AHEAD);
        result = take_reading(batch, b);
    }
    finish_jobs(batch);
    return result;
}

/* Whether rows and numbers are such; -1 with an error set. */
static int check_batch(const native_batch *batch)
{
    Py_ssize_t b;
    for (b = 0; b < batch->count; ++b) {
        if (batch->which[b] < 0 || batch->which[b] >= batch->rows->count) {
            PyErr_Format(PyExc_IndexError, "rows: expected 0..%zd, got %d", batch->rows->count - 1,
                         (int)batch->which[b]);
            return -1;
        }
        if (batch->sequence != NULL && batch->sequence[b] < 1) {
            native_set_error("ReadingError",
                             "rows: expected numbers of readings from 1 on, got one below. The first "
                             "reading of a stream has the number 1; add 1 to numbers that begin at "
                             "0.");
            return -1;
        }
    }
    return 0;
}

static int make_room(rows_object *rows, Py_ssize_t count, size_t code_bytes)
{
    char *codes;
    unsigned char *kinds;
    if (count <= rows->room) {
        return 0;
    }
    codes = PyMem_Realloc(rows->codes, (size_t)count * code_bytes);
    if (codes != NULL) {
        rows->codes = codes;
    }
    kinds = PyMem_Realloc(rows->kinds, (size_t)count);
    if (kinds != NULL) {
        rows->kinds = kinds;
    }
    if (codes == NULL || kinds == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    rows->room = count;
    return 0;
}

/* Tell of the first reading that is clipped, once; -1 where that raised an error. */
static int report(const native_batch *batch, Py_ssize_t b)
{
    const native_program *program = batch->program;
    const double *x = reading_at(batch, b);
    PyObject *done;
    int32_t i = 0;
    while (i < program->inputs - 1 && !(isfinite(x[i]) && native_is_clipped(program, i, x[i]))) {
        ++i;
    }
    done = PyObject_CallFunction(batch->rows->program->report, "id", (int)i, x[i]);
    if (done == NULL) {
        return -1;
    }
    Py_DECREF(done);
    batch->rows->told = 1;
    return 0;
}

static int step_batch(native_batch *batch)
{
    rows_object *rows = batch->rows;
    Py_ssize_t clipped;
    int result = 0;
    rows->busy = 1;
    if (batch->count < LONG_BATCH) {
        clipped = code_batch(batch);
    } else {
        Py_BEGIN_ALLOW_THREADS
        clipped = code_batch(batch);
        Py_END_ALLOW_THREADS
    }
    if (clipped >= 0 && !rows->told) {
        result = report(batch, clipped);
    }
    if (result == 0) {
        if (batch->count < LONG_BATCH) {
            result = take_batch(batch);
        } else {
            Py_BEGIN_ALLOW_THREADS
            result = take_batch(batch);
            Py_END_ALLOW_THREADS
        }
        if (result < 0) {
            PyErr_NoMemory();
        }
    }
    rows->busy = 0;
    return result;
}

/* With the views of the arguments. */
static int step_views(rows_object *rows, native_batch *batch)
{
    int result;
    batch->rows = rows;
    batch->program = &rows->program->program;
    batch->code_bytes = (size_t)batch->program->inputs * native_code_bytes(batch->program);
    batch->waiting = 0;
    if (check_batch(batch) < 0 || make_room(rows, batch->count, batch->code_bytes) < 0) {
        return -1;
    }
    batch->scratch = native_take_scratch(rows->program);
    if (batch->scratch == NULL) {
        return -1;
    }
    result = step_batch(batch);
    native_return_scratch(rows->program, batch->scratch);
    return result;
}

PyObject *native_rows_step(PyObject *self, PyObject *arguments)
{
    rows_object *rows = (rows_object *)self;
    const native_program *program = &rows->program->program;
    PyObject *given[5];
    Py_buffer views[5];
    native_batch batch;
    Py_ssize_t count;
    int held = 0;
    int result = -1;
    if (!PyArg_ParseTuple(arguments, "OOOOO:step", given, given + 1, given + 2, given + 3,
                          given + 4) ||
        native_check_rows(rows) < 0) {
        return NULL;
    }
    if (!native_view_items(given[0], "il", 4, -1, 0, 0, "rows", views)) {
        return NULL;
    }
    count = views[0].shape[0];
    held = 1;
    held += native_view_items(given[1], "d", 8, count, program->inputs, 0, "xs", views + held);
    held += held == 2 && native_view_items(given[2], "d", 8, count, program->outputs,
                                           PyBUF_WRITABLE, "ys", views + held);
    held += held == 3 && native_view_items(given[3], "?", 1, count, 0, PyBUF_WRITABLE, "bad",
                                           views + held);
    if (held == 4 && (given[4] == Py_None || native_view_items(given[4], "lq", 8, count, 0, 0,
                                                               "sequence", views + held))) {
        batch.which = views[0].buf;
        batch.x = views[1].buf;
        batch.y = views[2].buf;
        batch.bad = views[3].buf;
        batch.sequence = given[4] == Py_None ? NULL : views[4].buf;
        batch.count = count;
        held += given[4] != Py_None;
        result = step_views(rows, &batch);
    }
    while (held > 0) {
        PyBuffer_Release(&views[--held]);
    }
    return result < 0 ? NULL : native_none();
}
