/* A stream as bytes, as FORMAT.md section 10 specifies it. `edgernn.backends.streams.stream_bytes`
 * does the same in Python, and says what is wrong with bytes that this does not take.
 */
#include "extension.h"

#include <string.h>

/* Flags: which parts there are. */
#define HELD 1
#define EARLY 2
#define LAST 4
#define CLIPPED 8

#define CRC_BYTES sizeof(uint32_t)

/* crc_tables[k][b]: the checksum of byte b and k zeros. */
static uint32_t crc_tables[4][256];

void native_make_crc_tables(void)
{
    uint32_t b;
    int k;
    for (b = 0; b < 256; ++b) {
        uint32_t crc = b;
        for (k = 0; k < 8; ++k) {
            crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
        }
        crc_tables[0][b] = crc;
    }
    for (b = 0; b < 256; ++b) {
        for (k = 1; k < 4; ++k) {
            const uint32_t before = crc_tables[k - 1][b];
            crc_tables[k][b] = (before >> 8) ^ crc_tables[0][before & 0xFF];
        }
    }
}

static uint32_t crc32(const unsigned char *bytes, size_t count)
{
    uint32_t crc = 0xFFFFFFFFu;
    while (count >= 4) {
        crc ^= (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
               (uint32_t)bytes[3] << 24;
        crc = crc_tables[3][crc & 0xFF] ^ crc_tables[2][crc >> 8 & 0xFF] ^
              crc_tables[1][crc >> 16 & 0xFF] ^ crc_tables[0][crc >> 24];
        bytes += 4;
        count -= 4;
    }
    while (count-- > 0) {
        crc = (crc >> 8) ^ crc_tables[0][(crc ^ *bytes++) & 0xFF];
    }
    return ~crc;
}

/* Bytes are little-endian, and so is every machine with a build; on another one Python does it. */
static int is_little_endian(void)
{
    const uint16_t one = 1;
    return *(const char *)&one == 1;
}

/* Where a part begins, or NULL where the flag says that there is none; `at` goes on behind it. */
static const char *take(const char **at, int there, size_t bytes)
{
    const char *from = *at;
    if (!there) {
        return NULL;
    }
    *at += bytes;
    return from;
}

/* Bytes of the parts behind the head, in their order. */
typedef struct {
    size_t clipped;
    size_t state;
    size_t held;
    size_t known;
    size_t last;
} part_bytes;

#define FIXED_BYTES (1 + sizeof(int64_t) + sizeof(uint64_t)) /* flags, sequence, bad readings */

static part_bytes parts_of(const native_program *program)
{
    const size_t inputs = (size_t)program->inputs;
    part_bytes parts;
    parts.clipped = inputs * sizeof(uint64_t);
    parts.state = program->state_count * sizeof(int16_t);
    parts.held = inputs * native_code_bytes(program);
    parts.known = inputs;
    parts.last = (size_t)program->outputs * sizeof(int16_t);
    return parts;
}

static size_t bytes_of(const native_program *program, size_t head, int flags)
{
    const part_bytes parts = parts_of(program);
    return head + FIXED_BYTES + (flags & CLIPPED ? parts.clipped : 0) + parts.state +
           (flags & (HELD | EARLY) ? parts.held : 0) + (flags & EARLY ? parts.known : 0) +
           (flags & LAST ? parts.last : 0) + CRC_BYTES;
}

int native_all_zero(const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0 && *at == 0) {
        ++at;
        --count;
    }
    return count == 0;
}

int native_are_codes(const native_program *program, const void *codes)
{
    const size_t bytes = native_code_bytes(program);
    const size_t inputs = (size_t)program->inputs;
    int good = 1;
    size_t i;
    if (codes == NULL || (program->width == 8 && !program->reads_tokens)) {
        return 1;
    }
    for (i = 0; i < inputs; ++i) {
        int16_t code;
        memcpy(&code, (const char *)codes + i * bytes, sizeof code);
        good &= native_is_code(program, (int32_t)i, code);
    }
    return good;
}

static char *put(char *to, const void *from, size_t bytes)
{
    if (from != NULL) {
        memcpy(to, from, bytes);
        to += bytes;
    }
    return to;
}

PyObject *native_write_carried(const native_program *program, const native_head *head,
                               const native_carried *carried)
{
    const part_bytes parts = parts_of(program);
    const void *clipped = carried->clipped == NULL || native_all_zero(carried->clipped, parts.clipped)
                              ? NULL
                              : carried->clipped;
    const int flags = (carried->held == NULL ? 0 : carried->known != NULL ? EARLY : HELD) |
                      (carried->last != NULL ? LAST : 0) | (clipped != NULL ? CLIPPED : 0);
    const size_t count = bytes_of(program, head->count, flags);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)count);
    char *begin = bytes == NULL ? NULL : PyBytes_AsString(bytes);
    char *to;
    uint32_t crc;
    if (begin == NULL) {
        return NULL;
    }
    to = put(begin, head->bytes, head->count);
    *to++ = (char)flags;
    to = put(to, &carried->sequence, sizeof carried->sequence);
    to = put(to, &carried->bad, sizeof carried->bad);
    to = put(to, clipped, parts.clipped);
    to = put(to, carried->state, parts.state);
    to = put(to, carried->held, parts.held);
    to = put(to, carried->known, parts.known);
    to = put(to, carried->last, parts.last);
    crc = crc32((const unsigned char *)begin, count - CRC_BYTES);
    memcpy(to, &crc, sizeof crc);
    return bytes;
}

