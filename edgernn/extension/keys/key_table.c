/* The hash table of keys, and the list of rows by their last use. */
#define _GNU_SOURCE /* mremap */
#include "key_table.h"

#include <string.h>
#include <sys/mman.h>

#define GROWTH(n) ((n) + (n) / 4 + 256)

/* *array of `before` bytes with room for `after`; the new ones are zeros. 0 bytes are no array. */
static int remap(void *array, size_t before, size_t after)
{
    void *pages;
    memcpy(&pages, array, sizeof pages);
    if (before == 0) {
        pages = mmap(NULL, after, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    } else {
        pages = mremap(pages, before, after, MREMAP_MAYMOVE);
    }
    if (pages == MAP_FAILED) {
        return -1;
    }
    memcpy(array, &pages, sizeof pages);
    return 0;
}

static void unmap(void *pages, size_t bytes)
{
    if (bytes != 0) {
        (void)munmap(pages, bytes);
    }
}

static size_t flag_bytes(size_t rows)
{
    return (rows + 7) / 8;
}

void key_table_begin(key_table *table, int ordered)
{
    memset(table, 0, sizeof *table);
    table->ordered = ordered;
    table->free = table->oldest = table->newest = KEY_NO_ROW;
}

void key_table_free(key_table *table)
{
    const int ordered = table->ordered;
    const size_t room = table->room;
    unmap(table->keys, room * sizeof *table->keys);
    unmap(table->changed, flag_bytes(room));
    unmap(table->order, ordered ? room * sizeof *table->order : 0);
    unmap(table->slots, table->slot_count * sizeof *table->slots);
    key_table_begin(table, ordered);
}

static int grow_rows(key_table *table, size_t rows)
{
    const size_t room = table->room;
    const size_t key = sizeof *table->keys;
    const size_t order = sizeof *table->order;
    if (remap(&table->keys, room * key, rows * key) < 0) {
        return -1;
    }
    if (remap(&table->changed, flag_bytes(room), flag_bytes(rows)) < 0) {
        (void)remap(&table->keys, rows * key, room * key);
        return -1;
    }
    if (table->ordered && remap(&table->order, room * order, rows * order) < 0) {
        (void)remap(&table->keys, rows * key, room * key);
        (void)remap(&table->changed, flag_bytes(rows), flag_bytes(room));
        return -1;
    }
    table->room = (uint32_t)rows;
    return 0;
}

/* Put a row into the first free place from its home on. */
static void place(key_table *table, uint32_t hash, uint32_t row)
{
    uint32_t slot = key_home(table, hash);
    while (table->slots[slot].row != 0) {
        slot = key_next_slot(table, slot);
    }
    table->slots[slot].hash = hash;
    table->slots[slot].row = row + 1;
}

static int grow_slots(key_table *table, size_t count)
{
    key_slot *before = table->slots;
    const uint32_t count_before = table->slot_count;
    uint32_t i;
    key_slot *after = NULL;
    if (remap(&after, 0, count * sizeof *after) < 0) {
        return -1;
    }
    table->slots = after;
    table->slot_count = (uint32_t)count;
    for (i = 0; i < count_before; ++i) {
        if (before[i].row != 0) {
            place(table, before[i].hash, before[i].row - 1);
        }
    }
    unmap(before, count_before * sizeof *before);
    return 0;
}

int key_table_reserve(key_table *table, size_t more)
{
    const size_t keys = table->count + more;
    const size_t high = keys > table->high ? keys : table->high;
    const size_t slots = keys + keys / 6 + 2; /* at most six sevenths are taken */
    if (high >= INT32_MAX / 2) {
        return -1;
    }
    if (high > table->room) {
        const size_t grown = GROWTH((size_t)table->room);
        if (grow_rows(table, high > grown ? high : grown) < 0) {
            return -1;
        }
    }
    if (slots > table->slot_count) {
        const size_t grown = GROWTH((size_t)table->slot_count);
        return grow_slots(table, slots > grown ? slots : grown);
    }
    return 0;
}

static void link_newest(key_table *table, uint32_t row, double now)
{
    key_order *order = &table->order[row];
    order->used = key_tick(table, now);
    order->older = table->newest;
    order->newer = KEY_NO_ROW;
    if (table->newest == KEY_NO_ROW) {
        table->oldest = row;
    } else {
        table->order[table->newest].newer = row;
    }
    table->newest = row;
}

static void unlink_row(key_table *table, uint32_t row)
{
    const uint32_t older = table->order[row].older;
    const uint32_t newer = table->order[row].newer;
    *(older == KEY_NO_ROW ? &table->oldest : &table->order[older].newer) = newer;
    *(newer == KEY_NO_ROW ? &table->newest : &table->order[newer].older) = older;
}

void key_table_renew(key_table *table, uint32_t row, double now)
{
    if (!table->ordered) {
        return;
    }
    if (table->newest == row) {
        table->order[row].used = key_tick(table, now);
        return;
    }
    unlink_row(table, row);
    link_newest(table, row, now);
}

uint32_t key_table_add(key_table *table, PyObject *key, uint32_t hash, double now)
{
    uint32_t row = table->free;
    if (row == KEY_NO_ROW) {
        row = table->high++;
    } else {
        table->free = (uint32_t)((uintptr_t)table->keys[row] >> 1);
        if (table->free == KEY_NO_ROW >> 1) {
            table->free = KEY_NO_ROW;
        }
    }
    table->keys[row] = Py_NewRef(key);
    table->changed[row >> 3] &= (uint8_t)~(1u << (row & 7));
    place(table, hash, row);
    table->count++;
    if (table->ordered) {
        if (table->high == 1 && table->count == 1) {
            table->begin = now;
        }
        link_newest(table, row, now);
    }
    return row;
}

/* Free a place: those behind it that a search would no longer find move up. */
static void vacate(key_table *table, uint32_t slot)
{
    uint32_t next = slot;
    for (;;) {
        uint32_t home;
        next = key_next_slot(table, next);
        if (table->slots[next].row == 0) {
            break;
        }
        home = key_home(table, table->slots[next].hash);
        /* It stays if its home lies behind the free place, up to itself. */
        if (slot <= next ? slot < home && home <= next : slot < home || home <= next) {
            continue;
        }
        table->slots[slot] = table->slots[next];
        slot = next;
    }
    table->slots[slot].row = 0;
}

PyObject *key_table_remove(key_table *table, uint32_t row, uint32_t hash)
{
    PyObject *key = table->keys[row];
    const uint32_t next = table->free == KEY_NO_ROW ? KEY_NO_ROW >> 1 : table->free;
    uint32_t slot = key_home(table, hash);
    while (table->slots[slot].row != row + 1) {
        slot = key_next_slot(table, slot);
    }
    vacate(table, slot);
    if (table->ordered) {
        unlink_row(table, row);
    }
    table->changed[row >> 3] &= (uint8_t)~(1u << (row & 7));
    table->keys[row] = (PyObject *)(((uintptr_t)next << 1) | 1u); /* see key_is_free */
    table->free = row;
    table->count--;
    return key;
}
