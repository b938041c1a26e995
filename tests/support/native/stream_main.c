/* Runs every model of the table over its codes: INDEX.in to INDEX.out, which holds the output and
 * the state of every step. An argument is the number of steps after which a new stream begins. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stream_table.h"

static void begin(const entry *model)
{
    memset(model->state, 0xA5, model->ram_bytes); /* init must write all that a step reads */
    model->init();
}

static int run(const entry *model, long index, long every)
{
    char name[32];
    unsigned char x[2048];
    int16_t y[256] = {0}; /* a model may not answer at once */
    FILE *in;
    FILE *out;
    long steps = 0;
    snprintf(name, sizeof name, "%ld.in", index);
    in = fopen(name, "rb");
    snprintf(name, sizeof name, "%ld.out", index);
    out = fopen(name, "wb");
    if (in == NULL || out == NULL || model->input_bytes > sizeof x) {
        return 1;
    }
    begin(model);
    while (fread(x, 1, model->input_bytes, in) == model->input_bytes) {
        if (every > 0 && steps > 0 && steps % every == 0) {
            begin(model);
        }
        ++steps;
        model->step(x, y);
        fwrite(y, sizeof y[0], model->outputs, out);
        fwrite(model->state, 1, model->state_bytes, out);
    }
    fclose(in);
    return fclose(out);
}

int main(int count, char **arguments)
{
    const long every = count > 1 ? atol(arguments[1]) : 0;
    long index;
    for (index = 0; index < (long)(sizeof entries / sizeof entries[0]); ++index) {
        if (run(&entries[index], index, every) != 0) {
            return 1;
        }
    }
    return 0;
}
