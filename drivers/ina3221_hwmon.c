// SPDX-License-Identifier: Apache-2.0
// INA3221 through the kernel's hwmon driver (JetPack 5 and later, mainline).
//
// in1..3 (mV) and curr1..3 (mA) are the three channels. in4..7 and curr4 are shunt voltages and sums of
// the same three and are never rails. curr1..3_max_alarm and _crit_alarm make one gauge a rail.
#define _GNU_SOURCE
#include "channel.h"
#include "chip.h"
#include "drivers.h"
#include "ina3221.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LABEL_MAX 128 // read whole, also where only 32 characters of it make the name

struct rail {
    int index;
    int volt_fd, amp_fd;       // -1: never opened, see the error
    int volt_error, amp_error; // positive errno of open(2)
};

enum { WARNING, CRITICAL, LEVELS };

struct alarm {
    int index;
    bool has[LEVELS]; // false: the kernel has no such file
    int fd[LEVELS];
    bool on[LEVELS]; // as last seen
};

struct state {
    struct rail rails[JP_INA3221_CHANNELS];
    struct alarm alarms[JP_INA3221_CHANNELS]; // their channels follow those of the rails
    int count, alarm_count;
    int turn;   // which alarm file is read first
    bool fresh; // no flag was read in this pass
    struct jp_chip_home home;
    bool gone; // the files are those of a driver that was unbound
};

static void attribute(char *out, size_t size, const char *dir, const char *format)
{
    snprintf(out, size, "%.255s/%.40s", dir, format);
}

static int read_numbered(const struct jp_site *site, const char *dir, const char *name, int64_t *value)
{
    char path[300];

    attribute(path, sizeof path, dir, name);
    return jp_site_read_i64(site, path, value);
}

// Absent: the board does not use the input ("NC", exactly), or somebody switched it off.
static bool is_off(const struct jp_site *site, const char *dir, int index, char *label, size_t size)
{
    char name[40], path[300];
    int64_t enable;

    snprintf(name, sizeof name, "in%d_label", index);
    attribute(path, sizeof path, dir, name);
    if (jp_site_read(site, path, label, size) < 0)
        label[0] = '\0';
    snprintf(name, sizeof name, "in%d_enable", index);
    if (read_numbered(site, dir, name, &enable) == 0 && enable == 0)
        return true;
    return strcmp(label, "NC") == 0;
}

static int open_input(const struct jp_site *site, const char *dir, const char *name, int *error)
{
    char path[300];
    int fd;

    attribute(path, sizeof path, dir, name);
    fd = jp_site_open(site, path);
    *error = fd < 0 ? -fd : 0;
    return fd < 0 ? -1 : fd;
}

static void close_rail(struct rail *rail)
{
    if (rail->volt_fd >= 0)
        close(rail->volt_fd);
    if (rail->amp_fd >= 0)
        close(rail->amp_fd);
}

// A channel the tree does not connect answers ENODATA; an empty file says the same, but a name vouches
// for the rail.
static bool is_disconnected(const struct rail *rail, const char *label)
{
    int fd = rail->volt_fd >= 0 ? rail->volt_fd : rail->amp_fd;
    char byte;
    ssize_t got;

    if (rail->volt_error == ENOENT || rail->amp_error == ENOENT)
        return true;
    if (fd < 0)
        return false;
    got = pread(fd, &byte, 1, 0);
    return (got < 0 && errno == ENODATA) || (got == 0 && label[0] == '\0');
}

static void open_files(struct rail *rail, const struct jp_site *site, const char *dir)
{
    char name[40];

    snprintf(name, sizeof name, "in%d_input", rail->index);
    rail->volt_fd = open_input(site, dir, name, &rail->volt_error);
    snprintf(name, sizeof name, "curr%d_input", rail->index);
    rail->amp_fd = open_input(site, dir, name, &rail->amp_error);
}

static bool open_rail(struct rail *rail, const struct jp_site *site, const char *dir, int index, char *label)
{
    if (is_off(site, dir, index, label, LABEL_MAX))
        return false;
    rail->index = index;
    open_files(rail, site, dir);
    if (is_disconnected(rail, label)) {
        close_rail(rail);
        return false;
    }
    return true;
}

