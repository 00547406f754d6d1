// SPDX-License-Identifier: Apache-2.0
// Chips that tell power or energy themselves through hwmon: INA219, INA226, INA238 and their like, and GPUs.
//
// powerN_input and powerN_average are microwatts, energyN_input is microjoules (hwmon ABI). A number that has more than
// one of them is one channel, by the first of this order.
#define _GNU_SOURCE
#include "channel.h"
#include "chip.h"
#include "drivers.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAX 32

struct meter {
    char file[24]; // "power12_average"
    enum jp_kind kind;
    int fd;    // -1: never opened
    int error; // why, positive errno
};

struct state {
    struct meter meters[FILES_MAX];
    int count;
    struct jp_chip_home home;
    bool gone; // the files are those of a driver that was unbound
};

// What the files of a chip are looked at for: opening it, or only whether it has any.
struct look {
    const struct jp_site *site;
    const char *dir;
    const char *name; // of the chip
    struct jp_chip chip;
    struct state *state; // NULL: stop at the first
    struct jp_channel *channels;
    int max;
};

static const char *const gpus[] = {"amdgpu", "i915", "nouveau", "xe"};

static int read_text(const struct look *look, const char *file, char *out, size_t size)
{
    char path[320];

    snprintf(path, sizeof path, "%.255s/%.60s", look->dir, file);
    return jp_site_read(look->site, path, out, size);
}

static bool exists(const struct look *look, const char *format, int number)
{
    char path[320];
    int length = snprintf(path, sizeof path, "%.255s/", look->dir), fd;

    snprintf(path + length, sizeof path - (size_t)length, format, number);
    fd = jp_site_open(look->site, path);
    if (fd >= 0)
        close(fd);
    return fd != -ENOENT;
}

static bool is_number_of(const char *file, const char *prefix, const char *suffix, int *number)
{
    char *end;
    size_t length = strlen(prefix);

    if (strncmp(file, prefix, length) != 0 || file[length] < '0' || file[length] > '9')
        return false;
    *number = (int)strtol(file + length, &end, 10);
    return strcmp(end, suffix) == 0;
}

// The file that stands for its number: what it counts, or false.
static bool is_meter(const struct look *look, const char *file, int *number, enum jp_kind *kind)
{
    *kind = JP_POWER;
    if (is_number_of(file, "power", "_input", number))
        return true;
    if (is_number_of(file, "power", "_average", number))
        return !exists(look, "power%d_input", *number);
    *kind = JP_ENERGY;
    return is_number_of(file, "energy", "_input", number) && !exists(look, "power%d_input", *number) &&
           !exists(look, "power%d_average", *number);
}

// Light in a fibre, a battery, and the cores inside a socket are no rails of the machine.
static bool is_no_rail(const struct look *look, const char *label, int number)
{
    char name[40], text[8];

    if (strcmp(label, "TX_power") == 0 || strcmp(label, "RX_power") == 0)
        return true; // of a network transceiver
    if (strcmp(look->name, "amd_energy") == 0 && strncmp(label, "Ecore", 5) == 0)
        return true;
    snprintf(name, sizeof name, "power%d_is_battery", number);
    return read_text(look, name, text, sizeof text) > 0 && strcmp(text, "1") == 0;
}

// The channel's label, the chip's, or the device tree's, which older kernels do not show as the chip's.
static void find_label(const struct look *look, const char *kind, int number, char *out, size_t size)
{
    char file[40], path[320];

    snprintf(file, sizeof file, "%s%d_label", kind, number);
    if (read_text(look, file, out, size) > 0 || read_text(look, "label", out, size) > 0 ||
        read_text(look, "device/of_node/label", out, size) > 0)
        return;
    snprintf(path, sizeof path, "/sys/bus/i2c/devices/%s/of_node/label", look->chip.device);
    if (!look->chip.device[0] || jp_site_read(look->site, path, out, size) <= 0)
        out[0] = '\0';
}

static void describe(const struct look *look, struct jp_channel *channel, enum jp_kind kind, const char *label)
{
    char path[320];
    int64_t shunt;

    jp_channel_init(channel, kind, look->name, label);
    for (size_t i = 0; i < sizeof gpus / sizeof gpus[0]; i++)
        if (strcmp(look->name, gpus[i]) == 0)
            channel->roles = JP_ROLE_GPU;
    snprintf(path, sizeof path, "%.255s/shunt_resistor", look->dir);
    if (jp_site_read_i64(look->site, path, &shunt) == 0 && shunt > 0 && shunt <= INT32_MAX)
        channel->shunt_uohm = (int32_t)shunt;
}

static void open_meter(struct meter *meter, const struct jp_site *site, const char *dir)
{
    char path[320];
    int fd;

    snprintf(path, sizeof path, "%.255s/%s", dir, meter->file);
    fd = jp_site_open(site, path);
    meter->fd = fd < 0 ? -1 : fd;
    meter->error = fd < 0 ? -fd : 0;
}

