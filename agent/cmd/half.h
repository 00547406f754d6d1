// SPDX-License-Identifier: Apache-2.0
// The two halves as the commands run them: doors, sensors, link, signals.
#ifndef JP_HALF_H
#define JP_HALF_H

#include "identity.h"

#include <signal.h>
#include <stddef.h>

struct jp_half_setup {
    const struct jp_config *config;
    const char *root; // of the site
    const struct jp_identity *identity;
    pid_t agent; // who started this half and takes it along when it dies; 0: nobody
};

// What an agent tells its halves to stop with: the signals that others use may reach the whole group at once, and post
// has to end after meter.
#define JP_HALF_STOP SIGUSR1

// SIGTERM, SIGINT and SIGHUP (unless ignored) end the half in order; under_agent JP_HALF_STOP alone does.
void jp_half_signals(bool under_agent);

// How a half of an agent ends when another one holds its lock: starting it again would not help.
#define JP_HALF_SURPLUS 75

// How a meter of an agent ends that has to be root again to open sensors that came: it is started again at once.
#define JP_HALF_AGAIN 76

// meter: opens the sensors, drops, measures until told to stop. post: drops, connects, delivers. Both hold the
// lock of their half in paths.hot (meter.lock, post.lock) while they run, and wait 12 s for it. Both say on the
// log what is wrong. An enum jp_exit, JP_HALF_SURPLUS or JP_HALF_AGAIN.
int jp_half_meter(const struct jp_half_setup *setup);
int jp_half_post(const struct jp_half_setup *setup);

// The device name for topics, or one line on the log. An enum jp_exit.
int jp_half_device(const struct jp_half_setup *setup, char *out, size_t size);

// What --check prints after the configuration: the plan, as comments. An enum jp_exit.
int jp_half_print_plan(const struct jp_half_setup *setup);

#endif
