#include "builder.h"

#define MAX_MAPS 64
#define MAX_VECTORS 64
#define MAX_SCALES 1024
#define MAX_INSTRUCTIONS 4096
#define MAX_SCRATCH (1 << 24) /* elements */
#define MAX_SHIFT 30
#define MAX_SLOTS 64
#define MAX_KEY 128

/* What places may name. */
typedef struct {
    int32_t scratch;
    int32_t states;
    int32_t map_count;
    int32_t rows[MAX_MAPS];
    int32_t inputs;
    int32_t operands; /* behind the layer's input */
    int32_t scale_count;
    int32_t scale_widths[MAX_SCALES];
    int32_t norm_count;
    int32_t norm_widths[NATIVE_MAX_NORMS];
    int32_t table_count;
    int32_t table_columns[NATIVE_MAX_TABLES];
    int32_t curve_count;
    int32_t leak_count;
    int32_t leak_widths[NATIVE_MAX_LEAKS];
} limits;

static int refuse(const char *what, Py_ssize_t most, Py_ssize_t got)
{
    PyErr_Format(PyExc_ValueError, "%s: expected 0 to %zd, got %zd", what, most, got);
    return -1;
}

/* The length of a tuple of tuples, or of integers where `inner` is 0. -1 with an error set. */
static Py_ssize_t length_of(PyObject *from, const char *what, Py_ssize_t most, int inner)
{
    Py_ssize_t count;
    Py_ssize_t i;
    if (!PyTuple_Check(from)) {
        PyErr_Format(PyExc_TypeError, "%s: expected a tuple", what);
        return -1;
    }
    count = PyTuple_Size(from);
    if (count > most) {
        return refuse(what, most, count);
    }
    for (i = 0; inner && i < count; ++i) {
        if (!PyTuple_Check(PyTuple_GetItem(from, i))) {
            PyErr_Format(PyExc_TypeError, "%s: expected a tuple of tuples", what);
            return -1;
        }
    }
    return count;
}

static int is_within(const limits *within, int32_t place, int32_t count)
{
    const int32_t first = place < 0 ? -1 - place : place;
    const int32_t end = place < 0 ? within->scratch : within->states;
    return count >= 0 && first <= end && count <= end - first;
}

/* What an update of a wide state reads behind its two parts, and what its gates are. */
static int check_wide(const limits *within, const native_instruction *one)
{
    const int32_t call = one->call;
    const int reads_c = call == NATIVE_CALL_BLEND || call == NATIVE_CALL_GATED_SUM ||
                        call == NATIVE_CALL_LEAKY_SUM;
    const int reads_d = call == NATIVE_CALL_BLEND || call == NATIVE_CALL_GATED_SUM;
    const int reads_e = call == NATIVE_CALL_GATED_SUM;
    int32_t most = 0; /* shares */
    if (call == NATIVE_CALL_GATED_SUM) {
        most = NATIVE_SHARES - 1;
    } else if (call == NATIVE_CALL_BLEND) {
        most = NATIVE_GAIN - 1;
    } else if (call == NATIVE_CALL_LEAKY_SUM) {
        most = 1;
    } else if (call == NATIVE_CALL_DOT_SCORES || call == NATIVE_CALL_ADDITIVE_SCORES) {
        most = MAX_KEY;
    } else if (call == NATIVE_CALL_CONTEXT) {
        most = MAX_SLOTS;
    }
    if (one->shares < 0 || one->shares > most) {
        return refuse("gates of a call", most, one->shares);
    }
    if ((reads_c && !is_within(within, one->c, one->count)) ||
        (reads_d && !is_within(within, one->d, one->count)) ||
        (reads_e && !is_within(within, one->e, one->count)) || (!reads_c && one->c != 0) ||
        (!reads_d && one->d != 0) || (!reads_e && one->e != 0)) {
        PyErr_SetString(PyExc_ValueError, "place: expected one in states and scratch, got another");
        return -1;
    }
    return 0;
}

/* What attention reads: rows of so many elements, and how many. */
static int check_attention(const limits *within, const native_instruction *one)
{
    const int32_t call = one->call;
    const int mean = call == NATIVE_CALL_CONTEXT;
    const int32_t slots = mean ? one->shares : one->count;
    const int32_t width = mean ? one->count : call == NATIVE_CALL_SOFTMAX ? 1 : one->shares;
    const int32_t first = mean || call == NATIVE_CALL_SOFTMAX ? slots : width;
    if (slots < 1 || slots > MAX_SLOTS) {
        return refuse("slots of a memory", MAX_SLOTS, slots);
    }
    if (width < 1 || width > NATIVE_MAX_WIDTH) {
        return refuse("elements of a row", NATIVE_MAX_WIDTH, width);
    }
    if (!is_within(within, one->a, first) || !is_within(within, one->b, slots * width)) {
        PyErr_SetString(PyExc_ValueError, "place: expected one in states and scratch, got another");
        return -1;
    }
    if (call == NATIVE_CALL_ADDITIVE_SCORES && within->scale_widths[one->option] != width) {
        return refuse("constants of a call", within->scale_widths[one->option], width);
    }
    return 0;
}

