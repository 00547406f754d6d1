// SPDX-License-Identifier: Apache-2.0
// Why rails that should be here are not: no driver for the chip, another one, switched off, without a name.
#define _GNU_SOURCE
#include "channels.h"
#include "chip.h"
#include "diagnose.h"
#include "direct.h"
#include "drivers.h"
#include "total.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS "/sys/bus/i2c/devices"
#define TOLD_MAX 8

// Chips whose silence is explained.
struct told {
    struct jp_plan *plan;
    const struct jp_site *site;
    struct jp_chip chips[TOLD_MAX];
    int count;
};

static bool same_place(int address, const char *bus_node, const struct jp_chip *chip)
{
    if (address != chip->address)
        return false;
    return !bus_node[0] || !chip->bus_node[0] || strcmp(bus_node, chip->bus_node) == 0;
}

static bool promised(const struct jp_plan *plan, const struct jp_chip *chip)
{
    for (int i = 0; i < plan->board.sensor_count; i++) {
        const struct jp_board_sensor *sensor = &plan->board.sensors[i];

        if (strcmp(sensor->chip, "ina3221") == 0 && sensor->bus_node[0] && chip->bus_node[0] &&
            same_place(sensor->address, sensor->bus_node, chip))
            return true;
    }
    return false;
}

static int read_client(const struct jp_site *site, const char *name, const char *file, char *out, size_t size)
{
    char path[320];

    snprintf(path, sizeof path, CLIENTS "/%.100s/%.40s", name, file);
    return jp_site_read(site, path, out, size);
}

// The kernel driver that serves a client, "" when none does; by its link, or by uevent in a copied tree.
static void find_driver(const struct jp_site *site, const char *name, char *driver, size_t size)
{
    static const char key[] = "DRIVER=";
    char path[320], text[1024], *line;

    driver[0] = '\0';
    snprintf(path, sizeof path, CLIENTS "/%.100s/driver", name);
    if (jp_site_link(site, path, driver, size) == 0)
        return;
    driver[0] = '\0';
    if (read_client(site, name, "uevent", text, sizeof text) <= 0)
        return;
    line = strstr(text, key);
    if (!line || (line > text && line[-1] != '\n'))
        return;
    line += sizeof key - 1;
    snprintf(driver, size, "%.*s", (int)strcspn(line, "\r\n"), line);
}

static int see_child(void *context, const char *name)
{
    (void)context;
    return strncmp(name, "hwmon", 5) == 0 || strncmp(name, "iio:device", 10) == 0;
}

// What a driver made for it is there, whoever that driver is.
static bool is_served(const struct jp_site *site, const char *name)
{
    char path[320];

    snprintf(path, sizeof path, CLIENTS "/%.100s", name);
    return jp_site_list(site, path, see_child, NULL) > 0;
}

static bool is_explained(const struct jp_plan *plan, const char *path)
{
    for (int i = 0; i < plan->problem_count; i++)
        if (strcmp(plan->problems[i].where, path) == 0)
            return true;
    return false;
}

static int look_at_client(void *context, const char *name)
{
    struct told *told = context;
    struct jp_chip chip;
    char path[128], kind[32] = "", driver[40], what[160], remedy[200];
    bool ours;

    snprintf(path, sizeof path, CLIENTS "/%.60s", name);
    jp_chip_identify(told->site, path, &chip);
    if (chip.address < 0 || told->count == TOLD_MAX)
        return 0;
    read_client(told->site, name, "name", kind, sizeof kind);
    find_driver(told->site, name, driver, sizeof driver);
    ours = strncmp(kind, "ina3221", 7) == 0 || strncmp(driver, "ina3221", 7) == 0;
    if ((!ours && !promised(told->plan, &chip)) || strncmp(driver, "ina3221", 7) == 0 ||
        (!driver[0] && is_served(told->site, name)) || jp_direct_is_read(told->plan, told->site, name))
        return 0;
    told->chips[told->count++] = chip;
    if (is_explained(told->plan, path)) // by why it could not be read directly
        return 0;
    if (driver[0]) {
        snprintf(what, sizeof what, "the INA3221 at 0x%x is busy: the kernel driver %s has it, which tells no power",
                 (unsigned)chip.address, driver);
        snprintf(remedy, sizeof remedy,
                 "as root: echo %s > /sys/bus/i2c/drivers/%s/unbind, then > /sys/bus/i2c/drivers/ina3221/bind", name,
                 driver);
    } else {
        snprintf(what, sizeof what, "the INA3221 at 0x%x has no kernel driver: nobody reads it",
                 (unsigned)chip.address);
        snprintf(remedy, sizeof remedy,
                 "modprobe ina3221; where it is loaded, see `dmesg`: the chip did not answer it");
    }
    jp_plan_problem(told->plan, what, path, remedy);
    return 0;
}

static bool is_here(const struct jp_plan *plan, int profile)
{
    for (int i = 0; i < plan->run.channel_count; i++)
        if (plan->profile[i] == profile)
            return true;
    return false;
}

static bool is_told(const struct told *told, const struct jp_board_sensor *sensor)
{
    for (int i = 0; i < told->count; i++)
        if (strcmp(sensor->chip, "ina3221") == 0 && same_place(sensor->address, sensor->bus_node, &told->chips[i]))
            return true;
    return false;
}

