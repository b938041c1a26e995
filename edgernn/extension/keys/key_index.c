/* edgernn._native.KeyIndex: which row a key has; edgernn/pool/key_index.py says what it does. */
#include "key_table.h"

#include <string.h>

/* Keys that are looked up at a time: the processor fetches their places together. */
#define CHUNK 32

typedef struct {
    PyObject_HEAD
    key_table table;
    int busy; /* compares keys, which may run any code */
} index_object;

/* What is done with each row that is found. */
typedef struct {
    int renew;
    int mark;
    double now;
} key_use;

typedef struct {
    PyObject *key;
    uint32_t hash;
} hashed_key;

static int check_idle(index_object *index)
{
    if (index->busy) {
        PyErr_SetString(PyExc_RuntimeError,
                        "pool: expected keys whose comparison leaves the pool alone, got one that "
                        "uses it. Use plain keys, such as names and numbers.");
        return -1;
    }
    return 0;
}

/* The row of a key, KEY_NO_ROW where it has none. -1 with an error set. */
static int look_up(index_object *index, const hashed_key *wanted, uint32_t *row)
{
    key_table *table = &index->table;
    uint32_t slot;
    *row = KEY_NO_ROW;
    if (table->slot_count == 0) {
        return 0;
    }
    for (slot = key_home(table, wanted->hash); table->slots[slot].row != 0;
         slot = key_next_slot(table, slot)) {
        const uint32_t candidate = table->slots[slot].row - 1;
        PyObject *stored;
        int same;
        if (table->slots[slot].hash != wanted->hash) {
            continue;
        }
        stored = table->keys[candidate];
        same = stored == wanted->key;
        if (!same) {
            index->busy = 1;
            same = PyObject_RichCompareBool(stored, wanted->key, Py_EQ);
            index->busy = 0;
        }
        if (same != 0) {
            *row = same < 0 ? KEY_NO_ROW : candidate;
            return same < 0 ? -1 : 0;
        }
    }
    return 0;
}

static Py_ssize_t count_of(PyObject *keys)
{
    if (PyList_Check(keys) || PyTuple_Check(keys)) {
        return PyObject_Size(keys);
    }
    PyErr_SetString(PyExc_TypeError, "keys: expected a list or a tuple");
    return -1;
}

/* A reference to keys[i] and its hash; -1 with an error set. */
static int take_key(PyObject *keys, Py_ssize_t i, hashed_key *taken)
{
    PyObject *key = PyList_Check(keys) ? PyList_GetItem(keys, i) : PyTuple_GetItem(keys, i);
    Py_hash_t hash;
    if (key == NULL) {
        return -1;
    }
    Py_INCREF(key);
    hash = PyObject_Hash(key);
    if (hash == -1) {
        Py_DECREF(key);
        return -1;
    }
    taken->key = key;
    taken->hash = key_hash(hash);
    return 0;
}

/* Have the processor fetch what a search will read: first its places, then the key and the order. */
static void fetch_slot(const key_table *table, const hashed_key *wanted)
{
    if (table->slot_count != 0) {
        __builtin_prefetch(&table->slots[key_home(table, wanted->hash)]);
    }
}

static void fetch_row(const key_table *table, const hashed_key *wanted)
{
    uint32_t slot;
    if (table->slot_count == 0) {
        return;
    }
    slot = key_home(table, wanted->hash);
    while (table->slots[slot].row != 0 && table->slots[slot].hash != wanted->hash) {
        slot = key_next_slot(table, slot);
    }
    if (table->slots[slot].row != 0) {
        const uint32_t row = table->slots[slot].row - 1;
        __builtin_prefetch(&table->keys[row]);
        if (table->ordered) {
            __builtin_prefetch(&table->order[row]);
        }
    }
}

