/* How fast this processor reads an array that is as large as a network's weights. */
#include <stddef.h>
#include <stdint.h>

uint64_t edgernn_read_passes(const void *memory, size_t size, size_t passes);

/* 64 bytes: one load where registers are as wide, several of the widest elsewhere. */
typedef uint64_t wide __attribute__((vector_size(64)));

/* Read size bytes, a multiple of 64 at an aligned address, as often as passes says. Returns the
 * sum of the array's 64-bit words over all passes, so that no load can be left out. */
uint64_t edgernn_read_passes(const void *memory, size_t size, size_t passes)
{
    const wide *words = memory;
    const size_t count = size / sizeof(wide);
    /* Eight sums, so that a load never waits for the addition before it; each has a name, as the
     * compiler keeps an array of them in memory. */
    wide a = {0}, b = a, c = a, d = a, e = a, f = a, g = a, h = a;
    uint64_t total = 0;
    size_t i;
    for (; passes > 0; --passes) {
        for (i = 0; i + 8 <= count; i += 8) {
            a += words[i];
            b += words[i + 1];
            c += words[i + 2];
            d += words[i + 3];
            e += words[i + 4];
            f += words[i + 5];
            g += words[i + 6];
            h += words[i + 7];
        }
        for (; i < count; ++i) {
            a += words[i];
        }
        /* For all the compiler knows, the next pass reads another array. */
        __asm__ volatile("" : "+r"(words));
    }
    a += b + c + d + e + f + g + h;
    for (i = 0; i < sizeof(wide) / sizeof total; ++i) {
        total += a[i];
    }
    return total;
}