static int check(const limits *within, const native_instruction *one)
{
    const int32_t call = one->call;
    const int attends = call >= NATIVE_CALL_DOT_SCORES && call <= NATIVE_CALL_CONTEXT;
    const int writes = call != NATIVE_CALL_OPERANDS && call != NATIVE_CALL_ROW;
    const int reads_a = call != NATIVE_CALL_AFFINE && call != NATIVE_CALL_ROW;
    const int reads_b = attends || call == NATIVE_CALL_PRODUCT || call == NATIVE_CALL_SUM ||
                        call == NATIVE_CALL_MAXIMUM || call == NATIVE_CALL_MINIMUM ||
                        call == NATIVE_CALL_HYPOTENUSE ||
                        call == NATIVE_CALL_BLEND || call == NATIVE_CALL_GATED_SUM ||
                        call == NATIVE_CALL_LEAKY_SUM || call == NATIVE_CALL_WIDE_RESCALE;
    int32_t read = call == NATIVE_CALL_PUSH ? one->option : one->count;
    int32_t most = 0; /* option */
    int32_t least = 0;
    if (call < 0 || call >= NATIVE_CALLS) {
        return refuse("call", NATIVE_CALLS - 1, call);
    }
    if (one->count < 1 || one->count > MAX_SCRATCH) {
        return refuse("elements of a call", MAX_SCRATCH, one->count);
    }
    if (call == NATIVE_CALL_EMBED) {
        if (one->option < 0 || one->option >= within->table_count) {
            return refuse("option of a call", within->table_count - 1, one->option);
        }
        if (one->count % within->table_columns[one->option] != 0) {
            PyErr_Format(PyExc_ValueError, "elements of a look-up: expected rows of %d, got %d",
                         (int)within->table_columns[one->option], (int)one->count);
            return -1;
        }
        read = one->count / within->table_columns[one->option];
        most = one->option;
    }
    if ((writes && !is_within(within, one->out, one->count)) ||
        (reads_a && !attends && !is_within(within, one->a, read)) ||
        (reads_b && !attends && !is_within(within, one->b, one->count)) || (!writes && one->out != 0) ||
        (!reads_a && one->a != 0) || (!reads_b && one->b != 0)) {
        PyErr_SetString(PyExc_ValueError, "place: expected one in states and scratch, got another");
        return -1;
    }
    if (!writes && one->count > within->operands) {
        return refuse("operands of a call", within->operands, one->count);
    }
    if (call == NATIVE_CALL_ROW) {
        most = within->inputs - one->count;
    } else if (call == NATIVE_CALL_AFFINE) {
        most = within->map_count - 1;
    } else if (call == NATIVE_CALL_ACTIVATE) {
        most = EDGERNN_HARD_SIGMOID;
    } else if (call == NATIVE_CALL_PRODUCT) {
        most = MAX_SHIFT;
    } else if (call == NATIVE_CALL_RESCALE) {
        most = MAX_SHIFT / 2;
        least = -most;
    } else if (call == NATIVE_CALL_COMPLEMENT) {
        most = 32767;
    } else if (call == NATIVE_CALL_CURVE) {
        most = within->curve_count - 1;
    } else if (call == NATIVE_CALL_GATED_SUM) {
        most = MAX_SHIFT - 1;
    } else if (call == NATIVE_CALL_WIDE_RESCALE) {
        most = MAX_SHIFT;
    } else if (call == NATIVE_CALL_LEAKY_SUM) {
        most = within->leak_count - 1;
    } else if (call == NATIVE_CALL_SCALE || call == NATIVE_CALL_ADDITIVE_SCORES) {
        most = within->scale_count - 1;
    } else if (call == NATIVE_CALL_DOT_SCORES) {
        least = 1;
        most = MAX_SHIFT;
    } else if (call == NATIVE_CALL_NORMALIZE) {
        most = within->norm_count - 1;
    } else if (call == NATIVE_CALL_PUSH) {
        most = one->count;
    }
    if (one->option < least || one->option > most) {
        return refuse("option of a call", most, one->option);
    }
    if (call == NATIVE_CALL_LEAKY_SUM && within->leak_widths[one->option] != one->count) {
        return refuse("constants of a call", within->leak_widths[one->option], one->count);
    }
    if (attends && check_attention(within, one) < 0) {
        return -1;
    }
    if (call == NATIVE_CALL_AFFINE && within->rows[one->option] != one->count) {
        return refuse("rows of a call", within->rows[one->option], one->count);
    }
    if (call == NATIVE_CALL_SCALE && within->scale_widths[one->option] != one->count) {
        return refuse("constants of a call", within->scale_widths[one->option], one->count);
    }
    if (call == NATIVE_CALL_NORMALIZE && within->norm_widths[one->option] != one->count) {
        return refuse("elements of a normalization", within->norm_widths[one->option], one->count);
    }
    return check_wide(within, one);
}

