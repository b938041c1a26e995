/* The Python module `edgernn._native`; `edgernn.backends.native` is the way to it. */
#include "extension.h"

native_module *native_module_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

void native_free(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *isas(PyObject *self, PyObject *unused)
{
    PyObject *names = PyList_New(0);
    const native_isa *isa;
    size_t i;
    (void)self;
    (void)unused;
    for (i = 0; names != NULL && (isa = native_isa_at(i)) != NULL; ++i) {
        PyObject *name = PyUnicode_FromString(isa->name);
        if (name == NULL || PyList_Append(names, name) < 0) {
            Py_CLEAR(names);
        }
        Py_XDECREF(name);
    }
    return names;
}

static PyMethodDef functions[] = {
    {"isas", isas, METH_NOARGS, "Names of the instruction sets this processor has, fastest first."},
    {NULL, NULL, 0, NULL},
};

/* *place = numpy.name, or numpy.dtype(numpy.name). */
static int take_numpy(PyObject *numpy, const char *name, int dtype, PyObject **place)
{
    PyObject *found = PyObject_GetAttrString(numpy, name);
    if (found != NULL && dtype) {
        PyObject *type = found;
        found = PyObject_CallMethod(numpy, "dtype", "O", type);
        Py_DECREF(type);
    }
    *place = found;
    return found == NULL ? -1 : 0;
}

static int fill_numpy(native_module *state)
{
    PyObject *numpy = PyImport_ImportModule("numpy");
    int result = -1;
    if (numpy != NULL && take_numpy(numpy, "ndarray", 0, &state->ndarray) == 0 &&
        take_numpy(numpy, "empty", 0, &state->empty) == 0 &&
        take_numpy(numpy, "ascontiguousarray", 0, &state->as_contiguous) == 0 &&
        take_numpy(numpy, "float64", 0, &state->float64_type) == 0 &&
        take_numpy(numpy, "float64", 1, &state->float64) == 0 &&
        take_numpy(numpy, "int16", 1, &state->int16) == 0 &&
        take_numpy(numpy, "int8", 1, &state->int8) == 0 &&
        take_numpy(numpy, "integer", 0, &state->integer) == 0 &&
        take_numpy(numpy, "floating", 0, &state->floating) == 0 &&
        take_numpy(numpy, "bool_", 0, &state->boolean) == 0 &&
        take_numpy(numpy, "timedelta64", 0, &state->timedelta) == 0) {
        state->dtype_name = PyUnicode_InternFromString("dtype");
        result = state->dtype_name == NULL ? -1 : 0;
    }
    Py_XDECREF(numpy);
    return result;
}

static int add_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    const int result = type == NULL ? -1 : PyModule_AddObjectRef(module, name, type);
    Py_XDECREF(type);
    return result;
}

static int module_exec(PyObject *module)
{
    native_module *state = PyModule_GetState(module);
    PyObject *program_type;
    int result;
    native_make_crc_tables();
    if (fill_numpy(state) < 0) {
        return -1;
    }
    state->stream_type = PyType_FromModuleAndSpec(module, &native_stream_spec, NULL);
    state->bound_type = PyType_FromModuleAndSpec(module, &native_bound_spec, NULL);
    state->rows_type = PyType_FromModuleAndSpec(module, &native_rows_spec, NULL);
    program_type = PyType_FromModuleAndSpec(module, &native_program_spec, NULL);
    if (state->stream_type == NULL || state->bound_type == NULL || state->rows_type == NULL ||
        program_type == NULL) {
        Py_XDECREF(program_type);
        return -1;
    }
    result = PyModule_AddObjectRef(module, "Program", program_type);
    Py_DECREF(program_type);
    return result < 0 ? -1 : add_type(module, "KeyIndex", &native_key_index_spec);
}

/* Everything the module keeps. */
#define EACH_OBJECT(statement)      \
    statement(state->stream_type);  \
    statement(state->bound_type);   \
    statement(state->rows_type);    \
    statement(state->ndarray);      \
    statement(state->empty);        \
    statement(state->as_contiguous); \
    statement(state->float64_type); \
    statement(state->float64);      \
    statement(state->int16);        \
    statement(state->int8);         \
    statement(state->dtype_name);   \
    statement(state->integer);      \
    statement(state->floating);     \
    statement(state->boolean);      \
    statement(state->timedelta)

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    native_module *state = PyModule_GetState(module);
    if (state != NULL) {
        EACH_OBJECT(Py_VISIT);
    }
    return 0;
}

/* Not in tp_clear: a stream may outlive the collection and still needs NumPy. */
static void module_free(void *module)
{
    native_module *state = PyModule_GetState(module);
    if (state != NULL) {
        EACH_OBJECT(Py_CLEAR);
    }
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "edgernn._native",
    .m_doc = "The C kernels of edgernn on the instruction sets of this processor.",
    .m_size = sizeof(native_module),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
