// SPDX-License-Identifier: Apache-2.0
// INA3221 through the iio driver of L4T 32 (JetPack 4, kernel 4.9).
//
// Its inputs count from 0. ui_input_N holds mV and mA of one conversion; where it is missing, in_voltageN_input and
// in_currentN_input stand in. Source of the files: OE4T/linux-tegra-4.9 drivers/staging/iio/meter/ina3221.c.
#include "channel.h"
#include "chip.h"
#include "drivers.h"
#include "ina3221.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHIPS_MAX 32

struct rail {
    int fd[2]; // mV and mA; the first gives both when there is no second
    int error; // of open(2), positive
};

struct state {
    struct rail rails[JP_INA3221_CHANNELS];
    int count;
};

static int open_file(const struct jp_site *site, const char *dir, const char *format, int input)
{
    char path[300];
    int length = snprintf(path, sizeof path, "%.255s/", dir);

    snprintf(path + length, sizeof path - (size_t)length, format, input);
    return jp_site_open(site, path);
}

// An input that the tree leaves out has no name, which this kernel prints as "(null)", and no shunt: its current is
// nothing that was measured.
static bool is_off(const struct jp_site *site, const char *dir, int input, char *label, size_t size)
{
    char path[300];

    snprintf(path, sizeof path, "%.255s/rail_name_%d", dir, input);
    if (jp_site_read(site, path, label, size) < 0)
        label[0] = '\0';
    return strcmp(label, "NC") == 0 || strcmp(label, "(null)") == 0;
}

static void close_rail(struct rail *rail)
{
    for (int i = 0; i < 2; i++)
        if (rail->fd[i] >= 0)
            close(rail->fd[i]);
}

static bool open_rail(struct rail *rail, const struct jp_site *site, const char *dir, int input)
{
    *rail = (struct rail){.fd = {-1, -1}};
    rail->fd[0] = open_file(site, dir, "ui_input_%d", input);
    if (rail->fd[0] >= 0)
        return true;
    rail->fd[0] = open_file(site, dir, "in_voltage%d_input", input);
    rail->fd[1] = open_file(site, dir, "in_current%d_input", input);
    for (int i = 0; i < 2; i++)
        if (rail->fd[i] < 0)
            rail->error = -rail->fd[i];
    if (rail->error != ENOENT)
        return true;
    close_rail(rail);
    return false;
}

static void read_rail(const struct rail *rail, struct jp_reading *reading)
{
    int64_t values[2]; // mV, mA
    int rc = -rail->error;

    if (rc == 0)
        rc = jp_site_pread_first(rail->fd[0], values, rail->fd[1] < 0 ? 2 : 1);
    if (rc == 0 && rail->fd[1] >= 0)
        rc = jp_site_pread_first(rail->fd[1], &values[1], 1);
    if (rc < 0)
        jp_reading_missing(reading, -rc);
    else
        jp_ina3221_reading(reading, values[0], values[1]);
}

static int open_chip(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                     int max)
{
    struct state *self = state;
    struct jp_chip chip;

    jp_chip_identify(site, found->path, &chip);
    for (int input = 0; input < JP_INA3221_CHANNELS && self->count < max; input++) {
        struct jp_reading now;
        char label[128];

        if (is_off(site, found->path, input, label, sizeof label) ||
            !open_rail(&self->rails[self->count], site, found->path, input))
            continue;
        jp_channel_init(&channels[self->count], JP_POWER, "ina3221", label);
        jp_chip_place(&chip, input + 1, &channels[self->count]);
        read_rail(&self->rails[self->count], &now);
        if (now.state == JP_GOOD && now.mv > 0)
            channels[self->count].mv = now.mv;
        self->count++;
    }
    return self->count;
}

static void read_chip(void *state, struct jp_pass *pass)
{
    struct state *self = state;

    for (int i = 0; i < self->count; i++) {
        if (pass->readings[i].state != JP_WANTED)
            continue;
        read_rail(&self->rails[i], &pass->readings[i]);
        if (jp_pass_late(pass))
            return;
    }
}

static void close_chip(void *state)
{
    struct state *self = state;

    for (int i = 0; i < self->count; i++)
        close_rail(&self->rails[i]);
    self->count = 0;
}

static bool is_wanted(const struct jp_site *site, const char *dir)
{
    return jp_chip_is(site, dir, "ina3221x");
}

// A chip that hwmon shows is hwmon's.
static int probe_chips(const struct jp_site *site, struct jp_found *found, int max)
{
    static const struct jp_chip_kind kind = {"/sys/bus/i2c/drivers/ina3221x", "", "/sys/bus/iio/devices", "iio:device",
                                             is_wanted};
    struct jp_found seen[CHIPS_MAX];
    struct jp_chip_list list = {seen, 0, CHIPS_MAX};
    int hwmon, count;

    hwmon = list.count = jp_driver_ina3221_hwmon.probe(site, seen, CHIPS_MAX);
    jp_chip_find(site, &kind, &list);
    count = list.count - hwmon < max ? list.count - hwmon : max;
    memcpy(found, &seen[hwmon], (size_t)count * sizeof *found);
    return count;
}

const struct jp_driver jp_driver_ina3221_iio = {
    .name = "ina3221_iio",
    .state_size = sizeof(struct state),
    .probe = probe_chips,
    .open = open_chip,
    .read = read_chip,
    .close = close_chip,
};
