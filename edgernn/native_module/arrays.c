/* NumPy arrays through the buffer protocol: no header of NumPy's, hence no version of it. */
#include "extension.h"

static int has_dtype(native_module *module, PyObject *x, PyObject *dtype)
{
    PyObject *found = PyObject_GetAttr(x, module->dtype_name);
    int same = found == dtype;
    if (found != NULL && !same) { /* an array that was pickled has its own */
        same = PyObject_RichCompareBool(found, dtype, Py_EQ);
    }
    Py_XDECREF(found);
    if (same < 0 || found == NULL) {
        PyErr_Clear();
        return 0;
    }
    return same;
}

int native_view(native_module *module, PyObject *x, PyObject *dtype, int many, Py_ssize_t width,
                int flags, Py_buffer *view)
{
    /* Not a subclass: a masked array has missing values, a matrix its own idea of shapes. */
    if ((PyObject *)Py_TYPE(x) != module->ndarray || !has_dtype(module, x, dtype)) {
        return 0;
    }
    if (PyObject_GetBuffer(x, view, PyBUF_ND | flags) < 0) {
        PyErr_Clear();
        return 0;
    }
    if (view->ndim == (many ? 2 : 1) && view->shape[many ? 1 : 0] == width &&
        (uintptr_t)view->buf % (uintptr_t)view->itemsize == 0) {
        return 1;
    }
    PyBuffer_Release(view);
    return 0;
}

static PyObject *new_array(stream_object *stream, PyObject *dtype, Py_ssize_t steps)
{
    const Py_ssize_t outputs = stream->program->program.outputs;
    PyObject *array;
    PyObject *arguments;
    if (steps < 0 && dtype == stream->module->float64) {
        return PyObject_Call(stream->module->empty, stream->program->step_shape, NULL);
    }
    arguments = steps < 0 ? Py_BuildValue("(nO)", outputs, dtype)
                          : Py_BuildValue("((nn)O)", steps, outputs, dtype);
    if (arguments == NULL) {
        return NULL;
    }
    array = PyObject_Call(stream->module->empty, arguments, NULL);
    Py_DECREF(arguments);
    return array;
}

PyObject *native_output(stream_object *stream, PyObject *dtype, Py_ssize_t steps, Py_buffer *view)
{
    PyObject *array = new_array(stream, dtype, steps);
    if (array != NULL && PyObject_GetBuffer(array, view, PyBUF_ND | PyBUF_WRITABLE) < 0) {
        Py_DECREF(array);
        return NULL;
    }
    /* To make an array may set off the garbage collector, and that another thread. */
    if (array != NULL && native_check_idle(stream) < 0) {
        PyBuffer_Release(view);
        Py_DECREF(array);
        return NULL;
    }
    return array;
}
