// SPDX-License-Identifier: Apache-2.0
// The I2C door on libi2c, and which bus is which.
#define _GNU_SOURCE
#include "i2c.h"

#include <errno.h>
#include <fcntl.h>
#include <i2c/smbus.h>
#include <linux/i2c-dev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEVICES "/sys/bus/i2c/devices"

static int claim(const struct jp_i2c *self, int fd, int address)
{
    (void)self;
    return ioctl(fd, I2C_SLAVE, (unsigned long)address) < 0 ? -errno : 0;
}

static int open_chip(const struct jp_i2c *self, int bus, int address)
{
    char path[32];
    int fd, rc;

    snprintf(path, sizeof path, "/dev/i2c-%d", bus);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    rc = claim(self, fd, address);
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

static int read_word(const struct jp_i2c *self, int fd, uint8_t reg)
{
    (void)self;
    return i2c_smbus_read_word_data(fd, reg);
}

static int write_word(const struct jp_i2c *self, int fd, uint8_t reg, uint16_t word)
{
    (void)self;
    return i2c_smbus_write_word_data(fd, reg, word);
}

static void close_chip(const struct jp_i2c *self, int fd)
{
    (void)self;
    close(fd);
}

const struct jp_i2c jp_i2c_real = {
    .open = open_chip, .claim = claim, .read_word = read_word, .write_word = write_word, .close = close_chip};

const struct jp_i2c *jp_site_i2c(const struct jp_site *site)
{
    if (site->i2c)
        return site->i2c;
    return site->root[0] == '\0' ? &jp_i2c_real : NULL;
}

struct search {
    const struct jp_site *site;
    const char *name;
    int hit;
};

static int look_at_adapter(void *context, const char *entry)
{
    struct search *search = context;
    char path[320], name[128], *end;
    long number;

    if (strncmp(entry, "i2c-", 4) != 0)
        return 0;
    number = strtol(entry + 4, &end, 10);
    if (end == entry + 4 || *end != '\0' || number < 0 || number > 65535)
        return 0;
    snprintf(path, sizeof path, DEVICES "/%.200s/of_node", entry);
    if (jp_site_link(search->site, path, name, sizeof name) < 0) {
        snprintf(path, sizeof path, DEVICES "/%.200s/name", entry);
        if (jp_site_read(search->site, path, name, sizeof name) < 0)
            return 0;
    }
    if (strcmp(name, search->name) == 0)
        search->hit = search->hit == -ENOENT ? (int)number : -ENOTUNIQ;
    return 0;
}

int jp_i2c_bus(const struct jp_site *site, const char *name)
{
    struct search search = {site, name, -ENOENT};

    jp_site_list(site, DEVICES, look_at_adapter, &search); // no I2C at all: no such bus
    return search.hit;
}
