// SPDX-License-Identifier: Apache-2.0
// A clock that moves when told and a driver that says what a test wants, for sampler and metering.
#ifndef FAKE_SENSOR_H
#define FAKE_SENSOR_H

#include "clock.h"
#include "driver.h"

#include <stdint.h>

struct fake_clock {
    struct jp_clock door; // first: the door is the fake
    int64_t now_ns, asleep_ns, real_offset_ns;
    int64_t wakes;
    enum jp_clock_state state;
    void (*on_wait)(struct fake_clock *clock, int64_t until_ns); // NULL: just move on
};

#define FAKE_CHANNELS 6

// What a fake chip says of a channel at a time; returns 0 or a positive errno.
struct fake_chip {
    struct fake_clock *clock;
    int count;
    struct jp_channel info[FAKE_CHANNELS];
    int (*value)(struct fake_chip *chip, int index, int64_t t_ns, int64_t *value);
    int64_t transfer_ns; // each costs this
    int64_t reads[FAKE_CHANNELS];
    void *context;
};

static inline int64_t fake_mono(const struct jp_clock *self)
{
    return ((const struct fake_clock *)self)->now_ns;
}

static inline int64_t fake_boot(const struct jp_clock *self)
{
    const struct fake_clock *clock = (const struct fake_clock *)self;

    return clock->now_ns + clock->asleep_ns;
}

static inline int64_t fake_real(const struct jp_clock *self)
{
    return fake_boot(self) + ((const struct fake_clock *)self)->real_offset_ns;
}

static inline enum jp_clock_state fake_sync(const struct jp_clock *self, int64_t *err_ms)
{
    if (err_ms)
        *err_ms = 4;
    return ((const struct fake_clock *)self)->state;
}

static inline int fake_wait(const struct jp_clock *self, struct pollfd *fds, unsigned count, int64_t until_ns)
{
    struct fake_clock *clock = (struct fake_clock *)(uintptr_t)self;

    for (unsigned i = 0; i < count; i++)
        fds[i].revents = 0;
    clock->wakes++;
    if (clock->now_ns < until_ns)
        clock->now_ns = until_ns;
    if (clock->on_wait)
        clock->on_wait(clock, until_ns);
    return 0;
}

static inline struct fake_clock fake_clock_at(int64_t now_ns)
{
    return (struct fake_clock){.door = {.mono_ns = fake_mono,
                                        .boot_ns = fake_boot,
                                        .real_ns = fake_real,
                                        .sync = fake_sync,
                                        .wait = fake_wait},
                               .now_ns = now_ns,
                               .real_offset_ns = 1790000000LL * JP_NS_PER_S,
                               .state = JP_CLOCK_SYNCED};
}

// The state of the driver is a pointer to the chip.
static inline void fake_read(void *state, struct jp_pass *pass)
{
    struct fake_chip *chip = *(struct fake_chip **)state;

    for (int i = 0; i < chip->count; i++) {
        struct jp_reading *reading = &pass->readings[i];

        if (reading->state != JP_WANTED)
            continue;
        chip->clock->now_ns += chip->transfer_ns;
        chip->reads[i]++;
        reading->error = chip->value(chip, i, chip->clock->now_ns, &reading->value);
        reading->state = reading->error ? JP_MISSING : JP_GOOD;
        if (!reading->error && chip->info[i].kind == JP_POWER) {
            reading->mv = 5000;
            reading->ma = (int32_t)(reading->value / 5000);
        }
        if (pass->late(pass->context))
            return;
    }
}

static inline void fake_close(void *state)
{
    (void)state;
}

static const struct jp_driver fake_driver = {
    .name = "fake", .state_size = sizeof(void *), .read = fake_read, .close = fake_close};

#endif
