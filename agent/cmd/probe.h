// SPDX-License-Identifier: Apache-2.0
// What the parts of `joulepost probe` share: one look at a machine, its screen, and the health of a service.
#ifndef JP_PROBE_H
#define JP_PROBE_H

#include "diagnose.h"
#include "options.h"

// Everything of one look. Large: allocated.
struct jp_probe {
    struct jp_config config;
    struct jp_plan plan; // its sources are closed and still described
    struct jp_power_now now;
    struct jp_factor factor;
    int source_count; // as the plan's before it was closed
};

// "ina3221-40", "rapl", ...: the chip that a channel is read from; for -1 that of all channels of the source, or its
// driver where they are several.
void jp_probe_sensor(const struct jp_source *source, int i, char *out, size_t size);

// Prints the look on stdout for people: 80 columns, colours on a terminal that has them.
void jp_probe_screen(const struct jp_probe *probe);

// The table of its channels and the total.
void jp_probe_tree(const struct jp_probe *probe);

// `probe --health`: asks the running halves, opens no sensor. Prints what is wrong on stdout. The exit status.
int jp_probe_health(const struct jp_options *options);

#endif
