/* Streams the file input.bin through the model and writes the results of every step.
 *
 * output.bin  per step: int16 outputs, then the state, little-endian: the first
 *             MODEL_STATE_BYTES bytes of the state struct. Windows begin padded, so that all steps
 *             of one hop are alike.
 * facts.bin   uint32: bytes of stack one step used at most, bytes of the model's state struct.
 *
 * Exit codes are those of semihosting.h.
 */
#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "semihosting.h"

#define PAINT 0xA5A5A5A5u

typedef uintptr_t word;

intptr_t harness_semihost(word operation, const void *arguments);
void harness_main(void);

extern uint32_t __stack_bottom[];

static model_state_t harness_state;
static model_input_t harness_x[MODEL_INPUTS];
static int16_t harness_y[MODEL_OUTPUTS];

static void leave(word code)
{
    const word arguments[2] = {HARNESS_APPLICATION_EXIT, code};
    for (;;) {
        (void)harness_semihost(HARNESS_SYS_EXIT_EXTENDED, arguments);
    }
}

static word open_file(const char *name, word length, word mode)
{
    const word arguments[3] = {(word)name, mode, length};
    const intptr_t handle = harness_semihost(HARNESS_SYS_OPEN, arguments);
    if (handle < 0) {
        leave(HARNESS_FILE_ERROR);
    }
    return (word)handle;
}

#define OPEN(name, mode) open_file(name, sizeof(name) - 1, mode)

static void close_file(word handle)
{
    if (harness_semihost(HARNESS_SYS_CLOSE, &handle) != 0) {
        leave(HARNESS_FILE_ERROR);
    }
}

static void put(word handle, const void *from, word bytes)
{
    const word arguments[3] = {handle, (word)from, bytes};
    if (harness_semihost(HARNESS_SYS_WRITE, arguments) != 0) {
        leave(HARNESS_FILE_ERROR);
    }
}

/* 1: a whole reading arrived. 0: the stream has ended. */
static int get_reading(word handle)
{
    const word arguments[3] = {handle, (word)harness_x, sizeof harness_x};
    const intptr_t missing = harness_semihost(HARNESS_SYS_READ, arguments);
    if (missing != 0 && missing != (intptr_t)sizeof harness_x) {
        leave(HARNESS_FILE_ERROR);
    }
    return missing == 0;
}

static inline __attribute__((always_inline)) uint32_t *stack_pointer(void)
{
    uint32_t *pointer;
#if defined(__riscv)
    __asm volatile("mv %0, sp" : "=r"(pointer));
#else
    __asm volatile("mov %0, sp" : "=r"(pointer));
#endif
    return pointer;
}

/* Not inlined, so that the stack below its frame belongs to the step alone. */
static __attribute__((noinline)) uint32_t step_and_measure(void)
{
    uint32_t *const top = stack_pointer();
    for (volatile uint32_t *p = __stack_bottom; p < top; p++) {
        *p = PAINT;
    }
    model_step(&harness_state, harness_x, harness_y);
    const volatile uint32_t *p = __stack_bottom;
    while (p < top && *p == PAINT) {
        p++;
    }
    if (p == __stack_bottom) {
        leave(HARNESS_STACK_OVERFLOW);
    }
    return (uint32_t)((word)top - (word)p);
}

void harness_main(void)
{
    const word input = OPEN("input.bin", HARNESS_MODE_READ_BINARY);
    const word output = OPEN("output.bin", HARNESS_MODE_WRITE_BINARY);
    uint32_t facts[2] = {0, (uint32_t)sizeof harness_state};

    model_init(&harness_state);
#ifdef MODEL_MASKED
    model_masked_output(harness_y);
#endif
    while (get_reading(input)) {
#ifdef MODEL_WINDOW_STEPS
        if (facts[0] == 0) {
            model_pad(&harness_state, harness_x);
        }
#endif
        const uint32_t used = step_and_measure();
        if (used > facts[0]) {
            facts[0] = used;
        }
        put(output, harness_y, sizeof harness_y);
        put(output, &harness_state, MODEL_STATE_BYTES);
    }
    close_file(input);
    close_file(output);

    const word file = OPEN("facts.bin", HARNESS_MODE_WRITE_BINARY);
    put(file, facts, sizeof facts);
    close_file(file);
    leave(HARNESS_OK);
}
