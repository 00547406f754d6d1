// SPDX-License-Identifier: Apache-2.0
// Windows of rails under a made load, metered as meter does it, and the prefaces that post writes around them: what
// the tests of the durable spool fill it with. Same seed, same windows.
#ifndef MADE_LOAD_H
#define MADE_LOAD_H

#include "integrator.h"
#include "run.h"
#include "window.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MADE_RAILS_MAX 11

enum made_kind {
    MADE_IDLE,   // nothing runs
    MADE_STEADY, // one level for minutes
    MADE_BURSTS, // work that comes and goes: a square wave of a period of 0.3 to 10 s
    MADE_KINDS,
    MADE_DAY = MADE_KINDS, // phases of 1 to 30 minutes: half of the time idle, a quarter each of the others
};

struct made_load {
    const struct jp_run *run;
    uint64_t random;
    enum made_kind wanted, kind;
    uint64_t seq;
    int64_t left_ms;                // of the phase
    int level;                      // of the phase, thousandths of the way from idle to busy
    int64_t period_ms, duty_ms, at; // of the bursts
    int64_t pass_ms;                // of the next pass over the rails, counted from the run's start
    int64_t t0_ms;                  // BOOTTIME of the run's start
    struct jp_integrator rails[MADE_RAILS_MAX];
    int64_t cut_mj[MADE_RAILS_MAX]; // floor(R/1000) at the last border
};

// A run of the first `rails` of the table, blocks of 30 windows of 1 s, sampled at 5 Hz.
void made_run(struct jp_run *run, uint64_t id, int rails);
// From the run's start at BOOTTIME 10 s; `run` is borrowed.
void made_begin(struct made_load *load, const struct jp_run *run, enum made_kind kind, uint64_t seed);
void made_window(struct made_load *load, struct jp_window *window);

// The RUN of the durable spool: meter's map and the keys that post adds. `prev` NULL: none.
struct made_prev {
    uint64_t run, last_seq;
    bool clean;
};
size_t made_durable_run(const struct jp_run *run, uint64_t run_no, const struct made_prev *prev, uint64_t stored,
                        uint8_t *buffer, size_t size);

#endif
