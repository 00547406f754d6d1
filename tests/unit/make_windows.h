// SPDX-License-Identifier: Apache-2.0
// Runs and windows for the tests of the sending side.
#ifndef MAKE_WINDOWS_H
#define MAKE_WINDOWS_H

#include "run.h"
#include "window.h"

#include <stdio.h>
#include <string.h>

// A run of `channels` rails r0, r1, ...; all of them make the total. boot is fixed.
static inline void make_run(struct jp_run *run, uint64_t id, int channels, int block_windows)
{
    memset(run, 0, sizeof *run);
    run->id = id;
    snprintf(run->boot, sizeof run->boot, "0e7c1f6e-2f0b-4d6a-9b1e-5d7f2a3c4b5a");
    snprintf(run->device, sizeof run->device, "bench-1");
    run->window_ms = 1000;
    run->interval_ms = 200;
    run->block_windows = block_windows;
    run->channel_count = channels;
    run->total_known = true;
    run->total_scope = JP_SCOPE_MODULE;
    for (int c = 0; c < channels; c++) {
        snprintf(run->channels[c].name, sizeof run->channels[c].name, "r%d", c);
        run->channels[c].kind = JP_POWER;
        run->channels[c].scale = 1;
        run->channels[c].in_total = true;
    }
}

// Window `seq` at 1,000 ms each from boot second 100: channel c uses (c + 1) x 1000 + seq % 7 mJ; run_mj fits.
static inline void make_window(struct jp_window *window, const struct jp_run *run, uint64_t seq)
{
    memset(window, 0, sizeof *window);
    window->run = run->id;
    window->seq = seq;
    window->t0_ms = 100000 + (int64_t)seq * 1000;
    window->span_ms = 1000;
    window->channel_count = run->channel_count;
    window->gauge_count = run->gauge_count;
    for (int c = 0; c < run->channel_count; c++) {
        struct jp_window_channel *channel = &window->channels[c];

        channel->known = true;
        channel->mj = (c + 1) * 1000 + (int64_t)(seq % 7);
        for (uint64_t k = 0; k <= seq; k++)
            channel->run_mj += (c + 1) * 1000 + (int64_t)(k % 7);
        channel->covered_ms = 1000;
        channel->raw_uj = -1;
        channel->mv = 5000 + c;
        channel->ma = 200;
        channel->peak_mw = channel->mj + 50;
    }
}

#endif