/* Rows of keys[from:from + count]; -1 with an error set. */
static int find_chunk(index_object *index, PyObject *keys, Py_ssize_t from, Py_ssize_t count,
                      const key_use *use, int32_t *rows, Py_ssize_t *unknown)
{
    hashed_key taken[CHUNK];
    Py_ssize_t have = 0;
    Py_ssize_t i;
    int result = 0;
    while (have < count && result == 0) {
        result = take_key(keys, from + have, &taken[have]);
        if (result == 0) {
            fetch_slot(&index->table, &taken[have++]);
        }
    }
    for (i = 0; i < have && count > 1; ++i) {
        fetch_row(&index->table, &taken[i]);
    }
    for (i = 0; i < have && result == 0; ++i) {
        uint32_t row;
        result = look_up(index, &taken[i], &row);
        if (row == KEY_NO_ROW) {
            rows[i] = -1;
            ++*unknown;
            continue;
        }
        rows[i] = (int32_t)row;
        if (use->renew) {
            key_table_renew(&index->table, row, use->now);
        }
        if (use->mark) {
            key_table_mark(&index->table, row);
        }
    }
    for (i = 0; i < have; ++i) {
        Py_DECREF(taken[i].key);
    }
    return result;
}

/* A writable buffer of as many int32 as there are keys. */
static int rows_view(PyObject *rows, Py_ssize_t count, Py_buffer *view)
{
    if (PyObject_GetBuffer(rows, view, PyBUF_WRITABLE) < 0) {
        return -1;
    }
    if (view->len != count * (Py_ssize_t)sizeof(int32_t) ||
        (uintptr_t)view->buf % sizeof(int32_t) != 0) {
        PyBuffer_Release(view);
        PyErr_SetString(PyExc_ValueError, "rows: expected an int32 for each key");
        return -1;
    }
    return 0;
}

static PyObject *find_all(index_object *index, PyObject *keys, PyObject *rows, const key_use *use)
{
    Py_ssize_t count = count_of(keys);
    Py_ssize_t unknown = 0;
    Py_ssize_t from;
    Py_buffer view;
    int result = 0;
    if (count < 0 || check_idle(index) < 0 || rows_view(rows, count, &view) < 0) {
        return NULL;
    }
    for (from = 0; from < count && result == 0; from += CHUNK) {
        const Py_ssize_t some = count - from < CHUNK ? count - from : CHUNK;
        result = find_chunk(index, keys, from, some, use, (int32_t *)view.buf + from, &unknown);
    }
    PyBuffer_Release(&view);
    return result < 0 ? NULL : PyLong_FromSsize_t(unknown);
}

static PyObject *index_find(PyObject *self, PyObject *arguments)
{
    const key_use use = {0, 0, 0.0};
    PyObject *keys;
    PyObject *rows;
    if (!PyArg_ParseTuple(arguments, "OO:find", &keys, &rows)) {
        return NULL;
    }
    return find_all((index_object *)self, keys, rows, &use);
}

static PyObject *index_use(PyObject *self, PyObject *arguments)
{
    key_use use = {1, 1, 0.0};
    PyObject *keys;
    PyObject *rows;
    if (!PyArg_ParseTuple(arguments, "OOd:use", &keys, &rows, &use.now)) {
        return NULL;
    }
    return find_all((index_object *)self, keys, rows, &use);
}

/* Do something with the row of each key; keys without one are left out. */
static PyObject *for_each(index_object *index, PyObject *keys, const key_use *use)
{
    const Py_ssize_t count = count_of(keys);
    Py_ssize_t i;
    if (count < 0 || check_idle(index) < 0) {
        return NULL;
    }
    for (i = 0; i < count; ++i) {
        Py_ssize_t unknown = 0;
        int32_t row;
        if (find_chunk(index, keys, i, 1, use, &row, &unknown) < 0) {
            return NULL;
        }
    }
    return native_none();
}

static PyObject *index_mark(PyObject *self, PyObject *keys)
{
    const key_use use = {0, 1, 0.0};
    return for_each((index_object *)self, keys, &use);
}

