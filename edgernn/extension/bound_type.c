/* edgernn._native.Bound: a stream and two arrays of the caller's; what Stream.bind calls. */
#include "extension.h"

typedef struct {
    PyObject_HEAD
    stream_object *stream;
    PyObject *otherwise; /* what is called where the reading is bad or the stream closed */
    Py_buffer x;
    Py_buffer y;
    int real;
} bound_object;

static PyObject *bound_call(PyObject *self, PyObject *unused)
{
    const bound_object *bound = (bound_object *)self;
    stream_object *stream = bound->stream;
    const native_program *program = &stream->program->program;
    const size_t inputs = (size_t)program->inputs;
    native_scratch *scratch;
    int result = 0;
    (void)unused;
    if (native_check_idle(stream) < 0) {
        return NULL;
    }
    if (stream->closed || (bound->real && program->reads_tokens) ||
        !(bound->real ? native_all_finite(bound->x.buf, inputs)
                      : native_all_codes(program, bound->x.buf, inputs))) {
        return PyObject_CallObject(bound->otherwise, NULL);
    }
    scratch = native_take_scratch(stream->program);
    if (scratch == NULL) {
        return NULL;
    }
    if (bound->real) {
        result = native_advance_real(stream, scratch, bound->x.buf, 1, bound->y.buf);
    } else {
        native_advance_codes(stream, scratch, bound->x.buf, 1, bound->y.buf);
    }
    native_return_scratch(stream->program, scratch);
    return result < 0 ? NULL : native_none();
}

static PyMethodDef call = {"bound_step", bound_call, METH_NOARGS,
                           "Advance by the reading in x; write the output to y."};

/* Whether x and y are both of real numbers or both of codes; then their views are held. */
static int hold_arrays(bound_object *bound, PyObject *x, PyObject *y)
{
    native_module *module = bound->stream->module;
    const program_object *program = bound->stream->program;
    const Py_ssize_t inputs = program->program.inputs;
    const Py_ssize_t outputs = program->program.outputs;
    PyObject *y_dtype = module->float64;
    bound->real = native_view(module, x, module->float64, 0, inputs, 0, &bound->x);
    if (!bound->real) {
        if (!native_view(module, x, program->code_dtype, 0, inputs, 0, &bound->x)) {
            return 0;
        }
        y_dtype = module->int16;
    }
    return native_view(module, y, y_dtype, 0, outputs, PyBUF_WRITABLE, &bound->y);
}

PyObject *native_stream_bind(PyObject *self, PyObject *arguments)
{
    stream_object *stream = (stream_object *)self;
    PyObject *x;
    PyObject *y;
    PyObject *otherwise;
    PyObject *function = NULL;
    bound_object *bound;
    if (!PyArg_ParseTuple(arguments, "OOO:bind", &x, &y, &otherwise)) {
        return NULL;
    }
    bound = (bound_object *)PyType_GenericAlloc((PyTypeObject *)stream->module->bound_type, 0);
    if (bound == NULL) {
        return NULL;
    }
    Py_INCREF((PyObject *)stream);
    bound->stream = stream;
    Py_INCREF(otherwise);
    bound->otherwise = otherwise;
    if (hold_arrays(bound, x, y)) {
        function = PyCFunction_NewEx(&call, (PyObject *)bound, NULL);
    } else {
        PyErr_SetString(PyExc_ValueError,
                        "bind: expected x and y of the model's widths, both float64 or both codes");
    }
    Py_DECREF(bound);
    return function;
}

static int bound_traverse(PyObject *self, visitproc visit, void *arg)
{
    const bound_object *bound = (bound_object *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(bound->otherwise);
    Py_VISIT(bound->x.obj);
    Py_VISIT(bound->y.obj);
    return 0;
}

static void bound_dealloc(PyObject *self)
{
    bound_object *bound = (bound_object *)self;
    PyObject_GC_UnTrack(self);
    if (bound->x.obj != NULL) {
        PyBuffer_Release(&bound->x);
    }
    if (bound->y.obj != NULL) {
        PyBuffer_Release(&bound->y);
    }
    Py_XDECREF(bound->otherwise);
    Py_XDECREF((PyObject *)bound->stream);
    native_free(self);
}

/* The arrays stay: a call that comes during collection still finds them. */
static int bound_clear(PyObject *self)
{
    bound_object *bound = (bound_object *)self;
    PyObject *otherwise = bound->otherwise;
    Py_INCREF(Py_None);
    bound->otherwise = Py_None; /* calling it is a TypeError */
    Py_XDECREF(otherwise);
    return 0;
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "A stream and the arrays it reads and writes; see Stream.bind."},
    {Py_tp_dealloc, bound_dealloc},
    {Py_tp_traverse, bound_traverse},
    {Py_tp_clear, bound_clear},
    {0, NULL},
};

PyType_Spec native_bound_spec = {
    .name = "edgernn._native.Bound",
    .basicsize = sizeof(bound_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};