/* Whether codes are there where they are said to be, and nowhere else, and some are. */
static int are_first_values(const native_program *program, const char *held,
                            const unsigned char *known)
{
    const size_t bytes = native_code_bytes(program);
    const size_t inputs = (size_t)program->inputs;
    int some = 0;
    size_t i;
    for (i = 0; i < inputs; ++i) {
        if (known[i] > 1 || (known[i] == 0 && !native_all_zero(held + i * bytes, bytes))) {
            return 0;
        }
        some |= known[i];
    }
    return some;
}

int native_read_carried(const native_program *program, const native_head *head, const char *bytes,
                        size_t count, native_carried *carried)
{
    const part_bytes parts = parts_of(program);
    const char *at = bytes + head->count;
    uint32_t crc;
    int flags;
    if (!is_little_endian() || count < head->count + FIXED_BYTES + CRC_BYTES ||
        memcmp(bytes, head->bytes, head->count) != 0) {
        return 0;
    }
    flags = *at++;
    if (flags & ~(HELD | EARLY | LAST | CLIPPED) || count != bytes_of(program, head->count, flags)) {
        return 0;
    }
    memcpy(&crc, bytes + count - CRC_BYTES, sizeof crc);
    if (crc != crc32((const unsigned char *)bytes, count - CRC_BYTES)) {
        return 0;
    }
    /* A stream of steps has both or neither. */
    if (!(flags & HELD) != !(flags & LAST) || (flags & HELD && flags & EARLY)) {
        return 0;
    }
    memcpy(&carried->sequence, take(&at, 1, sizeof carried->sequence), sizeof carried->sequence);
    memcpy(&carried->bad, take(&at, 1, sizeof carried->bad), sizeof carried->bad);
    carried->clipped = take(&at, flags & CLIPPED, parts.clipped);
    carried->state = take(&at, 1, parts.state);
    carried->held = take(&at, flags & (HELD | EARLY), parts.held);
    carried->known = take(&at, flags & EARLY, parts.known);
    carried->last = take(&at, flags & LAST, parts.last);
    return carried->sequence >= 0 &&
           (carried->clipped == NULL || !native_all_zero(carried->clipped, parts.clipped)) &&
           (carried->known == NULL || are_first_values(program, carried->held, carried->known));
}

static int parse_head(PyObject *head, native_head *into)
{
    char *bytes;
    Py_ssize_t count;
    if (PyBytes_AsStringAndSize(head, &bytes, &count) < 0) {
        return -1;
    }
    into->bytes = bytes;
    into->count = (size_t)count;
    return 0;
}

PyObject *native_stream_to_bytes(PyObject *self, PyObject *arguments)
{
    stream_object *stream = (stream_object *)self;
    native_carried carried = {0};
    unsigned long long bad;
    PyObject *given;
    native_head head;
    if (!PyArg_ParseTuple(arguments, "OK:to_bytes", &given, &bad) || parse_head(given, &head) < 0 ||
        native_check_idle(stream) < 0) {
        return NULL;
    }
    if (!is_little_endian()) {
        return native_none();
    }
    carried.sequence = stream->sequence;
    carried.bad = bad;
    carried.clipped = stream->memory.clipped;
    carried.state = stream->memory.state;
    if (stream->advanced) {
        carried.held = stream->memory.held;
        carried.last = stream->memory.last;
    }
    return native_write_carried(&stream->program->program, &head, &carried);
}

/* Continue from there; -1 with an error set, and the stream as it was, where there is no memory. */
static int continue_from(stream_object *stream, const native_carried *carried)
{
    const native_program *program = &stream->program->program;
    const part_bytes parts = parts_of(program);
    if (carried->clipped != NULL) {
        if (native_need_counts(stream) < 0) {
            return -1;
        }
        memcpy(stream->memory.clipped, carried->clipped, parts.clipped);
        stream->told = 1;
    } else if (stream->memory.clipped != NULL) {
        memset(stream->memory.clipped, 0, parts.clipped);
    }
    memcpy(stream->memory.state, carried->state, parts.state);
    stream->advanced = carried->held != NULL;
    if (stream->advanced) {
        memcpy(stream->memory.held, carried->held, parts.held);
        memcpy(stream->memory.last, carried->last, parts.last);
    }
    stream->sequence = carried->sequence;
    return 0;
}

PyObject *native_stream_from_bytes(PyObject *self, PyObject *arguments)
{
    stream_object *stream = (stream_object *)self;
    native_carried carried;
    PyObject *given;
    PyObject *from;
    native_head head;
    Py_buffer view;
    int result;
    if (!PyArg_ParseTuple(arguments, "OO:from_bytes", &given, &from) ||
        parse_head(given, &head) < 0 || native_check_idle(stream) < 0) {
        return NULL;
    }
    if (!PyBytes_Check(from) || PyObject_GetBuffer(from, &view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        return native_none();
    }
    result = native_read_carried(&stream->program->program, &head, view.buf, (size_t)view.len,
                                 &carried) &&
             carried.known == NULL && native_are_codes(&stream->program->program, carried.held);
    if (result) {
        result = continue_from(stream, &carried) < 0 ? -1 : 1;
    }
    PyBuffer_Release(&view);
    return result < 0 ? NULL : result ? PyLong_FromUnsignedLongLong(carried.bad) : native_none();
}
