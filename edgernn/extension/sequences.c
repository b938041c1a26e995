/* Whole streams of a program, many at a time; where it pays, NATIVE_GROUP of them share every load of
 * the weights. */
#include "extension.h"

#include <stdlib.h>
#include <string.h>

/* Codes [steps, inputs] to outputs; with `last` all outputs of a sequence take one place. */
typedef struct {
    const char *x;
    int16_t *y;
    Py_ssize_t steps;
} sequence;

typedef struct {
    const native_program *program;
    sequence *sequences;
    Py_ssize_t count;
    Py_ssize_t next; /* the first that has not begun */
    int last;
    native_memory *memories[NATIVE_GROUP];
    native_scratch *scratch;
    native_memory memory[NATIVE_GROUP];
} sequence_run;

/* The zero state, or what streams begin with. */
static void begin(const native_program *program, native_memory *memory)
{
    const size_t bytes = program->state_count * sizeof(int16_t);
    if (program->start != NULL) {
        memcpy(memory->state, program->start, bytes);
    } else {
        memset(memory->state, 0, bytes);
    }
}

/* Advance what is left of one sequence. */
static void run_alone(sequence_run *run, sequence *one, int slot)
{
    const native_program *program = run->program;
    const size_t bytes = (size_t)program->inputs * native_code_bytes(program);
    Py_ssize_t t;
    if (!run->last) {
        program->isa->run_codes(program, run->memories[slot], run->scratch, one->x,
                                (size_t)one->steps, one->y);
        return;
    }
    for (t = 0; t < one->steps; ++t) {
        program->isa->run_codes(program, run->memories[slot], run->scratch,
                                one->x + (size_t)t * bytes, 1, one->y);
    }
}

/* Steps of a full group, until the shortest of its sequences ends. */
static void run_together(const sequence_run *run, sequence *const *group)
{
    const native_program *program = run->program;
    const size_t bytes = (size_t)program->inputs * native_code_bytes(program);
    const size_t outputs = run->last ? 0 : (size_t)program->outputs;
    const void *x[NATIVE_GROUP];
    int16_t *y[NATIVE_GROUP];
    Py_ssize_t steps = group[0]->steps;
    Py_ssize_t t;
    int s;
    for (s = 1; s < NATIVE_GROUP; ++s) {
        steps = group[s]->steps < steps ? group[s]->steps : steps;
    }
    for (t = 0; t < steps; ++t) {
        for (s = 0; s < NATIVE_GROUP; ++s) {
            x[s] = group[s]->x + (size_t)t * bytes;
            y[s] = group[s]->y + (size_t)t * outputs;
        }
        program->isa->step_group(program, run->memories, run->scratch->group, x, y);
    }
    for (s = 0; s < NATIVE_GROUP; ++s) {
        group[s]->x += (size_t)steps * bytes;
        group[s]->y += (size_t)steps * outputs;
        group[s]->steps -= steps;
    }
}

/* Give every slot that has nothing to do the next sequence; how many are left without one. */
static int refill(sequence_run *run, sequence **group)
{
    int empty = 0;
    int s;
    for (s = 0; s < NATIVE_GROUP; ++s) {
        if (group[s] != NULL && group[s]->steps > 0) {
            continue;
        }
        if (run->next == run->count) {
            ++empty;
        } else {
            group[s] = run->sequences + run->next++;
            begin(run->program, run->memories[s]);
        }
    }
    return empty;
}

/* All sequences, in their order: where the last ones are the shortest, hardly any runs alone. */
static void run_all(sequence_run *run)
{
    sequence *group[NATIVE_GROUP] = {NULL, NULL, NULL, NULL};
    const int grouped = native_need_group(run->program, run->scratch) == 0;
    int s;
    while (grouped && refill(run, group) == 0) {
        run_together(run, group);
    }
    for (s = 0; s < NATIVE_GROUP; ++s) {
        if (group[s] != NULL) {
            run_alone(run, group[s], s);
        }
    }
    for (; run->next < run->count; ++run->next) {
        begin(run->program, run->memories[0]);
        run_alone(run, run->sequences + run->next, 0);
    }
}

/* What a call of Program.run_sequences holds. */
typedef struct {
    sequence_run run;
    Py_buffer *in;    /* [taken] of codes */
    Py_buffer *out;   /* [made] of outputs */
    Py_ssize_t taken;
    Py_ssize_t made;
    void *memory;     /* of the streams */
} sequence_call;

static PyObject *new_outputs(native_module *module, Py_ssize_t rows, int32_t width, Py_buffer *view)
{
    PyObject *array = PyObject_CallFunction(module->empty, "(ni)O", rows, (int)width, module->int16);
    if (array != NULL && PyObject_GetBuffer(array, view, PyBUF_ND | PyBUF_WRITABLE) < 0) {
        Py_CLEAR(array);
    }
    return array;
}

