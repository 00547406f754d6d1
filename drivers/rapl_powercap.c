// SPDX-License-Identifier: Apache-2.0
// Intel and AMD energy counters through the kernel's powercap interface.
//
// All zones are one source, so that one pass reads them together. energy_uj is for root alone since
// CVE-2020-8694 (Linux 5.10).
#include "channel.h"
#include "drivers.h"
#include "rapl_zones.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONSTRAINTS_MAX 5

struct state {
    int fd[JP_RAPL_ZONES_MAX];    // -1: never opened
    int error[JP_RAPL_ZONES_MAX]; // why, positive errno
    int count;
};

static const struct {
    const char *kind;
    uint32_t role;
    enum jp_scope scope;
} kinds[] = {
    {"package", JP_ROLE_PACKAGE, JP_SCOPE_PACKAGE}, {"core", JP_ROLE_CORE, JP_SCOPE_PACKAGE},
    {"uncore", JP_ROLE_UNCORE, JP_SCOPE_PACKAGE},   {"dram", JP_ROLE_DRAM, JP_SCOPE_PACKAGE},
    {"psys", JP_ROLE_PSYS, JP_SCOPE_SYSTEM},
};

static int64_t read_or_zero(const struct jp_site *site, const char *dir, const char *name)
{
    char path[256];
    int64_t value;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return jp_site_read_i64(site, path, &value) == 0 && value > 0 ? value : 0;
}

// The largest power any constraint allows, half as much again. A peak limit may lie above the stated
// maximum (a laptop's boost), so both count; without any stated maximum nothing is known.
static int64_t max_power_uw(const struct jp_site *site, const char *dir)
{
    int64_t stated = 0, limit = 0;

    for (int i = 0; i < CONSTRAINTS_MAX; i++) {
        char name[40];
        int64_t value;

        snprintf(name, sizeof name, "constraint_%d_max_power_uw", i);
        value = read_or_zero(site, dir, name);
        stated = value > stated ? value : stated;
        snprintf(name, sizeof name, "constraint_%d_power_limit_uw", i);
        value = read_or_zero(site, dir, name);
        limit = value > limit ? value : limit;
    }
    if (stated == 0 || stated > INT64_MAX / 2 || limit > INT64_MAX / 2)
        return 0;
    stated = limit > stated ? limit : stated;
    return stated + stated / 2;
}

static void describe(struct jp_channel *channel, const struct jp_rapl_zone *zone, const struct jp_site *site)
{
    jp_channel_init(channel, JP_ENERGY, "rapl", zone->name);
    channel->scope = JP_SCOPE_PACKAGE;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t length = strlen(kinds[i].kind);

        if (strncmp(zone->kind, kinds[i].kind, length) == 0 && (!zone->kind[length] || zone->kind[length] == '-')) {
            channel->roles = kinds[i].role;
            channel->scope = kinds[i].scope;
        }
    }
    snprintf(channel->part_of, sizeof channel->part_of, "%s", zone->part_of);
    channel->range_uj = read_or_zero(site, zone->path, "max_energy_range_uj");
    channel->max_uw = max_power_uw(site, zone->path);
}

static int probe_zones(const struct jp_site *site, struct jp_found *found, int max)
{
    struct jp_rapl_zone zone[1];

    if (max < 1 || jp_rapl_zones(site, zone, 1) == 0)
        return 0;
    found[0] = (struct jp_found){.param = 0};
    snprintf(found[0].path, sizeof found[0].path, "%s/energy_uj", zone[0].path); // one file, to name the group by
    return 1;
}

static void close_zones(void *state)
{
    struct state *self = state;

    for (int i = 0; i < self->count; i++)
        if (self->fd[i] >= 0)
            close(self->fd[i]);
    self->count = 0;
}

static int open_zones(void *state, const struct jp_site *site, const struct jp_found *found,
                      struct jp_channel *channels, int max)
{
    struct state *self = state;
    struct jp_rapl_zone zones[JP_RAPL_ZONES_MAX];
    int count = jp_rapl_zones(site, zones, JP_RAPL_ZONES_MAX);
    int opened = 0;
    int worst = -ENOENT;

    (void)found;
    for (int i = 0; i < count && self->count < max; i++) {
        char path[200];
        int fd;

        snprintf(path, sizeof path, "%s/energy_uj", zones[i].path);
        fd = jp_site_open(site, path);
        if (fd == -ENOENT)
            continue;
        if (fd < 0)
            worst = fd == -EPERM ? -EACCES : fd;
        opened += fd >= 0;
        self->fd[self->count] = fd < 0 ? -1 : fd;
        self->error[self->count] = fd < 0 ? -fd : 0;
        describe(&channels[self->count], &zones[i], site);
        channels[self->count].index = self->count + 1;
        self->count++;
    }
    if (opened > 0)
        return self->count;
    close_zones(self);
    return worst;
}

static void read_zone(const struct state *self, int i, struct jp_reading *reading)
{
    int64_t value = -1;
    int rc = self->fd[i] < 0 ? -self->error[i] : jp_site_pread_i64(self->fd[i], &value);

    if (rc == 0 && value < 0)
        rc = -ERANGE;
    if (rc < 0)
        jp_reading_missing(reading, -rc);
    else
        jp_reading_good(reading, value);
}

static void read_zones(void *state, struct jp_pass *pass)
{
    struct state *self = state;

    for (int i = 0; i < self->count; i++) {
        if (pass->readings[i].state != JP_WANTED)
            continue;
        read_zone(self, i, &pass->readings[i]);
        if (jp_pass_late(pass))
            return;
    }
}

const struct jp_driver jp_driver_rapl_powercap = {
    .name = "rapl_powercap",
    .state_size = sizeof(struct state),
    .probe = probe_zones,
    .open = open_zones,
    .read = read_zones,
    .close = close_zones,
};