static PyObject *index_touch(PyObject *self, PyObject *arguments)
{
    key_use use = {1, 0, 0.0};
    PyObject *keys;
    if (!PyArg_ParseTuple(arguments, "Od:touch", &keys, &use.now)) {
        return NULL;
    }
    return for_each((index_object *)self, keys, &use);
}

static PyObject *index_add(PyObject *self, PyObject *arguments)
{
    index_object *index = (index_object *)self;
    PyObject *keys;
    PyObject *rows;
    double now;
    Py_buffer view;
    Py_ssize_t count;
    Py_ssize_t i;
    if (!PyArg_ParseTuple(arguments, "OOd:add", &keys, &rows, &now) ||
        (count = count_of(keys)) < 0 || check_idle(index) < 0 ||
        rows_view(rows, count, &view) < 0) {
        return NULL;
    }
    for (i = 0; i < count; ++i) {
        hashed_key taken;
        if (take_key(keys, i, &taken) < 0) {
            break;
        }
        if (key_table_reserve(&index->table, 1) < 0) {
            Py_DECREF(taken.key);
            PyErr_NoMemory();
            break;
        }
        ((int32_t *)view.buf)[i] = (int32_t)key_table_add(&index->table, taken.key, taken.hash, now);
        Py_DECREF(taken.key);
    }
    PyBuffer_Release(&view);
    return i < count ? NULL : native_none();
}

static PyObject *index_remove(PyObject *self, PyObject *keys)
{
    index_object *index = (index_object *)self;
    const Py_ssize_t count = count_of(keys);
    Py_ssize_t i;
    if (count < 0 || check_idle(index) < 0) {
        return NULL;
    }
    for (i = 0; i < count; ++i) {
        hashed_key taken;
        uint32_t row;
        int result = take_key(keys, i, &taken);
        if (result < 0) {
            return NULL;
        }
        result = look_up(index, &taken, &row);
        if (result == 0 && row == KEY_NO_ROW) {
            PyErr_SetObject(PyExc_KeyError, taken.key);
            result = -1;
        }
        if (result == 0) {
            Py_DECREF(key_table_remove(&index->table, row, taken.hash));
        }
        Py_DECREF(taken.key);
        if (result < 0) {
            return NULL;
        }
    }
    return native_none();
}

