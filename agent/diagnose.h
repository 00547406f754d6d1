// SPDX-License-Identifier: Apache-2.0
// One reading now, and what is wrong with the machine or its configuration, each with a remedy.
#ifndef JP_DIAGNOSE_H
#define JP_DIAGNOSE_H

#include "clock.h"
#include "discover.h"

#define JP_REMEDY_PERMISSION                                                                                           \
    "run as root, or give the service CAP_DAC_READ_SEARCH (the unit joulepost-meter.service has it)"

struct jp_power_now {
    bool known[JP_CHANNELS_MAX];
    int64_t uw[JP_CHANNELS_MAX]; // calibrated
    int error[JP_CHANNELS_MAX];  // not known: positive errno of the last try, 0 when a counter went back
    bool total_known;            // every channel of the total answered
    int64_t total_uw;
};

// Two passes over every source, a third of a second apart: counters and models need a difference. Blocks for
// that long and for the sensors.
void jp_diagnose_read(const struct jp_plan *plan, const struct jp_clock *clock, struct jp_power_now *now);

// Adds a problem for each channel that did not answer, and for parts above their whole.
void jp_diagnose_readings(struct jp_plan *plan, const struct jp_power_now *now);

// Adds a problem where nothing is measured, the hot path is not on tmpfs, the wall clock was never set, or the
// board has no profile.
void jp_diagnose_machine(struct jp_plan *plan, const struct jp_config *config, const struct jp_clock *clock);

#endif
