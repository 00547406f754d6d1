// SPDX-License-Identifier: Apache-2.0
// Which chips are read directly over I2C, and what stands in the way.
#define _GNU_SOURCE
#include "direct.h"

#include "chip.h"
#include "drivers.h"
#include "ina3221_i2c.h"

#include <stdio.h>
#include <string.h>

static bool is_ours(const struct jp_board_sensor *sensor)
{
    return strcmp(sensor->chip, "ina3221") == 0 && sensor->address >= 0;
}

bool jp_direct_is_read(const struct jp_plan *plan, const struct jp_site *site, const char *client)
{
    for (int s = 0; s < plan->source_count; s++) {
        struct jp_chip chip;

        if (strcmp(plan->sources[s].info[0].chip, "ina3221") != 0)
            continue;
        jp_chip_identify(site, plan->sources[s].found.path, &chip);
        if (strcmp(chip.device, client) == 0)
            return true;
    }
    return false;
}

static bool in_list(const struct jp_found *found, int count, const char *path)
{
    for (int i = 0; i < count; i++)
        if (strcmp(found[i].path, path) == 0)
            return true;
    return false;
}

static void tell_no_bus(struct jp_plan *plan, const char *bus, int rc)
{
    char what[160];

    snprintf(what, sizeof what,
             rc == -ENOTUNIQ ? "more than one I2C bus is called \"%s\"" : "no I2C bus is called \"%s\"", bus);
    jp_plan_problem(plan, what, plan->board.id,
                    "correct bus_node in the board file: the bus' device-tree node, else what `i2cdetect -l` calls it");
}

// Whose bus nobody names is never looked for.
static int place(const struct jp_site *site, const struct jp_board_sensor *sensor, struct jp_found *found)
{
    if (!is_ours(sensor) || !sensor->bus_node[0])
        return -ENODEV;
    return jp_ina3221_i2c_place(site, sensor->bus_node, sensor->address, found);
}

// A profile's chip that the kernel has no client for.
static int add_named(const struct jp_discovery *how, struct jp_plan *plan, struct jp_found *found, int count)
{
    for (int i = 0; i < plan->board.sensor_count && count < JP_SOURCES_MAX; i++) {
        const struct jp_board_sensor *sensor = &plan->board.sensors[i];
        int rc = place(how->site, sensor, &found[count]);

        if (rc == 0)
            count += !in_list(found, count, found[count].path);
        else if (rc != -ENODEV && !plan->board.builtin)
            tell_no_bus(plan, sensor->bus_node, rc);
    }
    return count;
}

// The profile's sensor at this place. A bus without a node is any as far as one can see.
static int sensor_at(const struct jp_discovery *how, const struct jp_plan *plan, const char *path)
{
    struct jp_found named;
    struct jp_chip chip;

    jp_chip_identify(how->site, path, &chip);
    for (int i = 0; i < plan->board.sensor_count; i++) {
        const struct jp_board_sensor *sensor = &plan->board.sensors[i];

        if (!is_ours(sensor) || sensor->address != chip.address)
            continue;
        if (!sensor->bus_node[0] || (jp_ina3221_i2c_place(how->site, sensor->bus_node, sensor->address, &named) == 0 &&
                                     strcmp(named.path, path) == 0))
            return i;
    }
    return -1;
}

static void take_shunts(const struct jp_discovery *how, const struct jp_plan *plan, struct jp_found *found)
{
    int sensor = sensor_at(how, plan, found->path);

    for (int i = 0; i < JP_INA3221_CHANNELS; i++)
        found->shunt_uohm[i] = sensor < 0 ? 0 : -1;
    for (int i = 0; i < plan->board.channel_count; i++) {
        const struct jp_board_channel *channel = &plan->board.channels[i];

        if (channel->sensor == sensor && channel->index >= 1 && channel->index <= JP_INA3221_CHANNELS)
            found->shunt_uohm[channel->index - 1] = channel->shunt_uohm;
    }
}

static bool asked_for(const struct jp_config *config, const char *driver)
{
    for (int i = 0; i < config->driver_count; i++)
        if (strcmp(config->drivers[i], driver) == 0)
            return true;
    return false;
}

