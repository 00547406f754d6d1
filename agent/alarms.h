// SPDX-License-Identifier: Apache-2.0
// Alarms: gauges whose edges are events.
//
// An event is raised when such a gauge leaves 0, when it rises further, and when it has been 0 for 5 s: a flag that
// comes and goes is one alarm. A missing reading is neither on nor off. What could not be written down is tried at the
// next border.
#ifndef JP_ALARMS_H
#define JP_ALARMS_H

#include "discover.h"
#include "record.h"

struct jp_alarm {
    int gauge;           // index into run.gauges
    const char *kind;    // borrowed
    const char *channel; // the run's name of what it watches, "" none; borrowed
    int64_t told;        // the level that was told last, 0 off
    int64_t quiet_ms;    // BOOTTIME since when it is 0 again, -1 it is not
};

struct jp_alarms {
    struct jp_record *record; // borrowed
    const struct jp_run *run; // borrowed
    struct jp_alarm list[JP_GAUGES_MAX];
    int count;
};

// Takes the gauges with an event out of the plan, all off.
void jp_alarms_init(struct jp_alarms *alarms, const struct jp_plan *plan, struct jp_record *record);

// Once a window, with its gauges. Allocates nothing.
void jp_alarms_look(struct jp_alarms *alarms, const struct jp_window *window);

#endif
