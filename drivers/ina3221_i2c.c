// SPDX-License-Identifier: Apache-2.0
// INA3221 directly through libi2c, where no kernel driver holds the chip.
//
// Only where a device tree or a board names one. Everything is read, nothing is written, 0x0f is never touched. Once a
// second the kernel is asked whether the chip is still free, and the chip whether it still converts.
#define _GNU_SOURCE
#include "ina3221_i2c.h"

#include "channel.h"
#include "chip.h"
#include "drivers.h"
#include "i2c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS "/sys/bus/i2c/devices/"
#define LOOK_NS 1000000000LL
#define LABEL_MAX 128 // as for hwmon: read whole, 32 characters of it make the name

struct input {
    int index; // 1..3
    int32_t shunt_uohm;
};

struct state {
    const struct jp_i2c *i2c;
    int fd, address;
    int count;
    struct input inputs[JP_INA3221_CHANNELS];
    bool looked;
    int64_t looked_ns; // of the last look at the configuration
    int error;         // positive errno of it, then there are no readings
    struct jp_ina3221_config config;
};

// What the device tree says of an input.
struct wiring {
    char label[LABEL_MAX];
    int32_t shunt_uohm; // 0: it does not say
    bool off;
};

bool jp_ina3221_i2c_parse(const char *path, int *bus, int *address)
{
    char *end;
    long number, place;

    if (strncmp(path, CLIENTS, strlen(CLIENTS)) != 0)
        return false;
    number = strtol(path + strlen(CLIENTS), &end, 10);
    if (*end != '-' || number < 0 || number > 65535)
        return false;
    place = strtol(end + 1, &end, 16);
    if (*end != '\0' || place < 0x03 || place > 0x77)
        return false;
    *bus = (int)number;
    *address = (int)place;
    return true;
}

int jp_ina3221_i2c_place(const struct jp_site *site, const char *bus, int address, struct jp_found *found)
{
    int number = jp_site_i2c(site) ? jp_i2c_bus(site, bus) : -ENODEV;

    if (number < 0)
        return number;
    *found = (struct jp_found){.param = 0};
    snprintf(found->path, sizeof found->path, CLIENTS "%d-%04x", number, (unsigned)address);
    return 0;
}

static int read_register(const struct jp_i2c *i2c, int fd, uint8_t reg)
{
    int word = i2c->read_word(i2c, fd, reg);

    return word < 0 ? word : jp_ina3221_swap((uint16_t)word);
}

// The identity counts where the chip answers for it; that it answers at all, the configuration tells.
static int look(const struct jp_i2c *i2c, int fd, struct jp_ina3221_look *out)
{
    int config = read_register(i2c, fd, JP_INA3221_CONFIG);

    if (config < 0)
        return config;
    jp_ina3221_decode((uint16_t)config, &out->config);
    out->manufacturer = read_register(i2c, fd, JP_INA3221_MANUFACTURER);
    out->die = read_register(i2c, fd, JP_INA3221_DIE);
    return 0;
}

static bool is_other(const struct jp_ina3221_look *look)
{
    return (look->manufacturer >= 0 && look->manufacturer != JP_INA3221_MANUFACTURER_ID) ||
           (look->die >= 0 && look->die != JP_INA3221_DIE_ID);
}

int jp_ina3221_i2c_look(const struct jp_site *site, const char *path, struct jp_ina3221_look *out)
{
    const struct jp_i2c *i2c = jp_site_i2c(site);
    int bus, address, fd, rc;

    if (!i2c || !jp_ina3221_i2c_parse(path, &bus, &address))
        return -ENODEV;
    fd = i2c->open(i2c, bus, address);
    if (fd < 0)
        return fd;
    rc = look(i2c, fd, out);
    i2c->close(i2c, fd);
    return rc;
}

// What the device tree says -------------------------------------------------------------------------
struct node {
    const struct jp_site *site;
    const char *path; // of the chip
    struct wiring *inputs;
};

static bool read_cell(const struct jp_site *site, const char *dir, const char *name, uint32_t *value)
{
    char path[400];
    unsigned char cell[5];
    int fd;
    ssize_t length;

    snprintf(path, sizeof path, "%.340s/%.40s", dir, name);
    fd = jp_site_open(site, path);
    if (fd < 0)
        return false;
    length = pread(fd, cell, sizeof cell, 0); // whole: its bytes may look like white space
    close(fd);
    *value = (uint32_t)cell[0] << 24 | (uint32_t)cell[1] << 16 | (uint32_t)cell[2] << 8 | cell[3];
    return length == 4;
}

