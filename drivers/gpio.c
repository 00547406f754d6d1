// SPDX-License-Identifier: Apache-2.0
// Finds chips and lines, the same for both libgpiods.
#include "gpio_parts.h"

#include "site.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES "/dev/"
#define PREFIX "gpiochip"
#define LABEL_MAX 33 // the kernel's own

static bool is_number(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

static bool is_device(const char *name)
{
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0 && is_number(name + strlen(PREFIX));
}

static int open_device(const char *name, struct gpiod_chip **chip)
{
    char path[64];

    snprintf(path, sizeof path, DEVICES "%s", name);
    *chip = gpiod_chip_open(path);
    if (*chip)
        return 0;
    // Of what is no GPIO chip libgpiod says ENOTTY, ENODEV or ENOENT.
    return errno == ENOENT || errno == ENOTTY || errno == ENXIO ? -ENODEV : -errno;
}

struct search {
    const char *label;
    char name[64];
    int hits, denied;
};

static int compare(void *context, const char *name)
{
    struct search *search = context;
    struct gpiod_chip *chip;
    char label[LABEL_MAX];
    unsigned lines;
    int rc;

    if (!is_device(name))
        return 0;
    rc = open_device(name, &chip);
    if (rc == -EACCES || rc == -EPERM)
        search->denied = rc;
    if (rc)
        return 0;
    if (jp_gpiod_chip(chip, label, sizeof label, &lines) == 0 && strcmp(label, search->label) == 0) {
        snprintf(search->name, sizeof search->name, "%s", name);
        search->hits++;
    }
    gpiod_chip_close(chip);
    return 0;
}

static int open_labelled(const char *label, struct gpiod_chip **chip)
{
    const struct jp_site site = {.root = ""};
    struct search search = {.label = label};
    int rc = jp_site_list(&site, "/dev", compare, &search);

    if (rc)
        return rc;
    if (search.hits > 1)
        return -ENOTUNIQ;
    if (search.hits == 0)
        return search.denied ? search.denied : -ENODEV;
    return open_device(search.name, chip);
}

static int open_chip(const char *wanted, struct gpiod_chip **chip)
{
    char name[64];

    if (strncmp(wanted, DEVICES, strlen(DEVICES)) == 0)
        return open_device(wanted + strlen(DEVICES), chip);
    if (is_device(wanted))
        return open_device(wanted, chip);
    if (!is_number(wanted))
        return open_labelled(wanted, chip);
    snprintf(name, sizeof name, PREFIX "%s", wanted);
    return open_device(name, chip);
}

static int find_line(struct jp_gpio_line *line, const char *wanted)
{
    char label[LABEL_MAX];
    unsigned lines;
    int rc = jp_gpiod_chip(line->chip, label, sizeof label, &lines);
    unsigned long number;

    if (rc)
        return rc;
    if (is_number(wanted)) {
        number = strtoul(wanted, NULL, 10);
        if (number >= lines)
            return -ERANGE;
        line->offset = (unsigned)number;
        return 0;
    }
    rc = jp_gpiod_offset(line->chip, wanted);
    if (rc < 0)
        return rc;
    line->offset = (unsigned)rc;
    return 0;
}

static void close_chip(struct jp_gpio_line *line)
{
    gpiod_chip_close(line->chip);
    line->chip = NULL;
}

// With the chip open, and whatever stands in the way of the line itself.
static int find(struct jp_gpio_line *line, const struct jp_gpio_wish *wish)
{
    struct gpiod_chip *chip;
    int rc = open_chip(wish->chip, &chip);

    *line = (struct jp_gpio_line){.fd = -1};
    if (rc)
        return rc;
    line->chip = chip;
    rc = find_line(line, wish->line);
    if (rc)
        close_chip(line);
    return rc;
}

static int look(const struct jp_gpio_door *self, struct jp_gpio_line *line, const struct jp_gpio_wish *wish)
{
    int rc = find(line, wish);

    (void)self;
    if (rc)
        return rc;
    rc = jp_gpiod_user(line);
    close_chip(line);
    return rc;
}

static int open_line(const struct jp_gpio_door *self, struct jp_gpio_line *line, const struct jp_gpio_wish *wish)
{
    int rc = find(line, wish);

    (void)self;
    if (rc)
        return rc;
    rc = jp_gpiod_request(line, wish);
    if (rc == 0) {
        if (line->fd >= 0)
            fcntl(line->fd, F_SETFL, O_NONBLOCK);
        return 0;
    }
    if (rc == -EBUSY)
        jp_gpiod_user(line);
    close_chip(line);
    // The chip is there: without an interrupt the first interface says ENODEV, the second ENXIO.
    return rc == -ENODEV ? -ENXIO : rc;
}

static void close_line(struct jp_gpio_line *line)
{
    jp_gpiod_release(line);
    close_chip(line);
    line->fd = -1;
}

const struct jp_gpio_door jp_gpio_real = {
    .look = look,
    .open = open_line,
    .read = jp_gpiod_read,
    .get = jp_gpiod_get,
    .set = jp_gpiod_set,
    .close = close_line,
};
