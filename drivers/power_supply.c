// SPDX-License-Identifier: Apache-2.0
// Batteries: what goes into one and what comes out of it, as two powers of which none is negative.
//
// Files and units are those of Linux Documentation/ABI/testing/sysfs-class-power and
// Documentation/power/power_supply_class.rst. The direction is the status': drivers differ in the sign of a current.
#define _GNU_SOURCE
#include "channel.h"
#include "drivers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLASS "/sys/class/power_supply"
#define MICRO_MAX 1000000000      // a kilovolt, a kiloampere: their product fits
#define POWER_MAX 1000000000000LL // a megawatt

enum file { PRESENT, STATUS, POWER, VOLTAGE, CURRENT, FILES };
enum way { IN, OUT, WAYS };

struct state {
    struct jp_site site;
    char dir[256];
    int fd[FILES]; // -1: not there
};

static const char *const names[] = {
    [PRESENT] = "present",     [STATUS] = "status",       [POWER] = "power_now",
    [VOLTAGE] = "voltage_now", [CURRENT] = "current_now",
};

static void path_of(const char *dir, const char *file, char out[320])
{
    snprintf(out, 320, "%.255s/%s", dir, file);
}

static void close_battery(void *state)
{
    struct state *self = state;

    for (int i = 0; i < FILES; i++) {
        if (self->fd[i] >= 0)
            close(self->fd[i]);
        self->fd[i] = -1;
    }
}

// All or none.
static int open_files(struct state *self)
{
    char path[320];
    int rc;

    for (int i = 0; i < FILES; i++) {
        path_of(self->dir, names[i], path);
        self->fd[i] = jp_site_open(&self->site, path);
    }
    rc = self->fd[STATUS];
    if (rc < 0)
        close_battery(self);
    return rc < 0 ? rc : 0;
}

static int open_battery(void *state, const struct jp_site *site, const struct jp_found *found,
                        struct jp_channel *channels, int max)
{
    static const char *const ends[] = {[IN] = "in", [OUT] = "out"};
    const char *name = strrchr(found->path, '/') + 1;
    struct state *self = state;
    int rc;

    if (max < WAYS)
        return 0;
    self->site = *site;
    memcpy(self->dir, found->path, sizeof self->dir);
    rc = open_files(self);
    if (rc < 0)
        return rc;
    for (int i = 0; i < WAYS; i++) {
        char label[40];

        snprintf(label, sizeof label, "%.28s_%s", name, ends[i]);
        jp_channel_init(&channels[i], JP_POWER, "power_supply", label);
        channels[i].index = i + 1;
        channels[i].scope = JP_SCOPE_SYSTEM;
        channels[i].roles = JP_ROLE_BATTERY;
    }
    return WAYS;
}

static int read_number(const struct state *self, enum file file, int64_t most, int64_t *value)
{
    int rc = self->fd[file] < 0 ? self->fd[file] : jp_site_pread_i64(self->fd[file], value);

    return rc == 0 && (*value > most || *value < -most) ? -ERANGE : rc;
}

// Signed as the driver has it.
static int read_power(const struct state *self, int64_t *uw)
{
    int64_t uv, ua;
    int rc = read_number(self, POWER, POWER_MAX, uw);

    if (rc == 0 || self->fd[VOLTAGE] < 0 || self->fd[CURRENT] < 0)
        return rc;
    rc = read_number(self, VOLTAGE, MICRO_MAX, &uv);
    if (rc == 0)
        rc = read_number(self, CURRENT, MICRO_MAX, &ua);
    if (rc == 0)
        *uw = uv * ua / 1000000;
    return rc;
}

static int read_way(const struct state *self, int64_t uw, enum way *way)
{
    char text[24] = "";
    ssize_t length = pread(self->fd[STATUS], text, sizeof text - 1, 0);

    if (length < 0)
        return -errno;
    text[strcspn(text, "\n")] = '\0';
    *way = strcmp(text, "Charging") == 0 ? IN : OUT;
    if (*way == IN || strcmp(text, "Discharging") == 0)
        return 0;
    // Not on its way in either case: what is negative leaves it, and a current without a sign tells nothing.
    return uw <= 0 && (strcmp(text, "Full") == 0 || strcmp(text, "Not charging") == 0) ? 0 : -ENODATA;
}

static int read_battery(const struct state *self, int64_t *uw, enum way *way)
{
    int64_t present = 1;
    int rc = self->fd[PRESENT] < 0 ? 0 : jp_site_pread_i64(self->fd[PRESENT], &present);

    if (rc == 0 && present == 0)
        rc = -ENODEV;
    if (rc == 0)
        rc = read_power(self, uw);
    return rc == 0 ? read_way(self, *uw, way) : rc;
}

static void read_ways(void *state, struct jp_pass *pass)
{
    struct state *self = state;
    enum way way = OUT;
    int64_t uw = 0;
    // A battery that was taken out and put back has new files.
    int rc = self->fd[STATUS] < 0 ? open_files(self) : 0;

    if (rc == 0)
        rc = read_battery(self, &uw, &way);
    rc = rc == -ENOENT ? -ENODEV : rc;
    for (int i = 0; i < WAYS; i++) {
        if (pass->readings[i].state != JP_WANTED)
            continue;
        if (rc < 0)
            jp_reading_missing(&pass->readings[i], -rc);
        else
            jp_reading_good(&pass->readings[i], i != (int)way ? 0 : uw < 0 ? -uw : uw);
    }
    if (rc == -ENODEV)
        close_battery(self);
    jp_pass_late(pass);
}

static bool has(const struct jp_site *site, const char *dir, enum file file)
{
    char path[320];
    int fd;

    path_of(dir, names[file], path);
    fd = jp_site_open(site, path);
    if (fd >= 0)
        close(fd);
    return fd != -ENOENT;
}

static bool says(const struct jp_site *site, const char *dir, const char *file, const char *word)
{
    char path[320], text[32];

    path_of(dir, file, path);
    return jp_site_read(site, path, text, sizeof text) > 0 && strcmp(text, word) == 0;
}

struct search {
    const struct jp_site *site;
    struct jp_found *found;
    int count, max;
};

static int take_supply(void *context, const char *name)
{
    struct search *search = context;
    char dir[256];

    snprintf(dir, sizeof dir, CLASS "/%.200s", name);
    // What a battery of the scope Device feeds is a mouse or a pen, not this machine.
    if (!says(search->site, dir, "type", "Battery") || says(search->site, dir, "scope", "Device"))
        return 0;
    if (says(search->site, dir, names[PRESENT], "0") || !has(search->site, dir, STATUS) ||
        (!has(search->site, dir, POWER) && (!has(search->site, dir, VOLTAGE) || !has(search->site, dir, CURRENT))))
        return 0;
    if (search->count == search->max)
        return 1;
    search->found[search->count] = (struct jp_found){.param = 0};
    memcpy(search->found[search->count++].path, dir, sizeof dir);
    return 0;
}

static int probe_batteries(const struct jp_site *site, struct jp_found *found, int max)
{
    struct search search = {.site = site, .found = found, .max = max};

    jp_site_list(site, CLASS, take_supply, &search);
    return search.count;
}

// Fuel gauges convert about once a second, and ACPI keeps an answer as long.
const struct jp_driver jp_driver_power_supply = {
    .name = "power_supply",
    .state_size = sizeof(struct state),
    .min_period_ms = 1000,
    .probe = probe_batteries,
    .open = open_battery,
    .read = read_ways,
    .close = close_battery,
};
