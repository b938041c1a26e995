/* Changes constants that the test has made writable, one bit at a time, and calls the check. */
#include <stdio.h>

typedef struct {
    const char *name;
    void *first;
    unsigned long bytes;
} place;

static int flips(const char *model, const place *places, unsigned long count, int32_t (*check)(void))
{
    unsigned long i;
    unsigned long k;
    int missed = 0;
    int bit;
    if (check() != 0) {
        printf("%s: refused as it is\n", model);
        return 1;
    }
    for (i = 0; i < count; ++i) {
        unsigned char *bytes = (unsigned char *)places[i].first;
        for (k = 0; k < places[i].bytes; ++k) {
            const unsigned char kept = bytes[k];
            for (bit = 0; bit < 8; ++bit) {
                bytes[k] = (unsigned char)(kept ^ (1 << bit));
                if (check() != 1) {
                    printf("%s: %s: byte %lu, bit %d\n", model, places[i].name, k, bit);
                    ++missed;
                }
            }
            bytes[k] = kept;
            if (k > 0 && bytes[k - 1] != kept) {
                bytes[k] = bytes[k - 1];
                bytes[k - 1] = kept;
                if (check() != 1) {
                    printf("%s: %s: bytes %lu and the one before it\n", model, places[i].name, k);
                    ++missed;
                }
                bytes[k - 1] = bytes[k];
                bytes[k] = kept;
            }
        }
    }
    return missed + (check() != 0);
}