/* Views of the codes of every sequence. */
static int take_codes(program_object *program, PyObject *codes, sequence_call *call)
{
    native_module *module = native_module_of((PyObject *)program);
    const native_program *of = &program->program;
    int good = 1;
    while (good && call->taken < call->run.count) {
        Py_buffer *in = call->in + call->taken;
        sequence *one = call->run.sequences + call->taken;
        if (!native_view(module, PyList_GetItem(codes, call->taken), program->code_dtype, 1,
                         of->inputs, 0, in)) {
            good = 0;
            break;
        }
        ++call->taken; /* what is to be released */
        one->x = in->buf;
        one->steps = in->shape[0];
        good = native_all_codes(of, in->buf, (size_t)(one->steps * of->inputs));
    }
    if (good) {
        return 0;
    }
    PyErr_SetString(PyExc_ValueError, "run_sequences: expected contiguous input codes [T, I]");
    return -1;
}

/* A list of int16 [T, O]; with `last` one int16 [B, O]. */
static PyObject *make_outputs(program_object *program, sequence_call *call)
{
    native_module *module = native_module_of((PyObject *)program);
    const int32_t width = program->program.outputs;
    const Py_ssize_t count = call->run.count;
    PyObject *made;
    Py_ssize_t i;
    if (call->run.last) {
        made = new_outputs(module, count, width, call->out);
        call->made = made != NULL;
        for (i = 0; made != NULL && i < count; ++i) {
            call->run.sequences[i].y = (int16_t *)call->out->buf + i * width;
        }
        return made;
    }
    made = PyList_New(count);
    for (i = 0; made != NULL && i < count; ++i) {
        PyObject *array =
            new_outputs(module, call->run.sequences[i].steps, width, call->out + i);
        if (array == NULL || PyList_SetItem(made, i, array) < 0) {
            Py_CLEAR(made);
        } else {
            call->run.sequences[i].y = call->out[i].buf;
            ++call->made;
        }
    }
    return made;
}

/* Streams and scratch for a group. */
static int take_streams(program_object *program, sequence_call *call)
{
    native_arena arena = {NULL, 0, 0, NATIVE_ALIGNMENT};
    native_memory *memory = call->run.memory;
    int pass;
    int s;
    for (pass = 0; pass < 2; ++pass) {
        for (s = 0; s < NATIVE_GROUP; ++s) {
            if (native_lay_out(&program->program, &arena, memory + s) < 0) {
                return -1;
            }
        }
        if (pass == 0 && native_allocate(&arena, &call->memory) < 0) {
            return -1;
        }
    }
    for (s = 0; s < NATIVE_GROUP; ++s) {
        call->run.memories[s] = memory + s;
    }
    call->run.scratch = native_take_scratch(program);
    return call->run.scratch == NULL ? -1 : 0;
}

static void end_call(program_object *program, sequence_call *call)
{
    while (call->taken > 0) {
        PyBuffer_Release(call->in + --call->taken);
    }
    while (call->made > 0) {
        PyBuffer_Release(call->out + --call->made);
    }
    if (call->run.scratch != NULL) {
        native_return_scratch(program, call->run.scratch);
    }
    free(call->memory);
    PyMem_Free(call->run.sequences);
    PyMem_Free(call->in);
    PyMem_Free(call->out);
}

PyObject *native_program_run_sequences(PyObject *self, PyObject *arguments)
{
    program_object *program = (program_object *)self;
    sequence_call call;
    PyObject *codes;
    PyObject *made = NULL;
    int last;
    memset(&call, 0, sizeof call);
    if (!PyArg_ParseTuple(arguments, "O!p:run_sequences", &PyList_Type, &codes, &last)) {
        return NULL;
    }
    call.run.program = &program->program;
    call.run.count = PyList_Size(codes);
    call.run.last = last;
    call.run.sequences = PyMem_Calloc((size_t)call.run.count + 1, sizeof *call.run.sequences);
    call.in = PyMem_Calloc((size_t)call.run.count + 1, sizeof *call.in);
    call.out = PyMem_Calloc((size_t)call.run.count + 1, sizeof *call.out);
    if (call.run.sequences == NULL || call.in == NULL || call.out == NULL) {
        PyErr_NoMemory();
    } else if (take_codes(program, codes, &call) == 0) {
        if (take_streams(program, &call) < 0) {
            PyErr_NoMemory();
        } else {
            made = make_outputs(program, &call);
        }
    }
    if (made != NULL) {
        Py_BEGIN_ALLOW_THREADS
        run_all(&call.run);
        Py_END_ALLOW_THREADS
    }
    end_call(program, &call);
    return made;
}
