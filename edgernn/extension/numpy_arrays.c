/* NumPy arrays through the buffer protocol: no header of NumPy's, hence no version of it. */
#include "extension.h"

#include <string.h>

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

static PyObject *new_array(stream_object *stream, PyObject *dtype, Py_ssize_t steps, int32_t width)
{
    const program_object *program = stream->program;
    PyObject *array;
    PyObject *arguments;
    if (steps < 0 && dtype == stream->module->float64 && width == program->program.outputs) {
        return PyObject_Call(stream->module->empty, program->step_shape, NULL);
    }
    arguments = steps < 0 ? Py_BuildValue("(iO)", (int)width, dtype)
                          : Py_BuildValue("((ni)O)", steps, (int)width, dtype);
    if (arguments == NULL) {
        return NULL;
    }
    array = PyObject_Call(stream->module->empty, arguments, NULL);
    Py_DECREF(arguments);
    return array;
}

PyObject *native_output(stream_object *stream, PyObject *dtype, Py_ssize_t steps, int32_t width,
                        Py_buffer *view)
{
    PyObject *array = new_array(stream, dtype, steps, width);
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

PyObject *native_vector(native_module *module, PyObject *dtype, Py_ssize_t width, const void *from)
{
    Py_buffer view;
    PyObject *array = PyObject_CallFunction(module->empty, "nO", width, dtype);
    if (array != NULL && PyObject_GetBuffer(array, &view, PyBUF_ND | PyBUF_WRITABLE) < 0) {
        Py_CLEAR(array);
    }
    if (array != NULL) {
        memcpy(view.buf, from, (size_t)view.len);
        PyBuffer_Release(&view);
    }
    return array;
}