// A rail that somebody switched off at the chip.
static bool tell_off(struct told *told, const struct jp_board_channel *rail)
{
    const struct jp_board_sensor *sensor = &told->plan->board.sensors[rail->sensor];
    struct jp_found found[JP_SOURCES_MAX];
    int count =
        strcmp(sensor->chip, "ina3221") == 0 ? jp_driver_ina3221_hwmon.probe(told->site, found, JP_SOURCES_MAX) : 0;

    for (int i = 0; i < count; i++) {
        struct jp_chip chip;
        char path[300], what[160];
        int64_t enable;

        jp_chip_identify(told->site, found[i].path, &chip);
        snprintf(path, sizeof path, "%.255s/in%d_enable", found[i].path, rail->index);
        if (!same_place(sensor->address, sensor->bus_node, &chip) || jp_site_read_i64(told->site, path, &enable) != 0 ||
            enable != 0)
            continue;
        snprintf(what, sizeof what, "%s is switched off at its chip: in%d_enable is 0", rail->label, rail->index);
        jp_plan_problem(told->plan, what, path, "write 1 to that file as root, then start again");
        return true;
    }
    return false;
}

// The rails the profile promises and that are not here: a custom carrier, a missing driver, another board. Their
// number.
static int tell_missing(struct told *told)
{
    const struct jp_board *board = &told->plan->board;
    char what[160] = "the profile's rails are not all here, missing: ";
    int missing = 0;

    for (int i = 0; i < board->channel_count; i++) {
        size_t used = strlen(what);

        if (is_here(told->plan, i) || is_told(told, &board->sensors[board->channels[i].sensor]) ||
            tell_off(told, &board->channels[i]))
            continue;
        snprintf(what + used, sizeof what - used, "%s%s", missing++ ? ", " : "", board->channels[i].label);
    }
    if (missing)
        jp_plan_problem(
            told->plan, what, board->id,
            "load the sensors' kernel driver; where the wiring differs, write a board file (docs/boards.md)");
    return missing;
}

static void tell_no_total(struct jp_plan *plan)
{
    char reason[100], what[160];
    uint32_t roles;

    if (plan->run.total_known || plan->board.total_board_count + plan->board.total_module_count == 0 ||
        jp_channels_measured(plan, &roles) == 0)
        return;
    jp_total_reason(plan, reason, sizeof reason);
    snprintf(what, sizeof what, "no total: %s, and rails are never added by guess", reason);
    jp_plan_problem(plan, what, plan->board.id,
                    "bring that rail back; a board file of your own can name another total (docs/boards.md)");
}

static void tell_nameless(struct jp_plan *plan)
{
    char names[sizeof plan->problems[0].where] = "", what[160];
    int count = 0, known = 0;

    for (int s = 0; s < plan->source_count; s++)
        for (int i = 0; i < plan->sources[s].count; i++) {
            int channel = plan->sources[s].channel[i];
            size_t used = strlen(names);

            if (channel < 0 || plan->sources[s].info[i].name[0])
                continue;
            snprintf(names + used, sizeof names - used, "%s%s", count++ ? ", " : "", plan->run.channels[channel].name);
            known += plan->profile[channel] >= 0;
        }
    if (count == 0)
        return;
    snprintf(what, sizeof what, "the kernel has no label for %d rail%s: %s", count, count > 1 ? "s" : "",
             known ? "the profile names them by place" : "named by place");
    jp_plan_problem(
        plan, what, names,
        known ? "compare with the board's schematic; a carrier of your own needs a board file (docs/boards.md)"
              : "give names in a board file (docs/boards.md)");
}

static void check_averaging(struct jp_plan *plan, const struct jp_site *site, const struct jp_source *source)
{
    char path[300], what[160];
    int64_t ms, samples = 0;

    snprintf(path, sizeof path, "%.255s/update_interval", source->found.path);
    if (jp_site_read_i64(site, path, &ms) != 0 || ms <= plan->run.interval_ms)
        return;
    snprintf(path, sizeof path, "%.255s/samples", source->found.path);
    if (jp_site_read_i64(site, path, &samples) != 0)
        samples = 0;
    snprintf(what, sizeof what, "a new value comes each %lld ms (samples is %lld), the period is %d ms", (long long)ms,
             (long long)samples, plan->run.interval_ms);
    jp_plan_problem(plan, what, source->found.path,
                    "write less to `samples` as root, or set sampling.interval_ms to more");
}

bool jp_diagnose_replayed(const struct jp_plan *plan)
{
    for (int i = 0; i < plan->driver_count; i++)
        if (strcmp(plan->drivers_used[i], "replay") == 0)
            return true;
    for (int i = 0; i < plan->problem_count; i++)
        if (strncmp(plan->problems[i].what, JP_WHAT_WRONG_TRACE, strlen(JP_WHAT_WRONG_TRACE)) == 0)
            return true;
    return false;
}

bool jp_diagnose_rails(struct jp_plan *plan, const struct jp_site *site, const struct jp_config *config)
{
    struct told told = {.plan = plan, .site = site};
    int missing = 0;
    uint32_t roles;

    jp_site_list(site, CLIENTS, look_at_client, &told); // no I2C at all: nothing to tell
    if (jp_channels_measured(plan, &roles) > 0 || !jp_diagnose_replayed(plan))
        missing = tell_missing(&told);
    tell_no_total(plan);
    tell_nameless(plan);
    for (int s = 0; s < plan->source_count; s++)
        if (strcmp(plan->sources[s].driver->name, "ina3221_hwmon") == 0 && !config->sampling.hw_average)
            check_averaging(plan, site, &plan->sources[s]);
    jp_direct_diagnose(plan, site, config);
    return told.count + missing > 0;
}