int jp_direct_find(const struct jp_discovery *how, struct jp_plan *plan, struct jp_found *found, int count)
{
    int kept = 0;

    count = add_named(how, plan, found, count);
    for (int i = 0; i < count; i++) {
        if (jp_direct_is_read(plan, how->site, strrchr(found[i].path, '/') + 1) &&
            !asked_for(how->config, jp_driver_ina3221_i2c.name))
            continue;
        found[kept] = found[i];
        take_shunts(how, plan, &found[kept++]);
    }
    return kept;
}

// What stands in the way ------------------------------------------------------------------------------
static bool exists(const struct jp_site *site, const char *format, int bus)
{
    char path[64], text[128];

    snprintf(path, sizeof path, format, bus);
    return jp_site_read(site, path, text, sizeof text) >= 0;
}

static bool has_driver(const struct jp_site *site, const char *path)
{
    char link[300], driver[40];

    snprintf(link, sizeof link, "%.255s/driver", path);
    return jp_site_link(site, link, driver, sizeof driver) >= 0;
}

int jp_direct_count(const struct jp_site *site, const struct jp_plan *plan)
{
    struct jp_found found[JP_SOURCES_MAX];
    int count = jp_driver_ina3221_i2c.probe(site, found, JP_SOURCES_MAX), free_ones = 0, bus, address;

    for (int i = 0; i < plan->board.sensor_count && count < JP_SOURCES_MAX; i++)
        if (place(site, &plan->board.sensors[i], &found[count]) == 0)
            count += !in_list(found, count, found[count].path);
    for (int i = 0; i < count; i++)
        free_ones += jp_ina3221_i2c_parse(found[i].path, &bus, &address) &&
                     exists(site, "/sys/class/i2c-dev/i2c-%d/name", bus) && !has_driver(site, found[i].path);
    return free_ones;
}

static bool has_client(const struct jp_site *site, const char *path)
{
    char name[300], text[64];

    snprintf(name, sizeof name, "%.255s/name", path);
    return jp_site_read(site, name, text, sizeof text) >= 0;
}

static void tell_busy(struct jp_plan *plan, const struct jp_site *site, const char *path, int address)
{
    const char *client = strrchr(path, '/') + 1;
    char link[300], driver[40] = "", what[160], remedy[200];

    snprintf(link, sizeof link, "%.255s/driver", path);
    if (jp_site_link(site, link, driver, sizeof driver) < 0)
        snprintf(driver, sizeof driver, "another");
    snprintf(what, sizeof what, "the INA3221 at 0x%x is busy (EBUSY): the kernel driver %s has it", (unsigned)address,
             driver);
    if (jp_direct_is_read(plan, site, client))
        snprintf(remedy, sizeof remedy,
                 "nothing is lost, it is read through that driver; take ina3221_i2c out of the key \"drivers\"");
    else if (strcmp(driver, "ina3221") == 0)
        snprintf(remedy, sizeof remedy,
                 "add ina3221_hwmon to the key \"drivers\": it reads the chip through that driver");
    else
        snprintf(remedy, sizeof remedy,
                 "as root: echo %s > /sys/bus/i2c/drivers/%s/unbind, then > /sys/bus/i2c/drivers/ina3221/bind", client,
                 driver);
    jp_plan_problem(plan, what, path, remedy);
}

static void tell_other_chip(struct jp_plan *plan, const struct jp_site *site, const char *path, int address)
{
    struct jp_ina3221_look look = {-1, -1, {.channels = 0}};
    char what[160];

    jp_ina3221_i2c_look(site, path, &look); // it answered a moment ago
    snprintf(what, sizeof what,
             "the chip at 0x%x is no INA3221: it says manufacturer 0x%04x, die 0x%04x, and not 0x%04x, 0x%04x",
             (unsigned)address, (unsigned)look.manufacturer & 0xffff, (unsigned)look.die & 0xffff,
             JP_INA3221_MANUFACTURER_ID, JP_INA3221_DIE_ID);
    jp_plan_problem(plan, what, path, "correct address and bus_node in the board file, or the device tree");
}