static int take_input(void *context, const char *name)
{
    struct node *node = context;
    struct wiring *input;
    char dir[340], path[400], status[32];
    uint32_t reg, shunt;

    snprintf(dir, sizeof dir, "%.200s/of_node/%.100s", node->path, name);
    if (!read_cell(node->site, dir, "reg", &reg) || reg >= JP_INA3221_CHANNELS)
        return 0;
    input = &node->inputs[reg];
    snprintf(path, sizeof path, "%s/label", dir);
    if (jp_site_read(node->site, path, input->label, sizeof input->label) < 0)
        input->label[0] = '\0';
    if (read_cell(node->site, dir, "shunt-resistor-micro-ohms", &shunt) && shunt <= INT32_MAX)
        input->shunt_uohm = (int32_t)shunt;
    snprintf(path, sizeof path, "%s/status", dir);
    input->off = strcmp(input->label, "NC") == 0 || (jp_site_read(node->site, path, status, sizeof status) > 0 &&
                                                     strcmp(status, "okay") != 0 && strcmp(status, "ok") != 0);
    return 0;
}

static void read_tree(const struct jp_site *site, const char *path, struct wiring *inputs)
{
    struct node node = {site, path, inputs};
    char dir[300];

    snprintf(dir, sizeof dir, "%.255s/of_node", path);
    jp_site_list(site, dir, take_input, &node); // no tree: it says nothing
}

// Where the kernel has no client for the chip, its bus may have a node all the same.
static void identify(const struct jp_site *site, const char *path, struct jp_chip *chip)
{
    char adapter[300];
    int bus, address;

    jp_chip_identify(site, path, chip);
    if (chip->bus_node[0] || !jp_ina3221_i2c_parse(path, &bus, &address))
        return;
    snprintf(adapter, sizeof adapter, CLIENTS "i2c-%d/of_node", bus);
    if (jp_site_link(site, adapter, chip->bus_node, sizeof chip->bus_node) < 0)
        chip->bus_node[0] = '\0';
}

// Opening ------------------------------------------------------------------------------------------
static void describe(const struct state *self, const struct input *input, struct jp_channel *channel)
{
    int bus = read_register(self->i2c, self->fd, JP_INA3221_BUS(input->index));
    int32_t mv = bus < 0 ? 0 : jp_ina3221_bus_mv((uint16_t)bus);

    channel->shunt_uohm = input->shunt_uohm;
    channel->max_uw = jp_ina3221_max_uw(input->shunt_uohm);
    if (mv > 0)
        channel->resolution_uw = jp_ina3221_resolution_uw(input->shunt_uohm, mv);
}

static void open_inputs(struct state *self, const struct jp_site *site, const struct jp_found *found,
                        struct jp_channel *channels)
{
    struct wiring wiring[JP_INA3221_CHANNELS] = {{.off = false}};
    struct jp_chip chip;

    identify(site, found->path, &chip);
    read_tree(site, found->path, wiring);
    for (int i = 0; i < JP_INA3221_CHANNELS; i++) {
        struct input *input = &self->inputs[self->count];
        struct jp_channel *channel = &channels[self->count];

        if (!self->config.enabled[i] || wiring[i].off || found->shunt_uohm[i] < 0)
            continue;
        input->index = i + 1;
        input->shunt_uohm = found->shunt_uohm[i] ? found->shunt_uohm[i] : wiring[i].shunt_uohm;
        jp_channel_init(channel, JP_POWER, "ina3221", wiring[i].label);
        jp_chip_place(&chip, input->index, channel);
        describe(self, input, channel);
        self->count++;
    }
}

static int open_chip(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                     int max)
{
    struct state *self = state;
    struct jp_ina3221_look seen;
    int bus, rc;

    self->i2c = jp_site_i2c(site);
    if (!self->i2c || max < JP_INA3221_CHANNELS || !jp_ina3221_i2c_parse(found->path, &bus, &self->address))
        return -ENODEV;
    self->fd = self->i2c->open(self->i2c, bus, self->address);
    if (self->fd < 0)
        return self->fd;
    rc = look(self->i2c, self->fd, &seen);
    if (rc == 0 && is_other(&seen))
        rc = -JP_INA3221_OTHER_CHIP;
    if (rc < 0) {
        self->i2c->close(self->i2c, self->fd);
        return rc;
    }
    self->config = seen.config;
    open_inputs(self, site, found, channels);
    return self->count;
}