static int take_file(void *context, const char *file)
{
    struct look *look = context;
    struct state *self = look->state;
    struct meter *meter;
    enum jp_kind kind;
    char label[64];
    int number;

    if (!is_meter(look, file, &number, &kind))
        return 0;
    find_label(look, kind == JP_POWER ? "power" : "energy", number, label, sizeof label);
    if (is_no_rail(look, label, number))
        return 0;
    if (!self)
        return 1;
    if (self->count == look->max || self->count == FILES_MAX || strlen(file) >= sizeof meter->file)
        return 0;
    describe(look, &look->channels[self->count], kind, label);
    jp_chip_place(&look->chip, number, &look->channels[self->count]);
    meter = &self->meters[self->count++];
    snprintf(meter->file, sizeof meter->file, "%s", file);
    meter->kind = kind;
    open_meter(meter, look->site, look->dir);
    return 0;
}

static void close_chip(void *state)
{
    struct state *self = state;

    for (int i = 0; i < self->count; i++)
        if (self->meters[i].fd >= 0)
            close(self->meters[i].fd);
    self->count = 0;
}

static int open_chip(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                     int max)
{
    struct state *self = state;
    char name[64] = "";
    struct look look = {
        .site = site, .dir = found->path, .name = name, .state = self, .channels = channels, .max = max};
    int error = 0;

    read_text(&look, "name", name, sizeof name);
    jp_chip_identify(site, found->path, &look.chip);
    jp_site_list(site, found->path, take_file, &look);
    jp_chip_remember(site, found->path, &self->home);
    for (int i = 0; i < self->count; i++) {
        if (self->meters[i].fd >= 0)
            return self->count;
        error = self->meters[i].error == EPERM ? EACCES : self->meters[i].error;
    }
    self->count = 0;
    return -error;
}

// The driver is bound again: its files are those of the new folder. It may be half made, then the next pass looks
// again.
static void find_again(struct state *self)
{
    char dir[320];

    if (jp_chip_again(&self->home, dir, sizeof dir) < 0)
        return;
    self->gone = false;
    for (int i = 0; i < self->count; i++) {
        if (self->meters[i].fd >= 0)
            close(self->meters[i].fd);
        open_meter(&self->meters[i], self->home.site, dir);
        self->gone |= self->meters[i].error == ENOENT;
    }
}

static void read_chip(void *state, struct jp_pass *pass)
{
    struct state *self = state;

    if (self->gone)
        find_again(self);
    for (int i = 0; i < self->count; i++) {
        const struct meter *meter = &self->meters[i];
        struct jp_reading *reading = &pass->readings[i];
        int64_t value = 0;
        int rc;

        if (reading->state != JP_WANTED)
            continue;
        rc = meter->fd < 0 ? -meter->error : jp_site_pread_i64(meter->fd, &value);
        self->gone |= rc == -ENODEV;
        if (rc == 0 && value < 0 && meter->kind == JP_ENERGY)
            rc = -ERANGE;
        if (rc < 0)
            jp_reading_missing(reading, -rc);
        else
            jp_reading_good(reading, value);
        if (jp_pass_late(pass))
            return;
    }
}

// Batteries, chargers and the contracts of USB-PD (ucsi_source_psy_*) are shown in hwmon as well; what they tell is
// agreed or counted by others, not measured on a rail.
static bool is_power_supply(const struct jp_site *site, const char *dir, const char *name)
{
    char path[320], full[PATH_MAX], real[PATH_MAX];
    int fd;

    if (strncmp(name, "ucsi_source_psy_", strlen("ucsi_source_psy_")) == 0)
        return true;
    if (jp_site_path(site, dir, full, sizeof full) == 0 && realpath(full, real) && strstr(real, "/power_supply/"))
        return true;
    snprintf(path, sizeof path, "/sys/class/power_supply/%.60s", name);
    fd = jp_site_open(site, path);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool is_wanted(const struct jp_site *site, const char *dir)
{
    char name[64] = "";
    struct look look = {.site = site, .dir = dir, .name = name};

    if (read_text(&look, "name", name, sizeof name) <= 0 || strcmp(name, "ina3221") == 0 ||
        is_power_supply(site, dir, name))
        return false;
    return jp_site_list(site, dir, take_file, &look) > 0;
}

static int probe_chips(const struct jp_site *site, struct jp_found *found, int max)
{
    static const struct jp_chip_kind kind = {NULL, "/hwmon", "/sys/class/hwmon", "hwmon", is_wanted};
    struct jp_chip_list list = {found, 0, max};

    jp_chip_find(site, &kind, &list);
    return list.count;
}

const struct jp_driver jp_driver_hwmon_power = {
    .name = "hwmon_power",
    .state_size = sizeof(struct state),
    .probe = probe_chips,
    .open = open_chip,
    .read = read_chip,
    .close = close_chip,
};
