// SPDX-License-Identifier: Apache-2.0
// The averaging of an INA3221, through hwmon or I2C.
#define _GNU_SOURCE
#include "ina3221_averaging.h"

#include "chip.h"
#include "drivers.h"
#include "i2c.h"
#include "ina3221_i2c.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROUND_MIN_US 280 // one channel at the shortest times, which the kernel rounds to 0 ms

static int open_in(const struct jp_site *site, const char *dir, const char *name)
{
    char path[300];

    snprintf(path, sizeof path, "%.255s/%.40s", dir, name);
    return jp_site_open(site, path);
}

static int open_input(const struct jp_site *site, const char *dir)
{
    static const char *const names[] = {"in1_input", "in2_input", "in3_input"};
    int64_t unused;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int fd = open_in(site, dir, names[i]);

        if (fd >= 0 && jp_site_pread_i64(fd, &unused) == 0)
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -ENODATA;
}

static int open_hwmon(struct jp_ina3221_averaging *self, const struct jp_site *site, const char *dir)
{
    char path[300];
    int rc;

    snprintf(path, sizeof path, "%.255s/samples", dir);
    self->fd = jp_site_open_attribute(site, path);
    if (self->fd < 0)
        return self->fd;
    self->round_fd = open_in(site, dir, "update_interval");
    self->value_fd = open_input(site, dir);
    rc = self->round_fd < 0 ? self->round_fd : self->value_fd < 0 ? self->value_fd : 0;
    if (rc < 0)
        jp_ina3221_averaging_close(self);
    return rc;
}

static int open_direct(struct jp_ina3221_averaging *self, const struct jp_site *site, const char *path)
{
    int bus;

    self->i2c = jp_site_i2c(site);
    if (!self->i2c || !jp_ina3221_i2c_parse(path, &bus, &self->address))
        return -ENODEV;
    self->fd = self->i2c->open(self->i2c, bus, self->address);
    return self->fd < 0 ? self->fd : 0;
}

int jp_ina3221_averaging_open(struct jp_ina3221_averaging *self, const struct jp_site *site, const char *driver,
                              const struct jp_found *found)
{
    struct jp_chip chip;

    *self = (struct jp_ina3221_averaging){.fd = -1, .round_fd = -1, .value_fd = -1};
    jp_chip_identify(site, found->path, &chip);
    memcpy(self->device, chip.device, sizeof self->device);
    if (strcmp(driver, jp_driver_ina3221_i2c.name) == 0)
        return open_direct(self, site, found->path);
    if (strcmp(driver, jp_driver_ina3221_hwmon.name) != 0)
        return -ENOTSUP;
    return chip.device[0] ? open_hwmon(self, site, found->path) : -ENODEV; // who it is must be known to put it back
}

// Who has taken the chip meanwhile keeps it.
static int read_config(const struct jp_ina3221_averaging *self)
{
    int word = self->i2c->claim(self->i2c, self->fd, self->address);

    if (word == 0)
        word = self->i2c->read_word(self->i2c, self->fd, JP_INA3221_CONFIG);
    return word < 0 ? word : jp_ina3221_swap((uint16_t)word);
}

static int read_small(int fd)
{
    int64_t value;
    int rc = jp_site_pread_i64(fd, &value);

    if (rc < 0)
        return rc;
    return value >= 0 && value <= INT32_MAX / 1000 ? (int)value : -ERANGE;
}

int jp_ina3221_averaging_get(const struct jp_ina3221_averaging *self)
{
    struct jp_ina3221_config decoded;
    int config;

    if (!self->i2c)
        return read_small(self->fd);
    config = read_config(self);
    if (config < 0)
        return config;
    jp_ina3221_decode((uint16_t)config, &decoded);
    return decoded.samples;
}

int jp_ina3221_averaging_set(const struct jp_ina3221_averaging *self, int samples)
{
    int config;

    if (!self->i2c)
        return jp_site_pwrite_i64(self->fd, samples);
    config = read_config(self);
    if (config < 0)
        return config;
    return self->i2c->write_word(self->i2c, self->fd, JP_INA3221_CONFIG,
                                 jp_ina3221_swap(jp_ina3221_with_samples((uint16_t)config, samples)));
}

int jp_ina3221_averaging_round_us(const struct jp_ina3221_averaging *self)
{
    struct jp_ina3221_config decoded;
    int value;

    if (!self->i2c) {
        value = read_small(self->round_fd);
        return value == 0 ? ROUND_MIN_US : value < 0 ? value : value * 1000;
    }
    value = read_config(self);
    if (value < 0)
        return value;
    jp_ina3221_decode((uint16_t)value, &decoded);
    return decoded.channels > 0 ? (int)jp_ina3221_round_us(&decoded) : -ENODATA;
}

int jp_ina3221_averaging_try(const struct jp_ina3221_averaging *self)
{
    int64_t unused;
    int rc;

    if (self->i2c) // registers are read as they are
        return 0;
    rc = jp_site_pread_i64(self->value_fd, &unused);
    return rc < 0 ? rc : 1;
}

void jp_ina3221_averaging_close(struct jp_ina3221_averaging *self)
{
    if (self->i2c && self->fd >= 0)
        self->i2c->close(self->i2c, self->fd);
    else if (self->fd >= 0)
        close(self->fd);
    if (self->round_fd >= 0)
        close(self->round_fd);
    if (self->value_fd >= 0)
        close(self->value_fd);
    self->fd = self->round_fd = self->value_fd = -1;
}
