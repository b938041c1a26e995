#include "edgernn_check.h"

/* Half a byte at a time: the table takes 64 bytes, where one for whole bytes would take 1,024. */
static const uint32_t of_half_byte[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
    0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
    0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

EDGERNN_NOT_INLINE uint32_t add(uint32_t crc, uint32_t value, int32_t bytes)
{
    for (; bytes > 0; --bytes) {
        crc = of_half_byte[(crc ^ value) & 15u] ^ (crc >> 4);
        crc = of_half_byte[(crc ^ (value >> 4)) & 15u] ^ (crc >> 4);
        value >>= 8;
    }
    return crc;
}

/* Arrays are read by their own names: a pointer that has changed may lead anywhere. */
#define DEFINE_CHECK_ARRAY(name, type, bytes)                                                     \
    EDGERNN_API uint32_t name(uint32_t crc, const type *const *member, const type *array,         \
                              int32_t count)                                                      \
    {                                                                                             \
        const volatile type *values = array;                                                      \
        for (; count > 0; --count) {                                                              \
            crc = add(crc, (uint32_t)*values++, bytes);                                           \
        }                                                                                         \
        return add(crc, *(const type *const volatile *)member == array ? 0u : 1u, 1);             \
    }

DEFINE_CHECK_ARRAY(edgernn_check_int8s, int8_t, 1)
DEFINE_CHECK_ARRAY(edgernn_check_uint8s, uint8_t, 1)
DEFINE_CHECK_ARRAY(edgernn_check_int16s, int16_t, 2)
DEFINE_CHECK_ARRAY(edgernn_check_int32s, int32_t, 4)

/* The same for all kernels that know the term's storage. */
#if EDGERNN_HAS_SPARSE
#define HAS_INDEX(term) ((term)->index != 0 ? 1u : 0u)
#else
#define HAS_INDEX(term) 0u
#endif
#if EDGERNN_HAS_INT4
#define BITS(term) ((uint32_t)(term)->bits)
#else
#define BITS(term) 8u
#endif

#define DEFINE_CHECK_TERM(name, type)                   \
    EDGERNN_API uint32_t name(uint32_t crc, const type *record) \
    {                                                   \
        const volatile type *term = record;             \
        crc = add(crc, (uint32_t)term->first, 4);       \
        crc = add(crc, (uint32_t)term->tiles, 4);       \
        crc = add(crc, HAS_INDEX(term), 1);             \
        return add(crc, BITS(term), 4);                 \
    }

DEFINE_CHECK_TERM(edgernn_check_term8, edgernn_term8)
DEFINE_CHECK_TERM(edgernn_check_term16, edgernn_term16)

EDGERNN_API uint32_t edgernn_check_map8(uint32_t crc, const edgernn_map8 *map,
                                        const edgernn_term8 *terms)
{
    const volatile edgernn_map8 *record = map;
    crc = add(crc, (uint32_t)record->rows, 4);
    crc = add(crc, (uint32_t)record->shift, 4);
    crc = add(crc, (uint32_t)record->term_count, 4);
    return add(crc, record->terms == terms ? 0u : 1u, 1);
}

EDGERNN_API uint32_t edgernn_check_map16(uint32_t crc, const edgernn_map16 *map,
                                         const edgernn_term16 *terms)
{
    const volatile edgernn_map16 *record = map;
    crc = add(crc, (uint32_t)record->rows, 4);
    crc = add(crc, (uint32_t)record->term_count, 4);
    return add(crc, record->terms == terms ? 0u : 1u, 1);
}

EDGERNN_API uint32_t edgernn_check_int32(uint32_t crc, const int32_t *member)
{
    return add(crc, (uint32_t) * (const volatile int32_t *)member, 4);
}

EDGERNN_API uint32_t edgernn_check_activation(uint32_t crc, const edgernn_activation *member)
{
    return add(crc, (uint32_t) * (const volatile edgernn_activation *)member, 4);
}

EDGERNN_API uint32_t edgernn_check_inputs(uint32_t crc, const edgernn_input_channel *channels,
                                          int32_t count)
{
    const volatile edgernn_input_channel *channel;
    for (channel = channels; channel != channels + count; ++channel) {
        crc = add(crc, (uint32_t)channel->center, 4);
        crc = add(crc, (uint32_t)channel->reach, 4);
        crc = add(crc, channel->multiplier, 4);
        crc = add(crc, (uint32_t)channel->shift, 4);
    }
    return crc;
}

EDGERNN_API uint32_t edgernn_check_outputs(uint32_t crc, const edgernn_output_channel *channels,
                                           int32_t count)
{
    const volatile edgernn_output_channel *channel;
    for (channel = channels; channel != channels + count; ++channel) {
        crc = add(crc, channel->multiplier, 4);
    }
    return crc;
}
