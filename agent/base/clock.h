// SPDX-License-Identifier: Apache-2.0
// The clock door: every time the program reads and every moment it sleeps goes through here.
//
// Three clocks, because they answer different questions: MONOTONIC schedules and measures intervals,
// BOOTTIME also counts suspend and dates records within one boot, REALTIME is only an annotation.
#ifndef JP_CLOCK_H
#define JP_CLOCK_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#define JP_NS_PER_S 1000000000LL
#define JP_NS_PER_MS 1000000LL

// How far REALTIME can be trusted, as the kernel says it (adjtimex(2)).
enum jp_clock_state {
    JP_CLOCK_UNSYNCED,  // STA_UNSYNC is set
    JP_CLOCK_SYNCED,    // the kernel's clock is disciplined
    JP_CLOCK_ESTIMATED, // repaired later from an ANCHOR of the same boot; never returned by sync()
};

struct jp_clock {
    // Nanoseconds of CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME. They do not fail.
    int64_t (*mono_ns)(const struct jp_clock *self);
    int64_t (*boot_ns)(const struct jp_clock *self);
    int64_t (*real_ns)(const struct jp_clock *self);
    // The kernel's verdict on REALTIME; *err_ms (may be NULL) gets its estimated error in ms, -1 if unknown.
    enum jp_clock_state (*sync)(const struct jp_clock *self, int64_t *err_ms);
    // Blocks until MONOTONIC reaches `until_ns` or a descriptor of `fds` (may be NULL, count 0) is
    // ready. Returns the number of ready descriptors, 0 at the deadline, -EINTR on a signal.
    int (*wait)(const struct jp_clock *self, struct pollfd *fds, unsigned count, int64_t until_ns);
};

// The machine's own clocks.
extern const struct jp_clock jp_clock_real;

// "synced", "unsynced" or "estimated".
const char *jp_clock_state_name(enum jp_clock_state state);

#endif
