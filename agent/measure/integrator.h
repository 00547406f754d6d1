// SPDX-License-Identifier: Apache-2.0
// What a joule means here: from readings of one channel to its cumulative energy. No I/O, no clock.
//
// Powers are integrated by trapezoids between consecutive valid samples, counters by their differences.
// Energy is exact in integers: microjoules and a remainder below one, so nothing drifts.
#ifndef JP_INTEGRATOR_H
#define JP_INTEGRATOR_H

#include "driver.h"

#include <stdbool.h>
#include <stdint.h>

enum jp_verdict {
    JP_FIRST,   // a baseline: nothing to add yet
    JP_ADDED,   // the energy since the last sample was added
    JP_WRAPPED, // added, over the end of the counter's range
    JP_RESET,   // a counter went back and no wrap explains it, or it may have gone round more than once in the time:
                // nothing added, a new baseline
    JP_HOLE,    // a power sample too long after the last, or after a suspend: nothing added, a new baseline
    JP_IMPLAUSIBLE, // more than the limit: nothing added; a counter's value is the new baseline
};

struct jp_integrator {
    // Set once by jp_integrator_init.
    enum jp_kind kind;
    int64_t hole_ns;   // POWER: an interval longer than this is a hole; at most 1000 s
    int64_t range_uj;  // ENERGY: it runs 0..range, 0 unknown
    int64_t limit_uw;  // more than this on average (ENERGY) or in a sample (POWER, either sign) is implausible
    int64_t scale_ppm; // ENERGY: calibration, 1,000,000 changes nothing
    // State.
    bool started;
    int64_t t_ns, value; // the last valid sample
    int64_t seen_ns;     // POWER: the last that was read, t_ns may be a border after it
    int64_t total_uj;    // energy so far, rounded down
    int64_t rest;        // POWER: in half uW*ns below 2e9; ENERGY: in 1e-6 uJ below 1e6
};

struct jp_sample {
    int64_t t_ns;      // MONOTONIC; never before that of the sample before
    int64_t slack_ns;  // ENERGY: the true interval may be longer by this (when inside the read was it read?)
    int64_t asleep_ns; // suspend since the sample before, not in t_ns; 0 none
    bool between;      // POWER: a border, not read: it makes no hole shorter
    int64_t value;     // uW or uJ
};

// limit_uw 0: JP_PACKAGE_MAX_UW for a counter, JP_POWER_MAX_UW for a power.
void jp_integrator_init(struct jp_integrator *integrator, enum jp_kind kind, int64_t limit_uw);

enum jp_verdict jp_integrator_add(struct jp_integrator *integrator, const struct jp_sample *sample);

// POWER: the value on the straight line from the last sample to `next` at t_ns, which lies between them.
int64_t jp_integrator_at(const struct jp_integrator *integrator, const struct jp_sample *next, int64_t t_ns);

// True when adding `next` would give ADDED for a power: the line between them may be split at a border.
bool jp_integrator_joins(const struct jp_integrator *integrator, const struct jp_sample *next);

// ENERGY: the longest poll period that tells one wrap from two, half the wrap time at the limit; 0 when
// the range is unknown (no wrap is ever taken for one).
int64_t jp_integrator_poll_ns(const struct jp_integrator *integrator);

// floor(numerator / divisor), divisor > 0: what makes mJ of uJ, also below zero.
int64_t jp_floor_div(int64_t numerator, int64_t divisor);

#endif