static int build_maps(native_builder *builder, PyObject *from, native_layer *layer, limits *within)
{
    const int32_t operands = EDGERNN_PADDED(layer->inputs) + EDGERNN_PADDED(within->operands);
    const Py_ssize_t count = length_of(from, "maps", MAX_MAPS, 1);
    const int is8 = builder->program->width == 8;
    edgernn_map8 maps8[MAX_MAPS];
    edgernn_map16 maps16[MAX_MAPS];
    const void *place;
    Py_ssize_t i;
    if (count < 0) {
        return -1;
    }
    for (i = 0; i < count; ++i) {
        PyObject *map;
        int rows;
        if (!PyArg_ParseTuple(PyTuple_GetItem(from, i), "iO:map", &rows, &map)) {
            return -1;
        }
        if (rows < 1 || rows > 4 * NATIVE_MAX_WIDTH) {
            return refuse("rows", 4 * NATIVE_MAX_WIDTH, rows);
        }
        if (!PyTuple_Check(map)) {
            PyErr_SetString(PyExc_TypeError, "map: expected a tuple");
            return -1;
        }
        if ((is8 ? native_build_map8(builder, map, rows, operands, &maps8[i])
                 : native_build_map16(builder, map, rows, operands, &maps16[i])) < 0) {
            return -1;
        }
        within->rows[i] = rows;
    }
    within->map_count = (int32_t)count;
    if (native_place(builder, is8 ? (void *)maps8 : (void *)maps16,
                     (size_t)count * (is8 ? sizeof maps8[0] : sizeof maps16[0]), &place) < 0) {
        return -1;
    }
    layer->record.operations.maps8 = is8 ? place : NULL;
    layer->record.operations.maps16 = is8 ? NULL : place;
    return 0;
}

static int build_widths(native_builder *builder, PyObject *from, native_layer *layer,
                        limits *within)
{
    const Py_ssize_t count = length_of(from, "states", MAX_VECTORS, 0);
    int32_t widths[MAX_VECTORS];
    const void *place;
    Py_ssize_t i;
    within->states = 0;
    for (i = 0; i < count; ++i) {
        const long width = PyLong_AsLong(PyTuple_GetItem(from, i));
        if (width == -1 && PyErr_Occurred()) {
            return -1;
        }
        if (width < 1 || width > NATIVE_MAX_WIDTH) {
            return refuse("units of a state", NATIVE_MAX_WIDTH, (Py_ssize_t)width);
        }
        widths[i] = (int32_t)width;
        within->states += widths[i];
    }
    if (count < 0 ||
        native_place(builder, widths, (size_t)count * sizeof widths[0], &place) < 0) {
        return -1;
    }
    layer->record.operations.vectors = (int32_t)count;
    layer->record.operations.widths = place;
    return 0;
}