static void tell_no_node(struct jp_plan *plan, const struct jp_site *site, const char *path, int bus)
{
    char what[160];
    bool hidden = exists(site, "/sys/class/i2c-dev/i2c-%d/name", bus);

    snprintf(what, sizeof what, "an INA3221 is there, and %s /dev/i2c-%d", hidden ? "the service may not see" : "no",
             bus);
    jp_plan_problem(plan, what, path,
                    hidden ? "let it (docs/operating.md, Other folders and devices), or modprobe ina3221"
                           : "modprobe ina3221; or modprobe i2c-dev, and it is read directly");
}

void jp_direct_failed(struct jp_plan *plan, const struct jp_site *site, const char *path, int error)
{
    bool certain = error == EBUSY || error == EACCES || error == EPERM || error == JP_INA3221_OTHER_CHIP;
    char what[160];
    int bus, address;

    if (!jp_ina3221_i2c_parse(path, &bus, &address))
        return;
    // The profile of a kind of boards promises it; that its rails are missing is said once, for all of them.
    if (plan->board.builtin && !certain && !has_client(site, path))
        return;
    if (error == EBUSY) {
        tell_busy(plan, site, path, address);
        return;
    }
    if (error == JP_INA3221_OTHER_CHIP) {
        tell_other_chip(plan, site, path, address);
        return;
    }
    if (error == ENOENT) {
        tell_no_node(plan, site, path, bus);
        return;
    }
    snprintf(what, sizeof what, "the INA3221 at 0x%x cannot be read through /dev/i2c-%d: %s", (unsigned)address, bus,
             strerror(error));
    jp_plan_problem(
        plan, what, path,
        error == EACCES || error == EPERM
            ? "run as root, or join the group i2c; for the service see docs/operating.md"
            : "see `dmesg` for the I2C bus; a chip without power is silent; where the wiring differs, write a "
              "board file (docs/boards.md)");
}

// After all is open ----------------------------------------------------------------------------------
static void tell_no_shunt(struct jp_plan *plan, const struct jp_source *source)
{
    char names[sizeof plan->problems[0].where] = "";
    int count = 0;

    for (int i = 0; i < source->count; i++) {
        size_t used = strlen(names);

        if (source->channel[i] < 0 || source->info[i].shunt_uohm > 0)
            continue;
        snprintf(names + used, sizeof names - used, "%s%s", count++ ? ", " : "",
                 plan->run.channels[source->channel[i]].name);
    }
    if (count > 0)
        jp_plan_problem(plan, "no power: neither a board file nor the device tree says which shunt is there", names,
                        "give shunt_uohm in a board file (docs/boards.md)");
}

static void check_chip(struct jp_plan *plan, const struct jp_site *site, const struct jp_source *source, bool averages)
{
    struct jp_ina3221_look look;
    char what[160];
    int64_t ms;

    if (jp_ina3221_i2c_look(site, source->found.path, &look) != 0)
        return;
    ms = jp_ina3221_round_us(&look.config) * look.config.samples / 1000;
    if (!look.config.converts)
        jp_plan_problem(plan,
                        look.config.powered_down ? "the INA3221 is powered down: it measures nothing"
                                                 : "the INA3221 does not measure voltage and current all the time",
                        source->found.path, "modprobe ina3221: the kernel's driver sets it going");
    else if (ms > plan->run.interval_ms && !averages) {
        snprintf(what, sizeof what, "a new value comes each %lld ms (it averages %d), the period is %d ms",
                 (long long)ms, look.config.samples, plan->run.interval_ms);
        jp_plan_problem(plan, what, source->found.path,
                        "set sampling.interval_ms to more, or let the chip average less");
    }
}

void jp_direct_diagnose(struct jp_plan *plan, const struct jp_site *site, const struct jp_config *config)
{
    for (int s = 0; s < plan->source_count; s++) {
        const struct jp_source *source = &plan->sources[s];

        if (source->driver != &jp_driver_ina3221_i2c)
            continue;
        tell_no_shunt(plan, source);
        check_chip(plan, site, source, config->sampling.hw_average);
    }
}
