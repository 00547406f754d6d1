// SPDX-License-Identifier: Apache-2.0
// One reading now, and what is wrong with the sensors, the machine or its configuration, each with a remedy.
#ifndef JP_DIAGNOSE_H
#define JP_DIAGNOSE_H

#include "clock.h"
#include "discover.h"

#define JP_REMEDY_PERMISSION                                                                                           \
    "run as root; for the service 60-joulepost.rules (udev) opens energy counters, and CAP_DAC_READ_SEARCH all files"

#define JP_REMEDY_NVIDIA                                                                                               \
    "run nvidia-smi as the same user, it says why; a hardened service sees the GPU with the drop-in of "               \
    "docs/security.md; or name only other drivers in the key \"drivers\""
#define JP_REMEDY_DEVICE                                                                                               \
    "run as root, or give the user the group that `ls -l` shows for it; for the service docs/drivers.md has the lines"

#define JP_WHAT_WRONG_TRACE "this line of the trace is wrong"

struct jp_power_now {
    bool known[JP_CHANNELS_MAX];
    int64_t uw[JP_CHANNELS_MAX]; // calibrated
    int error[JP_CHANNELS_MAX];  // not known: positive errno of the last try, 0 when a counter went back
    bool total_known;            // every channel of the total answered
    int64_t total_uw;
    bool gauge_known[JP_GAUGES_MAX];
    int64_t gauge[JP_GAUGES_MAX];    // thousandths of its unit
    int64_t read_ns[JP_SOURCES_MAX]; // one read of all channels of a source, the cheaper of the two passes
};

// Two passes over every source, a third of a second apart: counters and models need a difference. Blocks for
// that long and for the sensors.
void jp_diagnose_read(const struct jp_plan *plan, const struct jp_clock *clock, struct jp_power_now *now);

// Adds a problem for the channels of a source that did not answer for the same reason, for a read that takes
// longer than the period, and for parts above their whole. After jp_diagnose_machine.
void jp_diagnose_readings(struct jp_plan *plan, const struct jp_power_now *now);

// Adds what is wrong with the machine and the places of its files: nothing measured, no profile, a container that
// hides paths, a GPU without load, a power mode without name, no tmpfs, no clock. Does jp_diagnose_rails first.
void jp_diagnose_machine(struct jp_plan *plan, const struct jp_site *site, const struct jp_config *config,
                         const struct jp_clock *clock);

// Adds a problem for each chip that no kernel driver serves, for rails of the profile that are not here or off, a total
// that lacks one, rails without a label, and chips that convert slower than they are asked. True: it says why some
// are not here.
bool jp_diagnose_rails(struct jp_plan *plan, const struct jp_site *site, const struct jp_config *config);

// Whether a trace plays the sensors, or would if it were right.
bool jp_diagnose_replayed(const struct jp_plan *plan);

#endif
