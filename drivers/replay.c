// SPDX-License-Identifier: Apache-2.0
// A captured trace as a sensor.
#include "replay.h"
#include "channel.h"
#include "drivers.h"
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct state {
    struct jp_trace *trace;
    bool started;
    int64_t start_ns;                    // of the first pass
    int64_t gain[JP_TRACE_CHANNELS_MAX]; // ENERGY: uJ that one time through the trace adds
};

// From a to b on the counter, across its range if that is known.
static int64_t step_up(int64_t a, int64_t b, int64_t range)
{
    if (b >= a)
        return b - a;
    return range > 0 ? b - a + range + 1 : 0;
}

// What all good rows add up to, and the last step once more: the way from the last row to the next first.
static int64_t loop_gain(const struct jp_trace *trace, int channel)
{
    int64_t range = trace->channels[channel].range_uj;
    int64_t last = -1, step = 0, sum = 0;

    for (int64_t row = 0; row < trace->rows; row++) {
        const struct jp_trace_cell *cell = &trace->cells[row * trace->count + channel];

        if (cell->error)
            continue;
        step = last < 0 ? 0 : step_up(last, cell->value, range);
        sum += step;
        last = cell->value;
    }
    return sum + step;
}

static int probe_trace(const struct jp_site *site, struct jp_found *found, int max)
{
    int fd = max > 0 ? jp_site_open(site, JP_REPLAY_PATH) : -ENOENT;

    if (fd < 0)
        return 0;
    close(fd);
    found[0] = (struct jp_found){.path = JP_REPLAY_PATH};
    return 1;
}

static void close_trace(void *state)
{
    struct state *self = state;

    jp_trace_free(self->trace);
    free(self->trace);
    self->trace = NULL;
}

static int open_trace(void *state, const struct jp_site *site, const struct jp_found *found,
                      struct jp_channel *channels, int max)
{
    struct state *self = state;
    int rc;

    self->trace = malloc(sizeof *self->trace);
    if (!self->trace)
        return -ENOMEM;
    rc = jp_trace_load(site, found->path, self->trace);
    if (rc == 0 && self->trace->count > max)
        rc = -EMSGSIZE;
    if (rc < 0) {
        close_trace(state);
        return rc;
    }
    for (int i = 0; i < self->trace->count; i++) {
        channels[i] = self->trace->channels[i];
        self->gain[i] = channels[i].kind == JP_ENERGY ? loop_gain(self->trace, i) : 0;
    }
    return self->trace->count;
}

static void read_cell(const struct state *self, int channel, int64_t rows_passed, struct jp_reading *reading)
{
    const struct jp_trace *trace = self->trace;
    const struct jp_trace_cell *cell = &trace->cells[rows_passed % trace->rows * trace->count + channel];
    int64_t range = trace->channels[channel].range_uj;
    uint64_t value;

    if (cell->error) {
        jp_reading_missing(reading, cell->error);
        return;
    }
    // Unsigned: a trace played for very long goes round instead of overflowing.
    value = (uint64_t)cell->value + (uint64_t)(rows_passed / trace->rows) * (uint64_t)self->gain[channel];
    if (self->gain[channel] > 0)
        value = range > 0 ? value % ((uint64_t)range + 1) : value & INT64_MAX;
    jp_reading_good(reading, (int64_t)value);
    reading->mv = cell->mv;
    reading->ma = cell->ma;
}

static void read_trace(void *state, struct jp_pass *pass)
{
    struct state *self = state;
    int64_t rows_passed;

    if (!self->started) {
        self->started = true;
        self->start_ns = pass->t_ns;
    }
    rows_passed = pass->t_ns > self->start_ns ? (pass->t_ns - self->start_ns) / self->trace->period_ns : 0;
    for (int i = 0; i < self->trace->count; i++)
        if (pass->readings[i].state == JP_WANTED)
            read_cell(self, i, rows_passed, &pass->readings[i]);
}

int jp_replay_note(const struct jp_site *site, char *note, size_t size, int *line)
{
    struct jp_trace *trace = malloc(sizeof *trace);
    int rc = trace ? jp_trace_load(site, JP_REPLAY_PATH, trace) : -ENOMEM;

    if (rc == 0) {
        snprintf(note, size, "%s", trace->note);
        jp_trace_free(trace);
    }
    if (trace && line)
        *line = trace->line;
    free(trace);
    return rc;
}

const struct jp_driver jp_driver_replay = {
    .name = "replay",
    .state_size = sizeof(struct state),
    .probe = probe_trace,
    .open = open_trace,
    .read = read_trace,
    .close = close_trace,
};
