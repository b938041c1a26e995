/* QEMU plugin: instructions between the entry of one function and its return.
 *
 *   -plugin insn_count.so,entry=0x1a2c,calls=calls.txt,addresses=addresses.txt
 *
 * calls       one decimal number per call: instructions, callees included.
 * addresses   over all calls, one line for every instruction that was executed, by address:
 *             address, how often it was executed, and how often the next instruction executed was
 *             not the one behind it in memory: "0x1a2e 640 620". The second column adds up to the
 *             sum of calls.
 *
 * The return address is the end of the translation block that was executed before the entry, hence
 * the function must be called by an ordinary call instruction and must not call itself. A block is
 * counted as a whole, and only its last instruction can branch; an instruction of an IT block whose
 * condition fails counts, as it does take its place in the pipeline. Interrupts, of which the
 * harness has none, would be counted as well.
 *
 * The prototypes are written down here from QEMU's documentation of its plugin interface, because
 * distributions do not ship the header.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The oldest interface that has everything used here; newer QEMUs may require -DQPV=n. */
#ifndef QPV
#define QPV 1
#endif

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
    const char *target_name;
    /* More follows that is not used here. */
} qemu_info_t;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

typedef void (*translated_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed_t)(unsigned int cpu, void *data);
typedef void (*ended_t)(qemu_plugin_id_t, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_t);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed_t,
                                          enum qemu_plugin_cb_flags, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, ended_t, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);

#define EXPORT __attribute__((visibility("default")))
EXPORT extern int qemu_plugin_version;
EXPORT int qemu_plugin_install(qemu_plugin_id_t, const qemu_info_t *, int argc, char **argv);

int qemu_plugin_version = QPV;

typedef struct {
    uint64_t address;
    uint64_t executed;
    uint64_t taken;
} place_t;

typedef struct block {
    uint64_t start;
    uint64_t end;
    uint64_t executed; /* within calls */
    uint64_t taken;    /* of these, how often it went elsewhere than on to `end` */
    struct block *next;
    size_t instructions;
    uint64_t addresses[];
} block_t;

static bool riscv;
static uint64_t entry;
static FILE *calls;
static FILE *addresses;
static block_t *blocks;
static block_t *previous;
static bool inside;
static uint64_t return_address;
static uint64_t count;

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void executed(unsigned int cpu, void *data)
{
    block_t *block = data;
    (void)cpu;
    if (inside && block->start != previous->end) {
        previous->taken++;
    }
    if (inside && block->start == return_address) {
        fprintf(calls, "%llu\n", (unsigned long long)count);
        inside = false;
    } else if (!inside && block->start == entry && previous != NULL) {
        inside = true;
        return_address = previous->end;
        count = 0;
    }
    if (inside) {
        count += block->instructions;
        block->executed++;
    }
    previous = block;
}

/* Bytes of an instruction, by its first halfword. At the end of a page, QEMU 7.2 counts halfwords of
 * the next Thumb instruction as part of the last one, hence not qemu_plugin_insn_size. */
static uint64_t length(const struct qemu_plugin_insn *insn)
{
    const uint8_t *bytes = qemu_plugin_insn_data(insn);
    const unsigned int half = bytes[0] | (unsigned int)bytes[1] << 8;
    return (riscv ? (half & 3) == 3 : half >= 0xE800) ? 4 : 2;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    const size_t n = qemu_plugin_tb_n_insns(tb);
    const struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(tb, n - 1);
    /* Never freed: QEMU keeps the pointer as long as it keeps the block, `ended` reads the count. */
    block_t *block = allocate(sizeof *block + n * sizeof block->addresses[0]);
    (void)id;
    block->start = qemu_plugin_tb_vaddr(tb);
    block->end = qemu_plugin_insn_vaddr(last) + length(last);
    block->executed = 0;
    block->taken = 0;
    block->instructions = n;
    for (size_t i = 0; i < n; i++) {
        block->addresses[i] = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, i));
    }
    block->next = blocks;
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, block);
}

static int by_address(const void *left, const void *right)
{
    const place_t *a = left;
    const place_t *b = right;
    return (a->address > b->address) - (a->address < b->address);
}

/* Blocks overlap where a branch leads into the middle of one, hence the sum over equal addresses. */
static void write_addresses(void)
{
    size_t n = 0;
    for (const block_t *b = blocks; b != NULL; b = b->next) {
        n += b->executed ? b->instructions : 0;
    }
    place_t *places = allocate((n + 1) * sizeof *places);
    n = 0;
    for (const block_t *b = blocks; b != NULL; b = b->next) {
        for (size_t i = 0; b->executed && i < b->instructions; i++) {
            const uint64_t taken = i + 1 == b->instructions ? b->taken : 0;
            places[n++] = (place_t){b->addresses[i], b->executed, taken};
        }
    }
    qsort(places, n, sizeof *places, by_address);
    for (size_t i = 0; i < n;) {
        place_t sum = places[i];
        while (++i < n && places[i].address == sum.address) {
            sum.executed += places[i].executed;
            sum.taken += places[i].taken;
        }
        fprintf(addresses, "0x%llx %llu %llu\n", (unsigned long long)sum.address,
                (unsigned long long)sum.executed, (unsigned long long)sum.taken);
    }
    free(places);
}

static void ended(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    write_addresses();
    if (fclose(calls) != 0 || fclose(addresses) != 0) {
        abort();
    }
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    riscv = strncmp(info->target_name, "riscv", 5) == 0;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "entry=", 6) == 0) {
            entry = strtoull(argv[i] + 6, NULL, 0);
        } else if (strncmp(argv[i], "calls=", 6) == 0) {
            calls = fopen(argv[i] + 6, "w");
        } else if (strncmp(argv[i], "addresses=", 10) == 0) {
            addresses = fopen(argv[i] + 10, "w");
        }
    }
    if (entry == 0 || calls == NULL || addresses == NULL) {
        fprintf(stderr, "insn_count: expected entry=ADDRESS and calls=FILE and addresses=FILE "
                        "that can be written\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