static int build_instructions(native_builder *builder, PyObject *from, native_layer *layer,
                              const limits *within)
{
    const Py_ssize_t count = length_of(from, "instructions", MAX_INSTRUCTIONS, 1);
    void *place;
    Py_ssize_t i;
    if (count < 0) {
        return -1;
    }
    if (native_take(&builder->arena, (size_t)count * sizeof(native_instruction), &place) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    for (i = 0; i < count; ++i) {
        native_instruction one = {0};
        if (!PyArg_ParseTuple(PyTuple_GetItem(from, i), "iiiiii|iiii:instruction", &one.call,
                              &one.count, &one.option, &one.a, &one.b, &one.out, &one.c, &one.d,
                              &one.e, &one.shares) ||
            check(within, &one) < 0) {
            return -1;
        }
        if (place != NULL) {
            ((native_instruction *)place)[i] = one;
        }
    }
    layer->record.operations.count = (int32_t)count;
    layer->record.operations.instructions = place;
    return 0;
}

/* Constants of (elements, shift, multipliers, offsets or None). */
static int build_scale(native_builder *builder, PyObject *from, int *count, edgernn_scales *scales)
{
    PyObject *multipliers;
    PyObject *offsets;
    const void *multiplier;
    const void *bias = NULL;
    int shift;
    if (!PyArg_ParseTuple(from, "iiOO:scale", count, &shift, &multipliers, &offsets)) {
        return -1;
    }
    if (*count < 1 || *count > NATIVE_MAX_WIDTH) {
        return refuse("elements of constants", NATIVE_MAX_WIDTH, *count);
    }
    if (shift < 1 || shift > MAX_SHIFT) {
        PyErr_Format(PyExc_ValueError, "shift: expected 1..%d, got %d", MAX_SHIFT, shift);
        return -1;
    }
    if (native_copy_in(builder, multipliers, 2 * (size_t)*count, "multiplier", &multiplier) < 0 ||
        (offsets != Py_None &&
         native_copy_in(builder, offsets, 2 * (size_t)*count, "bias", &bias) < 0)) {
        return -1;
    }
    *scales = (edgernn_scales){shift, multiplier, bias};
    return 0;
}

static int build_scales(native_builder *builder, PyObject *from, native_layer *layer,
                        limits *within)
{
    const Py_ssize_t count = length_of(from, "scales", MAX_SCALES, 1);
    edgernn_scales one;
    void *place;
    Py_ssize_t i;
    if (count < 0) {
        return -1;
    }
    if (native_take(&builder->arena, (size_t)count * sizeof one, &place) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    for (i = 0; i < count; ++i) {
        int width;
        if (build_scale(builder, PyTuple_GetItem(from, i), &width, &one) < 0) {
            return -1;
        }
        within->scale_widths[i] = width;
        if (place != NULL) {
            ((edgernn_scales *)place)[i] = one;
        }
    }
    within->scale_count = (int32_t)count;
    layer->record.operations.scales = place;
    return 0;
}

int native_build_operations(native_builder *builder, PyObject *maps, PyObject *step,
                            native_layer *layer, size_t *scratch, size_t *hidden, size_t *states)
{
    limits within;
    PyObject *widths;
    PyObject *instructions;
    PyObject *scales;
    PyObject *norms = NULL;
    PyObject *tables = NULL;
    PyObject *curves = NULL;
    PyObject *leaks = NULL;
    int room;
    int behind;
    int output;
    int values;
    int holds_codes = 0;
    if (step == NULL || !PyTuple_Check(step)) {
        PyErr_SetString(PyExc_TypeError, "layer of operations: expected a tuple of its step");
        return -1;
    }
    if (!PyArg_ParseTuple(step, "iiOiOiO|OpOOO:step", &room, &behind, &widths, &output, &instructions,
                          &values, &scales, &norms, &holds_codes, &tables, &curves, &leaks)) {
        return -1;
    }
    if (room < 0 || room > MAX_SCRATCH) {
        return refuse("scratch", MAX_SCRATCH, room);
    }
    if (behind < 0 || behind > NATIVE_MAX_WIDTH) {
        return refuse("operands", NATIVE_MAX_WIDTH, behind);
    }
    if (values != 0 && (values != layer->inputs || values > room)) {
        PyErr_Format(PyExc_ValueError, "values of the input: expected 0, or %d within %d of scratch, "
                                       "got %d", (int)layer->inputs, room, values);
        return -1;
    }
    within.scratch = room;
    within.inputs = layer->inputs;
    within.operands = behind;
    layer->record.operations.norms = NULL;
    within.norm_count =
        norms == NULL ? 0 : native_build_norms(builder, norms, layer, within.norm_widths);
    layer->record.operations.tables = NULL;
    within.table_count =
        within.norm_count < 0 || tables == NULL ? 0 : native_build_tables(builder, tables, layer, within.table_columns);
    layer->record.operations.curves = NULL;
    within.curve_count = within.table_count < 0 || curves == NULL
                             ? 0
                             : native_build_curves(builder, curves, layer);
    layer->record.operations.leaks = NULL;
    within.leak_count = within.curve_count < 0 || leaks == NULL
                            ? 0
                            : native_build_leaks(builder, leaks, layer, within.leak_widths);
    if (within.norm_count < 0 || within.table_count < 0 || within.curve_count < 0 ||
        within.leak_count < 0 ||
        build_maps(builder, maps, layer, &within) < 0 ||
        build_scales(builder, scales, layer, &within) < 0 ||
        build_widths(builder, widths, layer, &within) < 0 ||
        build_instructions(builder, instructions, layer, &within) < 0) {
        return -1;
    }
    if (!is_within(&within, output, layer->units)) {
        PyErr_SetString(PyExc_ValueError, "output: expected a place in states and scratch");
        return -1;
    }
    layer->record.operations.output = output;
    layer->record.operations.reads_values = values != 0;
    layer->record.operations.holds_codes = holds_codes;
    *scratch = (size_t)within.scratch;
    *hidden = (size_t)EDGERNN_PADDED(within.operands);
    *states = (size_t)within.states;
    return 0;
}