/* A list of keys: of all rows, or of those that changed, whose marks are then taken away. */
static PyObject *listed(index_object *index, int changed)
{
    key_table *table = &index->table;
    PyObject *list = PyList_New(0);
    uint32_t row;
    for (row = 0; list != NULL && row < table->high; ++row) {
        if (changed && (row & 7) == 0 && table->changed[row >> 3] == 0) {
            row |= 7;
            continue;
        }
        if (!key_is_free(table->keys[row]) &&
            (!changed || (table->changed[row >> 3] >> (row & 7) & 1u)) &&
            PyList_Append(list, table->keys[row]) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *index_keys(PyObject *self, PyObject *unused)
{
    (void)unused;
    return listed((index_object *)self, 0);
}

static PyObject *index_take_changed(PyObject *self, PyObject *unused)
{
    index_object *index = (index_object *)self;
    PyObject *list = listed(index, 1);
    (void)unused;
    if (list != NULL && index->table.high != 0) {
        memset(index->table.changed, 0, ((size_t)index->table.high + 7) / 8);
    }
    return list;
}

static PyObject *index_oldest(PyObject *self, PyObject *argument)
{
    const key_table *table = &((index_object *)self)->table;
    Py_ssize_t count = PyLong_AsSsize_t(argument);
    PyObject *list;
    uint32_t row = table->oldest;
    if (count == -1 && PyErr_Occurred()) {
        return NULL;
    }
    list = PyList_New(0);
    while (list != NULL && count > 0 && row != KEY_NO_ROW && !key_is_free(table->keys[row])) {
        if (PyList_Append(list, table->keys[row]) < 0) {
            Py_CLEAR(list);
        }
        row = table->order[row].newer;
        --count;
    }
    return list;
}

static PyObject *index_idle(PyObject *self, PyObject *argument)
{
    const key_table *table = &((index_object *)self)->table;
    const double before = PyFloat_AsDouble(argument);
    const uint32_t tick = key_tick(table, before);
    uint32_t row = table->oldest;
    Py_ssize_t count = 0;
    if (before == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    for (; row != KEY_NO_ROW && table->order[row].used < tick; row = table->order[row].newer) {
        ++count;
    }
    return PyLong_FromSsize_t(count);
}

static PyObject *index_high(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(((index_object *)self)->table.high);
}

static Py_ssize_t index_length(PyObject *self)
{
    return ((index_object *)self)->table.count;
}

static int index_contains(PyObject *self, PyObject *key)
{
    index_object *index = (index_object *)self;
    const Py_hash_t hash = PyObject_Hash(key);
    hashed_key wanted;
    uint32_t row;
    if ((hash == -1 && PyErr_Occurred()) || check_idle(index) < 0) {
        return -1;
    }
    wanted.key = key;
    wanted.hash = key_hash(hash);
    return look_up(index, &wanted, &row) < 0 ? -1 : row != KEY_NO_ROW;
}

static PyObject *index_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    int ordered;
    index_object *index;
    (void)keywords;
    if (!PyArg_ParseTuple(arguments, "p:KeyIndex", &ordered)) {
        return NULL;
    }
    index = (index_object *)PyType_GenericAlloc(type, 0);
    if (index != NULL) {
        key_table_begin(&index->table, ordered);
    }
    return (PyObject *)index;
}

static int index_traverse(PyObject *self, visitproc visit, void *arg)
{
    const key_table *table = &((index_object *)self)->table;
    uint32_t row;
    Py_VISIT(Py_TYPE(self));
    for (row = 0; row < table->high; ++row) {
        if (!key_is_free(table->keys[row])) {
            Py_VISIT(table->keys[row]);
        }
    }
    return 0;
}

static int index_clear(PyObject *self)
{
    index_object *index = (index_object *)self;
    key_table table = index->table;
    uint32_t row;
    key_table_begin(&index->table, table.ordered);
    for (row = 0; row < table.high; ++row) {
        if (!key_is_free(table.keys[row])) {
            Py_DECREF(table.keys[row]);
        }
    }
    key_table_free(&table);
    return 0;
}

static void index_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    index_clear(self);
    native_free(self);
}

static PyMethodDef methods[] = {
    {"find", index_find, METH_VARARGS, "Write the rows of keys."},
    {"use", index_use, METH_VARARGS, "Write the rows of keys, which are then the last used."},
    {"touch", index_touch, METH_VARARGS, "Keys are then the last used."},
    {"mark", index_mark, METH_O, "Count keys as changed."},
    {"add", index_add, METH_VARARGS, "Give rows to new keys."},
    {"remove", index_remove, METH_O, "Take the rows of keys."},
    {"keys", index_keys, METH_NOARGS, "All keys."},
    {"take_changed", index_take_changed, METH_NOARGS, "Keys that changed since the last call."},
    {"oldest", index_oldest, METH_O, "Keys whose last use is longest ago."},
    {"idle", index_idle, METH_O, "How many keys were last used before this time."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"high", index_high, NULL, "Rows that were ever given to a key.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot type_slots[] = {
    {Py_tp_new, (void *)index_new},
    {Py_tp_dealloc, (void *)index_dealloc},
    {Py_tp_traverse, (void *)index_traverse},
    {Py_tp_clear, (void *)index_clear},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {Py_sq_length, (void *)index_length},
    {Py_sq_contains, (void *)index_contains},
    {0, NULL},
};

PyType_Spec native_key_index_spec = {
    .name = "edgernn._native.KeyIndex",
    .basicsize = sizeof(index_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = type_slots,
};
