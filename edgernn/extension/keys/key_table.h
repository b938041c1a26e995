/* Keys by row: a hash table with linear probing, and the order in which they were used. */
#ifndef EDGERNN_EXTENSION_KEYS_KEY_TABLE_H
#define EDGERNN_EXTENSION_KEYS_KEY_TABLE_H

#include "../extension.h"

#define KEY_NO_ROW UINT32_MAX

/* A place of the hash table; `row` is one more than the row, 0 where the place is free. */
typedef struct {
    uint32_t hash;
    uint32_t row;
} key_slot;

/* When a row was last used, see key_tick, and the rows used before and after it. */
typedef struct {
    uint32_t used;
    uint32_t older;
    uint32_t newer;
} key_order;

/* Arrays by row have `room` elements, of which `high` were ever used. They are mapped, not
 * allocated: what grows is not copied, and what is not used yet takes no memory. */
typedef struct {
    PyObject **keys;   /* a free row holds the next one, see key_is_free */
    uint8_t *changed;  /* a bit for each row */
    key_order *order;  /* none without an order */
    key_slot *slots;
    uint32_t slot_count;
    uint32_t room;
    uint32_t high;
    uint32_t count;    /* of keys */
    uint32_t free;     /* first free row below `high` */
    uint32_t oldest;
    uint32_t newest;
    int ordered;
    double begin;      /* of the count of ticks; 0 before the first key */
} key_table;

/* Free rows form a list: an odd number stands for the next one. */
static inline int key_is_free(const PyObject *key)
{
    return ((uintptr_t)key & 1u) != 0;
}

static inline uint32_t key_hash(Py_hash_t hash)
{
    const uint64_t wide = (uint64_t)hash;
    return (uint32_t)(wide ^ (wide >> 32));
}

/* Eighths of a second since the first key, for seventeen years; less memory than a double. */
static inline uint32_t key_tick(const key_table *table, double now)
{
    const double ticks = (now - table->begin) * 8.0;
    return ticks <= 0.0 ? 0 : ticks >= (double)UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
}

/* Where the search for a hash begins: numbers one after another are far from each other. */
static inline uint32_t key_home(const key_table *table, uint32_t hash)
{
    return (uint32_t)(((uint64_t)(hash * UINT32_C(2654435769)) * table->slot_count) >> 32);
}

static inline uint32_t key_next_slot(const key_table *table, uint32_t slot)
{
    return slot + 1 == table->slot_count ? 0 : slot + 1;
}

void key_table_begin(key_table *table, int ordered);
void key_table_free(key_table *table);

/* Room for so many more keys; -1, without an error set, where there is no memory. */
int key_table_reserve(key_table *table, size_t more);

/* A row for a key that has none, which is then the last used. Takes a reference; needs room. */
uint32_t key_table_add(key_table *table, PyObject *key, uint32_t hash, double now);

/* Free the row and return the reference. */
PyObject *key_table_remove(key_table *table, uint32_t row, uint32_t hash);

/* The row is then the last used. */
void key_table_renew(key_table *table, uint32_t row, double now);

static inline void key_table_mark(key_table *table, uint32_t row)
{
    table->changed[row >> 3] |= (uint8_t)(1u << (row & 7));
}

#endif
