/* Whether a model's constants are those that were exported: their CRC-32, for a self-test at boot.
 *
 * The CRC is that of Ethernet and zlib. Of a value the lowest byte comes first, for any order in
 * memory. Every function takes the CRC so far and returns the one with its constants. What they
 * read is volatile to them: it comes from memory, not from a constant that the compiler has folded.
 */
#ifndef EDGERNN_CHECK_H
#define EDGERNN_CHECK_H

#include <stdint.h>

#include "edgernn_affine.h"
#include "edgernn_border.h"
#include "edgernn_tables.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EDGERNN_CHECK_BEGIN 0xFFFFFFFFu
#define EDGERNN_CHECK_END(crc) ((crc) ^ 0xFFFFFFFFu)

/* An array of constants, and whether the member that names it still does. */
EDGERNN_API uint32_t edgernn_check_int8s(uint32_t crc, const int8_t *const *member,
                                         const int8_t *array, int32_t count);
EDGERNN_API uint32_t edgernn_check_uint8s(uint32_t crc, const uint8_t *const *member,
                                          const uint8_t *array, int32_t count);
EDGERNN_API uint32_t edgernn_check_int16s(uint32_t crc, const int16_t *const *member,
                                          const int16_t *array, int32_t count);
EDGERNN_API uint32_t edgernn_check_int32s(uint32_t crc, const int32_t *const *member,
                                          const int32_t *array, int32_t count);

/* What else a record holds. */
EDGERNN_API uint32_t edgernn_check_term8(uint32_t crc, const edgernn_term8 *term);
EDGERNN_API uint32_t edgernn_check_term16(uint32_t crc, const edgernn_term16 *term);
EDGERNN_API uint32_t edgernn_check_map8(uint32_t crc, const edgernn_map8 *map,
                                        const edgernn_term8 *terms);
EDGERNN_API uint32_t edgernn_check_map16(uint32_t crc, const edgernn_map16 *map,
                                         const edgernn_term16 *terms);
EDGERNN_API uint32_t edgernn_check_int32(uint32_t crc, const int32_t *member);
EDGERNN_API uint32_t edgernn_check_activation(uint32_t crc, const edgernn_activation *member);
EDGERNN_API uint32_t edgernn_check_inputs(uint32_t crc, const edgernn_input_channel *channels,
                                          int32_t count);
EDGERNN_API uint32_t edgernn_check_outputs(uint32_t crc, const edgernn_output_channel *channels,
                                           int32_t count);

#ifdef __cplusplus
}
#endif

#endif
