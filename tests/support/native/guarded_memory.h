/* Memory whose end is the end of what may be touched. */
#ifndef GUARDED_MEMORY_H
#define GUARDED_MEMORY_H

#include <stdlib.h>
#include <sys/mman.h>

enum { GUARD_BYTES = 65536, MOST_BYTES = 2 * GUARD_BYTES };

/* `bytes` in front of a page that may not be touched. */
static void *guarded(size_t bytes)
{
    char *page = mmap(NULL, MOST_BYTES + GUARD_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page + MOST_BYTES, GUARD_BYTES, PROT_NONE) != 0) {
        exit(2);
    }
    return page + MOST_BYTES - bytes;
}

static void release(void *memory, size_t bytes)
{
    munmap((char *)memory + bytes - MOST_BYTES, MOST_BYTES + GUARD_BYTES);
}

#endif
