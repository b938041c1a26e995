/* Which instruction sets there are. The build names those it has compiled: NATIVE_HAS_*. */
#include "program/program.h"

#include <string.h>

extern const native_isa native_portable;
extern const native_isa native_avx2;
extern const native_isa native_avx512;
extern const native_isa native_neon;
extern const native_isa native_dot;

static const native_isa *const compiled[] = {
#ifdef NATIVE_HAS_AVX512
    &native_avx512,
#endif
#ifdef NATIVE_HAS_AVX2
    &native_avx2,
#endif
#ifdef NATIVE_HAS_SDOT
    &native_dot,
#endif
#ifdef NATIVE_HAS_NEON
    &native_neon,
#endif
    &native_portable,
};

const native_isa *native_isa_at(size_t index)
{
    size_t i;
    for (i = 0; i < sizeof compiled / sizeof compiled[0]; ++i) {
        if (compiled[i]->supported() && index-- == 0) {
            return compiled[i];
        }
    }
    return NULL;
}

const native_isa *native_isa_named(const char *name)
{
    const native_isa *isa;
    size_t i;
    for (i = 0; (isa = native_isa_at(i)) != NULL; ++i) {
        if (strcmp(name, isa->name) == 0 || strcmp(name, "auto") == 0) {
            break;
        }
    }
    return isa;
}