static void describe(struct jp_channel *channel, const struct rail *rail, const struct jp_site *site, const char *dir)
{
    char name[40];
    int64_t shunt, mv;

    snprintf(name, sizeof name, "shunt%d_resistor", channel->index);
    if (read_numbered(site, dir, name, &shunt) == 0 && shunt > 0 && shunt <= INT32_MAX)
        channel->shunt_uohm = (int32_t)shunt;
    channel->max_uw = jp_ina3221_max_uw(channel->shunt_uohm);
    if (rail->volt_fd >= 0 && jp_site_pread_i64(rail->volt_fd, &mv) == 0 && mv > 0 && mv <= INT32_MAX)
        channel->resolution_uw = jp_ina3221_resolution_uw(channel->shunt_uohm, (int32_t)mv);
}

static void open_rails(struct state *self, const struct jp_site *site, const char *dir, struct jp_channel *channels,
                       int max)
{
    struct jp_chip chip;

    jp_chip_identify(site, dir, &chip);
    for (int index = 1; index <= JP_INA3221_CHANNELS && self->count < max; index++) {
        struct rail *rail = &self->rails[self->count];
        char label[LABEL_MAX];
        struct jp_channel *channel = &channels[self->count];

        if (!open_rail(rail, site, dir, index, label))
            continue;
        jp_channel_init(channel, JP_POWER, "ina3221", label);
        jp_chip_place(&chip, index, channel);
        describe(channel, rail, site, dir);
        self->count++;
    }
}

// The tail of a label that leaves no room is cut. A rail without one is known by its place, here as well.
static void name_alarm(const struct jp_channel *rail, struct jp_channel *alarm)
{
    static const char tail[] = "_alarm";

    if (rail->name[0])
        snprintf(alarm->name, sizeof alarm->name, "%.*s%s", (int)(sizeof alarm->name - sizeof tail), rail->name, tail);
    else if (rail->address >= 0)
        snprintf(alarm->name, sizeof alarm->name, "%s-%x.%d%s", rail->chip, (unsigned)rail->address, rail->index, tail);
    else
        snprintf(alarm->name, sizeof alarm->name, "%s.%d%s", rail->chip, rail->index, tail);
}

static void open_alarm(struct alarm *alarm, const struct jp_site *site, const char *dir)
{
    static const char *const formats[LEVELS] = {"curr%d_max_alarm", "curr%d_crit_alarm"};
    int unused;

    for (int level = 0; level < LEVELS; level++) {
        char name[40];

        snprintf(name, sizeof name, formats[level], alarm->index);
        alarm->fd[level] = open_input(site, dir, name, &unused);
    }
}

static void close_alarm(struct alarm *alarm)
{
    for (int level = 0; level < LEVELS; level++)
        if (alarm->fd[level] >= 0)
            close(alarm->fd[level]);
}

static void open_alarms(struct state *self, const struct jp_site *site, const char *dir, struct jp_channel *channels,
                        int max)
{
    for (int i = 0; i < self->count && self->count + self->alarm_count < max; i++) {
        struct alarm *alarm = &self->alarms[self->alarm_count];
        struct jp_channel *channel = &channels[self->count + self->alarm_count];

        alarm->index = channels[i].index;
        open_alarm(alarm, site, dir);
        for (int level = 0; level < LEVELS; level++)
            alarm->has[level] = alarm->fd[level] >= 0;
        if (!alarm->has[WARNING] && !alarm->has[CRITICAL])
            continue;
        jp_channel_init(channel, JP_GAUGE, "ina3221", "");
        memcpy(channel->bus_node, channels[i].bus_node, sizeof channel->bus_node);
        channel->bus = channels[i].bus;
        channel->address = channels[i].address;
        channel->index = channels[i].index;
        memcpy(channel->part_of, channels[i].name, sizeof channel->part_of);
        snprintf(channel->event, sizeof channel->event, "over_current");
        name_alarm(&channels[i], channel);
        self->alarm_count++;
    }
}

static int open_chip(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                     int max)
{
    struct state *self = state;

    open_rails(self, site, found->path, channels, max);
    open_alarms(self, site, found->path, channels, max);
    jp_chip_remember(site, found->path, &self->home);
    return self->count + self->alarm_count;
}

// The driver is bound again: its files are those of the new folder. It may be half made, then the next pass looks
// again.
static void find_again(struct state *self)
{
    const struct jp_site *site = self->home.site;
    char dir[320];

    if (jp_chip_again(&self->home, dir, sizeof dir) < 0)
        return;
    self->gone = false;
    for (int i = 0; i < self->count; i++) {
        close_rail(&self->rails[i]);
        open_files(&self->rails[i], site, dir);
        self->gone |= self->rails[i].volt_error == ENOENT || self->rails[i].amp_error == ENOENT;
    }
    for (int i = 0; i < self->alarm_count; i++) {
        close_alarm(&self->alarms[i]);
        open_alarm(&self->alarms[i], site, dir);
    }
}

