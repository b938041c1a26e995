/* QEMU plugin: instructions between the entry of one function and its return, call by call.
 *
 *   -plugin insn_count.so,entry=0x1a2c,out=counts.txt
 *
 * Writes one decimal number per call. Callees are included. The return address is the end of the
 * translation block that was executed before the entry, hence the function must be called by an
 * ordinary call instruction and must not call itself. A block is counted as a whole; an
 * instruction of an IT block whose condition fails counts, as it does take its place in the
 * pipeline. Interrupts, of which the harness has none, would be counted as well.
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

/* The oldest interface that has everything used here; newer QEMUs may ask for -DQPV=n. */
#ifndef QPV
#define QPV 1
#endif

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info qemu_info_t;
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
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);

#define EXPORT __attribute__((visibility("default")))
EXPORT extern int qemu_plugin_version;
EXPORT int qemu_plugin_install(qemu_plugin_id_t, const qemu_info_t *, int argc, char **argv);

int qemu_plugin_version = QPV;

typedef struct {
    uint64_t start;
    uint64_t end;
    uint64_t instructions;
} block_t;

static uint64_t entry;
static FILE *out;
static const block_t *previous;
static bool inside;
static uint64_t return_address;
static uint64_t count;

static void executed(unsigned int cpu, void *data)
{
    const block_t *block = data;
    (void)cpu;
    if (inside && block->start == return_address) {
        fprintf(out, "%llu\n", (unsigned long long)count);
        inside = false;
    } else if (!inside && block->start == entry && previous != NULL) {
        inside = true;
        return_address = previous->end;
        count = 0;
    }
    if (inside) {
        count += block->instructions;
    }
    previous = block;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    const size_t n = qemu_plugin_tb_n_insns(tb);
    const struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(tb, n - 1);
    /* Never freed: QEMU keeps the pointer as long as it keeps the block. */
    block_t *block = malloc(sizeof *block);
    (void)id;
    if (block == NULL) {
        abort();
    }
    block->start = qemu_plugin_tb_vaddr(tb);
    block->end = qemu_plugin_insn_vaddr(last) + qemu_plugin_insn_size(last);
    block->instructions = n;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, block);
}

static void ended(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    if (fclose(out) != 0) {
        abort();
    }
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "entry=", 6) == 0) {
            entry = strtoull(argv[i] + 6, NULL, 0);
        } else if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "w");
        }
    }
    if (entry == 0 || out == NULL) {
        fprintf(stderr, "insn_count: expected entry=ADDRESS and out=FILE that can be written\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
