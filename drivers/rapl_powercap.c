// SPDX-License-Identifier: Apache-2.0
// Intel and AMD energy counters through the kernel's powercap interface.
//
// All zones are one source, so that one pass reads them together. energy_uj is for root alone since
// CVE-2020-8694 (Linux 5.10): a descriptor opened as root stays good for whom root becomes. The kernel takes a
// package's zones away with its last processor, which a suspend to RAM does to all packages but the first, and makes
// them anew.
#include "channel.h"
#include "drivers.h"
#include "rapl_zones.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONSTRAINTS_MAX 5
#define LOOKS_MAX 4000 // some milliseconds: a counter moves about once in one
#define PROOFS 3       // different values that both had

struct counter {
    struct jp_rapl_zone zone;
    int fd; // -1: not open
};

struct state {
    const struct jp_site *site;
    struct counter *counters;
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
        if (self->counters[i].fd >= 0)
            close(self->counters[i].fd);
    free(self->counters);
    self->counters = NULL;
    self->count = 0;
}

// Whether both tell one physical counter: what the second has lies between two reads of the first, and does so again
// after it moved. Two counters of their own would have to be equal to a microjoule each time.
static bool is_same_counter(int first, int second)
{
    int64_t before, between, after, last = 0;
    int proofs = 0;

    if (jp_site_pread_i64(first, &before))
        return false;
    for (int i = 0; i < LOOKS_MAX && proofs < PROOFS; i++, before = after) {
        if (jp_site_pread_i64(second, &between) || jp_site_pread_i64(first, &after))
            return false;
        if (after < before) // it went round
            continue;
        if (between < before || between > after || between == 0) // at 0 all are equal
            return false;
        proofs += between != last;
        last = between;
    }
    return proofs == PROOFS;
}

// "package-0" and "package-1" are of one kind, "core" and "dram" are not.
static bool is_same_kind(const struct jp_rapl_zone *a, const struct jp_rapl_zone *b)
{
    size_t length = strcspn(a->kind, "-");

    return length == strcspn(b->kind, "-") && strncmp(a->kind, b->kind, length) == 0;
}

// The index of the counter that this zone tells once more, -1 where it has its own.
static int find_twin(const struct state *self, const struct jp_rapl_zone *zone, int fd)
{
    for (int i = 0; fd >= 0 && i < self->count; i++)
        if (self->counters[i].fd >= 0 && is_same_kind(&self->counters[i].zone, zone) &&
            is_same_counter(self->counters[i].fd, fd))
            return i;
    return -1;
}

// What is told twice is left out, and its parts belong to the one that stays.
static void leave_out(struct jp_channel *twin, struct jp_rapl_zone *zones, int count, int i)
{
    size_t used = strlen(twin->repeated_by);

    snprintf(twin->repeated_by + used, sizeof twin->repeated_by - used, "%s%s", used ? ", " : "", zones[i].name);
    for (int k = i + 1; k < count; k++)
        if (strcmp(zones[k].part_of, zones[i].name) == 0)
            memcpy(zones[k].part_of, twin->name, sizeof zones[k].part_of);
}

static int open_counter(const struct jp_site *site, const struct jp_rapl_zone *zone)
{
    char path[200];
    int fd;

    snprintf(path, sizeof path, "%s/energy_uj", zone->path);
    fd = jp_site_open(site, path);
    return fd == -EPERM ? -EACCES : fd;
}

static int open_zones(void *state, const struct jp_site *site, const struct jp_found *found,
                      struct jp_channel *channels, int max)
{
    struct state *self = state;
    struct jp_rapl_zone zones[JP_RAPL_ZONES_MAX];
    int count = jp_rapl_zones(site, zones, JP_RAPL_ZONES_MAX), opened = 0, worst = -ENOENT;

    (void)found;
    self->site = site;
    self->counters = calloc((size_t)count + 1, sizeof *self->counters);
    for (int i = 0; self->counters && i < count && self->count < max; i++) {
        int fd = open_counter(site, &zones[i]), twin = find_twin(self, &zones[i], fd);

        if (twin >= 0) {
            leave_out(&channels[twin], zones, count, i);
            close(fd);
        }
        if (twin >= 0 || fd == -ENOENT)
            continue;
        worst = fd < 0 ? fd : worst;
        opened += fd >= 0;
        self->counters[self->count] = (struct counter){.zone = zones[i], .fd = fd < 0 ? -1 : fd};
        describe(&channels[self->count], &zones[i], site);
        channels[self->count].index = self->count + 1;
        self->count++;
    }
    if (opened > 0)
        return self->count;
    worst = self->counters ? worst : -ENOMEM;
    close_zones(self);
    return worst;
}

static bool has_its_name(const struct jp_site *site, const struct jp_rapl_zone *zone)
{
    char path[200], kind[sizeof zone->kind];

    snprintf(path, sizeof path, "%s/name", zone->path);
    return jp_site_read(site, path, kind, sizeof kind) > 0 && strcmp(kind, zone->kind) == 0;
}

// Zones made anew get the lowest free numbers: another may stand there now, or the same part of another package.
static bool is_back(const struct state *self, const struct jp_rapl_zone *zone)
{
    size_t outer = (size_t)(strrchr(zone->id, ':') - zone->id);

    for (int i = 0; i < self->count; i++) {
        const struct jp_rapl_zone *other = &self->counters[i].zone;

        if (strlen(other->id) == outer && strncmp(other->id, zone->id, outer) == 0 && !has_its_name(self->site, other))
            return false;
    }
    return has_its_name(self->site, zone);
}

static int open_again(const struct state *self, struct counter *counter)
{
    int fd = is_back(self, &counter->zone) ? open_counter(self->site, &counter->zone) : -ENODEV;

    counter->fd = fd < 0 ? -1 : fd;
    return fd == -ENOENT ? -ENODEV : fd < 0 ? fd : 0;
}

static void read_counter(const struct state *self, struct counter *counter, struct jp_reading *reading)
{
    int64_t value = -1;
    int rc = counter->fd < 0 ? open_again(self, counter) : 0;

    if (rc == 0)
        rc = jp_site_pread_i64(counter->fd, &value);
    if (rc == 0 && value < 0)
        rc = -ERANGE;
    if (rc == -ENODEV && counter->fd >= 0) { // its zone went away: this descriptor never reads again
        close(counter->fd);
        counter->fd = -1;
    }
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
        read_counter(self, &self->counters[i], &pass->readings[i]);
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