static int read_file(struct state *self, int fd, int open_error, int64_t *value)
{
    int rc = fd < 0 ? -open_error : jp_site_pread_i64(fd, value);

    self->gone |= rc == -ENODEV;
    return rc;
}

// A set flag always counts. A quiet one counts only where the chip had the time to set it: `fresh`, when nothing read
// its flags in this pass. True: late.
static bool read_alarm(struct state *self, int index, int first, struct jp_pass *pass)
{
    struct alarm *alarm = &self->alarms[index];
    struct jp_reading *reading = &pass->readings[self->count + index];
    bool late = false;
    int rc = 0;

    for (int i = 0; i < LEVELS && rc == 0; i++) {
        int level = (first + i) % LEVELS;
        int64_t value;

        if (!alarm->has[level])
            continue;
        if (late)
            return true;
        rc = read_file(self, alarm->fd[level], ENODEV, &value);
        if (rc == 0 && value != 0 && value != 1)
            rc = -ERANGE;
        if (rc == 0 && (value != 0 || self->fresh))
            alarm->on[level] = value != 0;
        self->fresh = false;
        late = jp_pass_late(pass);
    }
    if (rc < 0)
        jp_reading_missing(reading, -rc);
    else
        jp_reading_good(reading, alarm->on[CRITICAL] ? 2000 : alarm->on[WARNING] ? 1000 : 0);
    return late;
}

// Before the powers, and beginning with another file each time: the chip clears all its flags whenever its status is
// read, and the kernel reads it for every alarm (docs/drivers.md). True: late.
static bool read_alarms(struct state *self, struct jp_pass *pass)
{
    int first = self->turn;

    self->fresh = true;
    for (int n = 0; n < self->alarm_count; n++) {
        int i = (first / LEVELS + n) % self->alarm_count;

        if (pass->readings[self->count + i].state != JP_WANTED)
            continue;
        self->turn = (first + 1) % (self->alarm_count * LEVELS);
        if (read_alarm(self, i, first, pass))
            return true;
    }
    return false;
}

// Where the voltage took so long, the current would as well, and the other rails of the machine wait. True: late.
static bool read_rail(struct state *self, const struct rail *rail, struct jp_reading *reading, struct jp_pass *pass)
{
    int64_t mv = 0, ma = 0;
    int rc = read_file(self, rail->volt_fd, rail->volt_error, &mv);
    bool late = jp_pass_late(pass);

    if (rc == 0 && late)
        rc = -ETIMEDOUT;
    if (rc == 0) {
        rc = read_file(self, rail->amp_fd, rail->amp_error, &ma);
        late = jp_pass_late(pass);
    }
    if (rc < 0)
        jp_reading_missing(reading, -rc);
    else
        jp_ina3221_reading(reading, mv, ma);
    return late;
}

static void read_chip(void *state, struct jp_pass *pass)
{
    struct state *self = state;

    if (self->gone)
        find_again(self);
    if (read_alarms(self, pass))
        return;
    for (int i = 0; i < self->count; i++)
        if (pass->readings[i].state == JP_WANTED && read_rail(self, &self->rails[i], &pass->readings[i], pass))
            return;
}

static void close_chip(void *state)
{
    struct state *self = state;

    for (int i = 0; i < self->count; i++)
        close_rail(&self->rails[i]);
    for (int i = 0; i < self->alarm_count; i++)
        close_alarm(&self->alarms[i]);
    self->count = self->alarm_count = 0;
}

static bool is_wanted(const struct jp_site *site, const char *dir)
{
    return jp_chip_is(site, dir, "ina3221");
}

static int probe_chips(const struct jp_site *site, struct jp_found *found, int max)
{
    static const struct jp_chip_kind kind = {"/sys/bus/i2c/drivers/ina3221", "/hwmon", "/sys/class/hwmon", "hwmon",
                                             is_wanted};
    struct jp_chip_list list = {found, 0, max};

    jp_chip_find(site, &kind, &list);
    return list.count;
}

const struct jp_driver jp_driver_ina3221_hwmon = {
    .name = "ina3221_hwmon",
    .state_size = sizeof(struct state),
    .probe = probe_chips,
    .open = open_chip,
    .read = read_chip,
    .close = close_chip,
};