// Reading ------------------------------------------------------------------------------------------
// 0, or the positive errno that all of the chip has.
static int look_again(struct state *self)
{
    int rc = self->i2c->claim(self->i2c, self->fd, self->address);

    if (rc == 0)
        rc = read_register(self->i2c, self->fd, JP_INA3221_CONFIG);
    if (rc < 0)
        return -rc;
    jp_ina3221_decode((uint16_t)rc, &self->config);
    return self->config.converts ? 0 : JP_INA3221_POWERED_DOWN;
}

// True: late.
static bool read_input(const struct state *self, const struct input *input, struct jp_pass *pass,
                       struct jp_reading *reading)
{
    int shunt, bus;

    if (!self->config.enabled[input->index - 1]) {
        jp_reading_missing(reading, ENODATA);
        return false;
    }
    shunt = read_register(self->i2c, self->fd, (uint8_t)JP_INA3221_SHUNT(input->index));
    if (shunt >= 0 && jp_pass_late(pass)) {
        jp_reading_missing(reading, ETIMEDOUT); // the voltage would take as long
        return true;
    }
    bus = shunt < 0 ? shunt : read_register(self->i2c, self->fd, (uint8_t)JP_INA3221_BUS(input->index));
    if (bus < 0)
        jp_reading_missing(reading, -bus);
    else
        jp_ina3221_reading(reading, jp_ina3221_bus_mv((uint16_t)bus),
                           jp_ina3221_ma(jp_ina3221_shunt_uv((uint16_t)shunt), input->shunt_uohm));
    return jp_pass_late(pass);
}

static bool any_wanted(const struct state *self, const struct jp_pass *pass)
{
    for (int i = 0; i < self->count; i++)
        if (pass->readings[i].state == JP_WANTED)
            return true;
    return false;
}

static void fail(const struct state *self, int error, struct jp_pass *pass)
{
    for (int i = 0; i < self->count; i++)
        if (pass->readings[i].state == JP_WANTED)
            jp_reading_missing(&pass->readings[i], error);
}

static void read_chip(void *state, struct jp_pass *pass)
{
    struct state *self = state;
    int error;

    if (!any_wanted(self, pass))
        return;
    if (!self->looked || self->error || pass->t_ns - self->looked_ns >= LOOK_NS) {
        self->error = look_again(self);
        self->looked = true;
        self->looked_ns = pass->t_ns;
        error = self->error ? self->error : jp_pass_late(pass) ? ETIMEDOUT : 0;
        if (error) {
            fail(self, error, pass);
            return;
        }
    }
    for (int i = 0; i < self->count; i++) {
        struct jp_reading *reading = &pass->readings[i];

        if (reading->state != JP_WANTED)
            continue;
        if (self->inputs[i].shunt_uohm <= 0)
            jp_reading_missing(reading, JP_INA3221_NO_SHUNT);
        else if (read_input(self, &self->inputs[i], pass, reading))
            return;
    }
}

static void close_chip(void *state)
{
    struct state *self = state;

    self->i2c->close(self->i2c, self->fd);
    self->count = 0;
}

// Finding ------------------------------------------------------------------------------------------
struct search {
    const struct jp_site *site;
    struct jp_chip_list list;
};

static int take_client(void *context, const char *name)
{
    struct search *search = context;
    char path[256];
    int bus, address;

    snprintf(path, sizeof path, CLIENTS "%.200s", name);
    if (search->list.count == search->list.max || !jp_ina3221_i2c_parse(path, &bus, &address) ||
        !jp_chip_is(search->site, path, "ina3221"))
        return 0;
    search->list.found[search->list.count] = (struct jp_found){.param = 0};
    memcpy(search->list.found[search->list.count++].path, path, sizeof path);
    return 0;
}

// The clients of the kernel that are such chips, whoever holds them.
static int probe_chips(const struct jp_site *site, struct jp_found *found, int max)
{
    struct search search = {site, {found, 0, max}};

    if (jp_site_i2c(site))
        jp_site_list(site, CLIENTS, take_client, &search); // no I2C at all: none
    return search.list.count;
}

const struct jp_driver jp_driver_ina3221_i2c = {
    .name = "ina3221_i2c",
    .state_size = sizeof(struct state),
    .probe = probe_chips,
    .open = open_chip,
    .read = read_chip,
    .close = close_chip,
};
