/* From Python's tuples and arrays to a program. Everything happens twice: the first time only
 * counts memory, the second time fills it. Every size is checked both times, so that whatever the
 * caller hands over, kernels stay within their arrays.
 */
#ifndef EDGERNN_EXTENSION_PROGRAM_BUILDER_H
#define EDGERNN_EXTENSION_PROGRAM_BUILDER_H

#include "../extension.h"

typedef struct {
    native_arena arena;
    native_program *program;
} native_builder;

/* A copy of exactly that many bytes of a buffer. -1 with an error set; `what` is for its text. */
int native_copy_in(native_builder *builder, PyObject *from, size_t bytes, const char *what,
                   const void **place);

/* 0 where low <= got <= high; else -1 with an error set. */
int native_out_of_range(const char *what, int low, int high, int got);

/* Room of that size, filled from memory. */
int native_place(native_builder *builder, const void *from, size_t bytes, const void **place);

/* How the weights of a term are stored: what the builder hands over, and what kernels read. */
typedef struct {
    int first;         /* operand */
    PyObject *weights; /* tiles in the form of `edgernn.model.storage` */
    PyObject *index;   /* of a sparse term; NULL, or None: all tiles are there */
    int bits;          /* of a weight when packed: 8, or 4 without an index */
    int32_t tiles; /* of columns */
    const int8_t *packed;
    const uint8_t *places;
} native_storage;

/* The weights of a term with that many rows in the order of bytes of the instruction set, after a
 * check that they and their index are what kernels may read. */
int native_pack(native_builder *builder, native_storage *s, int32_t rows, int32_t operands);

/* A map of (shift, bias, terms) with that many rows, over operands of which there are so many. */
int native_build_map8(native_builder *builder, PyObject *from, int32_t rows, int32_t operands,
                      edgernn_map8 *map);
int native_build_map16(native_builder *builder, PyObject *from, int32_t rows, int32_t operands,
                       edgernn_map16 *map);

#define NATIVE_MAX_NORMS 64

/* Constants that normalise, of a tuple of (elements, least, most and square bits, gain, shift,
 * epsilon). How many elements each is for goes to widths[NATIVE_MAX_NORMS]; returns how many there
 * are, -1 with an error set. */
int native_build_norms(native_builder *builder, PyObject *from, native_layer *layer,
                       int32_t *widths);

#define NATIVE_MAX_TABLES 64

/* Tables of an embedding, of a tuple of (rows, columns, entries). How many columns each has goes to
 * columns[NATIVE_MAX_TABLES]; returns how many tables there are, -1 with an error set. */
int native_build_tables(native_builder *builder, PyObject *from, native_layer *layer,
                        int32_t *columns);

#define NATIVE_MAX_CURVES 64
#define NATIVE_MAX_LEAKS 64

/* Functions as tables, of a tuple of (bits of a step, low, high, entries). Returns how many there
 * are, -1 with an error set. */
int native_build_curves(native_builder *builder, PyObject *from, native_layer *layer);

/* Constants of leaky sums, of a tuple of (elements, high, low, shift). How many elements each has
 * goes to widths[NATIVE_MAX_LEAKS]; returns how many there are, -1 with an error set. */
int native_build_leaks(native_builder *builder, PyObject *from, native_layer *layer,
                       int32_t *widths);

/* How many tokens each channel of the model's input has: int32 [inputs], 0 of a real one. */
int native_build_vocabulary(native_builder *builder, PyObject *from);

/* What a layer of operations is made of: maps of (rows, map), and (scratch, operands behind
 * the input, widths of the states, place of the output, instructions, values of its input that the
 * scratch begins with: all or none, constants that scale, then, if there are any, those that
 * normalise, whether the output is input codes, tables, curves and leaks). What it needs of scratch, operands and
 * states goes to the last three. */
int native_build_operations(native_builder *builder, PyObject *maps, PyObject *step,
                            native_layer *layer, size_t *scratch, size_t *hidden, size_t *states);

/* One layer of (kind, inputs, units, activation, cell exponent, maps), of operations with
 * their step behind it. */
int native_build_layer(native_builder *builder, PyObject *from, native_layer *layer);

/* What each of the layers and then the output reads: nothing for a chain, or tuples of parts of
 * (source, start, width). Gives outputs that are no state a place. */
int native_build_routes(native_builder *builder, PyObject *from, native_layer *layers);

#endif
