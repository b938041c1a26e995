#include "builder.h"

#define MOST_WEIGHTS 0x7FFFFFFF /* bytes of a term, which kernels count in int32_t */

static int refuse_weights(const native_storage *s, int32_t rows, int32_t operands, Py_ssize_t bytes)
{
    PyErr_Format(PyExc_ValueError,
                 "weights: expected whole tiles of %d rows for operands %d to %d, got %zd bytes",
                 (int)rows, s->first, (int)operands, bytes);
    return -1;
}

/* The number of tiles that an index of so many groups of rows names, of at most `most` columns of
 * tiles; -1 where it is none. */
static Py_ssize_t count_tiles(const Py_buffer *index, int32_t groups, int32_t most, int32_t *tiles)
{
    const uint8_t *at = index->buf;
    const uint8_t *end = at + index->len;
    Py_ssize_t count = 0;
    *tiles = 0;
    for (; groups > 0 && at != end; --groups) {
        int32_t left = *at++ + 1;
        count += left;
        for (; left > 0 && at != end && *at < most; --left, ++at) {
            *tiles = *at >= *tiles ? *at + 1 : *tiles;
        }
        if (left > 0) {
            return -1;
        }
    }
    return groups == 0 && at == end ? count : -1;
}

/* The index of a sparse term, if it fits that many bytes of weights. */
static int copy_index(native_builder *builder, native_storage *s, int32_t rows, int32_t operands,
                      Py_ssize_t bytes)
{
    const int32_t groups = EDGERNN_PADDED(rows) / 4;
    const void *copy = NULL;
    Py_buffer index;
    int result = -1;
    if (PyObject_GetBuffer(s->index, &index, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    if (count_tiles(&index, groups, (operands - s->first) / 4, &s->tiles) !=
            bytes / EDGERNN_TILE_BYTES ||
        bytes % EDGERNN_TILE_BYTES != 0) {
        PyErr_Format(PyExc_ValueError,
                     "index: expected the places of %zd bytes of tiles, for %d rows and operands "
                     "%d to %d, got another one of %zd bytes",
                     bytes, (int)rows, s->first, (int)operands, index.len);
    } else {
        result = native_place(builder, index.buf, (size_t)index.len, &copy);
    }
    PyBuffer_Release(&index);
    s->places = copy;
    return result;
}

/* Weights of half a byte: all tiles are there, and all in [-7, 7]. */
static int check_int4(const native_storage *s, const Py_buffer *weights)
{
    const int8_t *w = weights->buf;
    Py_ssize_t i;
    if (s->index != NULL) {
        PyErr_SetString(PyExc_ValueError, "index: expected none for weights of 4 bits, got one");
        return -1;
    }
    for (i = 0; i < weights->len; ++i) {
        if (w[i] < -7 || w[i] > 7) {
            PyErr_Format(PyExc_ValueError, "weights: expected -7..7 for 4 bits, got %d", w[i]);
            return -1;
        }
    }
    return 0;
}

/* Whether there are as many weights as rows, operands and the index say. */
static int check_weights(native_builder *builder, native_storage *s, int32_t rows, int32_t operands,
                         const Py_buffer *weights)
{
    const Py_ssize_t bytes = weights->len;
    const size_t row_bytes = 4 * (size_t)EDGERNN_PADDED(rows);
    const size_t tiles = (size_t)bytes / row_bytes;
    s->places = NULL;
    if (s->first < 0 || s->first % 4 != 0 || s->first >= operands || bytes == 0) {
        return refuse_weights(s, rows, operands, bytes);
    }
    if (s->bits != 8 && s->bits != 4) {
        PyErr_Format(PyExc_ValueError, "bits: expected 4 or 8, got %d", s->bits);
        return -1;
    }
    if (s->bits == 4 && check_int4(s, weights) < 0) {
        return -1;
    }
    if (s->index != NULL) {
        return copy_index(builder, s, rows, operands, bytes);
    }
    if ((size_t)bytes % row_bytes != 0 || tiles > (size_t)(operands - s->first) / 4) {
        return refuse_weights(s, rows, operands, bytes);
    }
    s->tiles = (int32_t)tiles;
    return 0;
}

static void pack(const native_builder *builder, const native_storage *s, const Py_buffer *weights,
                 int8_t *packed)
{
    const native_isa *isa = builder->program->isa;
    const size_t tiles = (size_t)weights->len / EDGERNN_TILE_BYTES;
    if (builder->program->width == 8) {
        (s->bits == 4 ? isa->pack4_8 : isa->pack8)(weights->buf, tiles, packed);
    } else {
        (s->bits == 4 ? isa->pack4_16 : isa->pack16)(weights->buf, tiles, packed);
    }
}

int native_pack(native_builder *builder, native_storage *s, int32_t rows, int32_t operands)
{
    const size_t read_ahead = builder->program->isa->read_ahead;
    Py_buffer view;
    void *packed = NULL;
    int result = -1;
    s->index = s->index == Py_None ? NULL : s->index;
    if (PyObject_GetBuffer(s->weights, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    if (check_weights(builder, s, rows, operands, &view) < 0) {
        /* says why */
    } else if ((size_t)view.len > MOST_WEIGHTS) {
        PyErr_Format(PyExc_ValueError, "weights: expected at most %d bytes, got %zd", MOST_WEIGHTS,
                     view.len);
    } else if (native_take(&builder->arena, (size_t)view.len / (s->bits == 4 ? 2 : 1) + read_ahead, &packed) < 0) {
        PyErr_NoMemory();
    } else {
        result = 0;
        if (s->index == NULL && s->bits == 8) {
            builder->program->dense_bytes += (size_t)view.len;
        }
        if (packed != NULL) {
            pack(builder, s, &view, packed);
        }
    }
    PyBuffer_Release(&view);
    s->packed = packed;
    return result;
}
