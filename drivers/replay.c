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
    int64_t start_ns;                     // of the first pass
    uint64_t gain[JP_TRACE_CHANNELS_MAX]; // ENERGY: uJ that one time through the trace adds
};

// From a to b on the counter, across its range if that is known.
static int64_t step_up(int64_t a, int64_t b, int64_t range)
{
    if (b >= a)
        return b - a;
    return range > 0 && a <= range ? b - a + range + 1 : 0;
}

// What all good rows add up to, and the last step's power for the way from the last row to the next first.
static uint64_t loop_gain(const struct jp_trace *trace, int channel)
{
    int64_t range = trace->channels[channel].range_uj;
    int64_t last = -1, step = 0, step_ns = trace->period_ns, first_ns = 0, last_ns = 0;
    uint64_t sum = 0;
    double way;

    for (int64_t row = 0; row < trace->rows; row++) {
        const struct jp_trace_cell *cell = &trace->cells[row * trace->count + channel];
        int64_t t_ns = trace->times_ns[row];

        if (cell->error || cell->held)
            continue;
        if (last < 0) {
            first_ns = t_ns;
        } else {
            step = step_up(last, cell->value, range);
            step_ns = t_ns - last_ns;
            sum += (uint64_t)step;
        }
        last = cell->value;
        last_ns = t_ns;
    }
    way = (double)step * ((double)(trace->length_ns - last_ns + first_ns) / (double)step_ns);
    return sum + (way < (double)INT64_MAX ? (uint64_t)way : 0);
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

// The last row that is not later than `at_ns` from the first.
static int64_t row_at(const struct jp_trace *trace, int64_t at_ns)
{
    int64_t low = 0, high = trace->rows;

    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;

        if (trace->times_ns[middle] <= at_ns)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void read_cell(const struct state *self, int channel, int64_t passed_ns, struct jp_reading *reading)
{
    const struct jp_trace *trace = self->trace;
    int64_t row = row_at(trace, passed_ns % trace->length_ns);
    const struct jp_trace_cell *cell = &trace->cells[row * trace->count + channel];
    int64_t range = trace->channels[channel].range_uj;
    uint64_t value;

    if (cell->error) {
        jp_reading_missing(reading, cell->error);
        return;
    }
    // Unsigned: a trace played for very long goes round instead of overflowing.
    value = (uint64_t)cell->value + (uint64_t)(passed_ns / trace->length_ns) * self->gain[channel];
    if (self->gain[channel] > 0)
        value = range > 0 ? value % ((uint64_t)range + 1) : value & INT64_MAX;
    jp_reading_good(reading, (int64_t)value);
    reading->mv = cell->mv;
    reading->ma = cell->ma;
}

static void read_trace(void *state, struct jp_pass *pass)
{
    struct state *self = state;
    int64_t passed_ns;

    if (!self->started) {
        self->started = true;
        self->start_ns = pass->t_ns;
    }
    passed_ns = pass->t_ns > self->start_ns ? pass->t_ns - self->start_ns : 0;
    for (int i = 0; i < self->trace->count; i++)
        if (pass->readings[i].state == JP_WANTED)
            read_cell(self, i, passed_ns, &pass->readings[i]);
}

int jp_replay_tell(const struct jp_site *site, struct jp_replay_told *told)
{
    struct jp_trace *trace = malloc(sizeof *trace);
    int rc = trace ? jp_trace_load(site, JP_REPLAY_PATH, trace) : -ENOMEM;

    *told = (struct jp_replay_told){.what = ""};
    if (rc == 0) {
        memcpy(told->note, trace->note, sizeof told->note);
        jp_trace_free(trace);
    } else if (rc == -EINVAL) {
        told->line = trace->line;
        told->what = trace->what;
    }
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
