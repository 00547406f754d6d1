// SPDX-License-Identifier: Apache-2.0
// The machine's own clocks behind clock.h.
#define _GNU_SOURCE
#include "clock.h"

#include <errno.h>
#include <sys/timex.h>
#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * JP_NS_PER_S + t.tv_nsec;
}

static int64_t mono_ns(const struct jp_clock *self)
{
    (void)self;
    return read_ns(CLOCK_MONOTONIC);
}

static int64_t boot_ns(const struct jp_clock *self)
{
    (void)self;
    return read_ns(CLOCK_BOOTTIME);
}

static int64_t real_ns(const struct jp_clock *self)
{
    (void)self;
    return read_ns(CLOCK_REALTIME);
}

static enum jp_clock_state sync_state(const struct jp_clock *self, int64_t *err_ms)
{
    struct timex tx = {.modes = 0};
    int state = adjtimex(&tx);

    (void)self;
    if (err_ms)
        *err_ms = state < 0 ? -1 : tx.esterror / 1000;
    if (state < 0 || state == TIME_ERROR || (tx.status & STA_UNSYNC))
        return JP_CLOCK_UNSYNCED;
    return JP_CLOCK_SYNCED;
}

static int wait_until(const struct jp_clock *self, struct pollfd *fds, unsigned count, int64_t until_ns)
{
    int64_t left = until_ns - self->mono_ns(self);
    struct timespec t = {0, 0};
    int n;

    if (left > 0) {
        t.tv_sec = (time_t)(left / JP_NS_PER_S);
        t.tv_nsec = (long)(left % JP_NS_PER_S);
    }
    n = ppoll(fds, count, &t, NULL);
    return n < 0 ? -errno : n;
}

const char *jp_clock_state_name(enum jp_clock_state state)
{
    switch (state) {
    case JP_CLOCK_SYNCED:
        return "synced";
    case JP_CLOCK_ESTIMATED:
        return "estimated";
    case JP_CLOCK_UNSYNCED:
        break;
    }
    return "unsynced";
}

const struct jp_clock jp_clock_real = {
    .mono_ns = mono_ns,
    .boot_ns = boot_ns,
    .real_ns = real_ns,
    .sync = sync_state,
    .wait = wait_until,
};
