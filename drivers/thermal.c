// SPDX-License-Identifier: Apache-2.0
// The temperatures of the kernel's thermal zones as gauges, under the zones' types.
#include "channel.h"
#include "drivers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DIR "/sys/class/thermal"
#define ZONES_MAX 16
// Colder or hotter is no reading: a Jetson's gated blocks say -256000.
#define TEMP_MIN_MC (-100000)
#define TEMP_MAX_MC 200000

struct state {
    int fds[ZONES_MAX];
    int count;
};

struct opening {
    const struct jp_site *site;
    struct state *self;
    struct jp_channel *channels;
    int max;
};

static bool is_zone(const char *name)
{
    return strncmp(name, "thermal_zone", strlen("thermal_zone")) == 0;
}

static int open_zone(void *context, const char *name)
{
    struct opening *opening = context;
    struct state *self = opening->self;
    struct jp_channel *channel = &opening->channels[self->count];
    char path[128], type[33];
    int fd;

    if (!is_zone(name))
        return 0;
    snprintf(path, sizeof path, DIR "/%.40s/type", name);
    if (jp_site_read(opening->site, path, type, sizeof type) <= 0)
        return 0;
    if (strstr(type, "PMIC")) // a constant 100 C
        return 0;
    snprintf(path, sizeof path, DIR "/%.40s/temp", name);
    fd = jp_site_open(opening->site, path);
    if (fd < 0)
        return 0;
    jp_channel_init(channel, JP_GAUGE, "thermal", type);
    channel->index = self->count + 1;
    channel->unit[0] = 'C';
    self->fds[self->count++] = fd;
    return self->count >= opening->max || self->count >= ZONES_MAX;
}

static int take_zone(void *context, const char *name)
{
    (void)context;
    return is_zone(name);
}

static int probe_zones(const struct jp_site *site, struct jp_found *found, int max)
{
    if (max < 1 || jp_site_list(site, DIR, take_zone, NULL) <= 0)
        return 0;
    found[0] = (struct jp_found){.path = DIR};
    return 1;
}

static int open_zones(void *state, const struct jp_site *site, const struct jp_found *found,
                      struct jp_channel *channels, int max)
{
    struct opening opening = {.site = site, .self = state, .channels = channels, .max = max};

    if (max < 1)
        return -EINVAL;
    jp_site_list(site, found->path, open_zone, &opening);
    return opening.self->count;
}

static void read_zones(void *state, struct jp_pass *pass)
{
    const struct state *self = state;

    for (int i = 0; i < self->count; i++) {
        int64_t mc;
        int rc;

        if (pass->readings[i].state != JP_WANTED)
            continue;
        rc = jp_site_pread_i64(self->fds[i], &mc);
        if (rc == 0 && (mc < TEMP_MIN_MC || mc > TEMP_MAX_MC))
            rc = -ENODATA;
        if (rc < 0)
            jp_reading_missing(&pass->readings[i], -rc);
        else
            jp_reading_good(&pass->readings[i], mc);
        if (jp_pass_late(pass))
            return;
    }
}

static void close_zones(void *state)
{
    struct state *self = state;

    for (int i = 0; i < self->count; i++)
        close(self->fds[i]);
    self->count = 0;
}

const struct jp_driver jp_driver_thermal = {
    .name = "thermal",
    .state_size = sizeof(struct state),
    .min_period_ms = 5000,
    .probe = probe_zones,
    .open = open_zones,
    .read = read_zones,
    .close = close_zones,
};
