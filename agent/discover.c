// SPDX-License-Identifier: Apache-2.0
// Opens what is there, in an order: what measures first, models only where nothing does.
#define _GNU_SOURCE
#include "discover.h"

#include "channels.h"
#include "diagnose.h"
#include "direct.h"
#include "drivers.h"
#include "facts.h"
#include "rapl_zones.h"
#include "replay.h"
#include "tdp.h"
#include "trace_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void jp_plan_problem(struct jp_plan *plan, const char *what, const char *where, const char *remedy)
{
    struct jp_problem *problem = &plan->problems[plan->problem_count];

    if (plan->problem_count >= JP_PROBLEMS_MAX)
        return;
    plan->problem_count++;
    snprintf(problem->what, sizeof problem->what, "%.*s", (int)sizeof problem->what - 1, what);
    snprintf(problem->where, sizeof problem->where, "%.*s", (int)sizeof problem->where - 1, where);
    snprintf(problem->remedy, sizeof problem->remedy, "%.*s", (int)sizeof problem->remedy - 1, remedy);
}

static bool is_model(const struct jp_driver *driver)
{
    return strncmp(driver->name, "estimate_", strlen("estimate_")) == 0;
}

static bool is_replay(const struct jp_driver *driver)
{
    return strcmp(driver->name, "replay") == 0;
}

static bool is_direct(const struct jp_driver *driver)
{
    return driver == &jp_driver_ina3221_i2c;
}

static bool listed(const struct jp_config *config, const char *name)
{
    for (int i = 0; i < config->driver_count; i++)
        if (strcmp(config->drivers[i], name) == 0)
            return true;
    return false;
}

static void note_driver(struct jp_plan *plan, const char *name)
{
    for (int i = 0; i < plan->driver_count; i++)
        if (strcmp(plan->drivers_used[i], name) == 0)
            return;
    plan->drivers_used[plan->driver_count++] = name;
}

static void tell_open_failed(const struct jp_discovery *how, struct jp_plan *plan, const struct jp_driver *driver,
                             const char *path, int error)
{
    char what[160];
    const char *remedy = "see `dmesg`; report the board with the output of `joulepost probe --json`";

    if (is_replay(driver) && error == EINVAL) // take_note() says more
        return;
    if (is_direct(driver)) {
        jp_direct_failed(plan, how->site, path, error);
        return;
    }
    snprintf(what, sizeof what, "%s cannot be opened: %s", driver->name, strerror(error));
    if (is_replay(driver))
        remedy = "make it smaller, or readable (docs/drivers.md has the format)";
    if (error == EACCES || error == EPERM)
        remedy = strncmp(path, "/dev/", 5) == 0 ? JP_REMEDY_DEVICE : JP_REMEDY_PERMISSION;
    if (strcmp(driver->name, "nvidia_gpu") == 0)
        remedy = JP_REMEDY_NVIDIA;
    jp_plan_problem(plan, what, path, remedy);
}

static int open_found(const struct jp_discovery *how, struct jp_plan *plan, const struct jp_driver *driver,
                      const struct jp_found *found)
{
    struct jp_source *source = &plan->sources[plan->source_count];

    if (plan->source_count >= JP_SOURCES_MAX) {
        jp_plan_problem(plan, "more sensors than this program keeps open", found->path,
                        "name the wanted drivers with the key \"drivers\"");
        return 0;
    }
    memset(source, 0, sizeof *source);
    source->driver = driver;
    source->found = *found;
    source->state = calloc(1, driver->state_size ? driver->state_size : 1);
    if (!source->state)
        return -ENOMEM;
    source->count = driver->open(source->state, how->site, found, source->info, JP_CHANNELS_MAX);
    if (how->went_on)
        how->went_on();
    if (source->count <= 0) {
        if (source->count < 0)
            tell_open_failed(how, plan, driver, found->path, -source->count);
        else
            driver->close(source->state);
        free(source->state);
        memset(source, 0, sizeof *source);
        return 0;
    }
    note_driver(plan, driver->name);
    jp_channels_add(plan, plan->source_count++);
    return 0;
}

// The profile knows where this board's GPU tells its load and clock; drivers look where most boards have them.
static int find_gpu(const struct jp_discovery *how, const struct jp_plan *plan, const struct jp_driver *driver,
                    struct jp_found *found)
{
    const struct jp_board *board = &plan->board;
    bool load = strcmp(driver->name, "gpu_load") == 0;
    int count = load ? board->gpu.loads : strcmp(driver->name, "gpu_freq") == 0 ? board->gpu.frequencies : 0;

    for (int i = 0; i < count; i++) {
        const char *path = load ? board->gpu.load[i] : board->gpu.frequency[i];
        int fd = jp_site_open(how->site, path);

        if (fd < 0)
            continue;
        close(fd);
        snprintf(found->path, sizeof found->path, "%s", path);
        return 1;
    }
    return 0;
}

// CodeCarbon goes by what /proc/cpuinfo lists, and by the name it has there.
static int64_t machine_tdp_mw(const struct jp_site *site)
{
    struct jp_cpus cpus;

    jp_facts_cpus(site, &cpus);
    return jp_tdp_machine_mw(cpus.model, cpus.listed, cpus.sockets);
}

int jp_discover_here(const struct jp_site *site, const struct jp_plan *plan, const struct jp_driver *driver, int probed)
{
    struct jp_rapl_zone zones[JP_RAPL_ZONES_MAX];

    if (is_direct(driver)) // a client is there before its bus has a device file, a profile's chip has none
        return jp_direct_count(site, plan);
    if (driver == &jp_driver_rapl_powercap) // all zones are one source
        return jp_rapl_zones(site, zones, JP_RAPL_ZONES_MAX);
    return probed > 0 ? probed : 0;
}

static int open_driver(const struct jp_discovery *how, struct jp_plan *plan, const struct jp_driver *driver)
{
    struct jp_found found[JP_SOURCES_MAX] = {{.param = 0}};
    int count = driver->probe(how->site, found, JP_SOURCES_MAX), rc = 0;

    if (count == 0)
        count = find_gpu(how, plan, driver, found);
    if (!is_model(driver) && plan->asked_count < JP_ASKED_MAX)
        plan->asked[plan->asked_count++] = (struct jp_asked){driver, jp_discover_here(how->site, plan, driver, count)};
    if (is_direct(driver))
        count = jp_direct_find(how, plan, found, count);
    if (count == -EACCES || count == -EPERM)
        tell_open_failed(how, plan, driver, driver->name, -count);
    else if (count <= 0 && listed(how->config, driver->name))
        jp_plan_problem(plan, "the configuration asks for a driver that finds nothing here", driver->name,
                        "take it out of the key \"drivers\", or load the sensor's kernel driver");
    for (int i = 0; i < count && rc == 0; i++) {
        if (strcmp(driver->name, "estimate_cpu") == 0)
            found[i].param = machine_tdp_mw(how->site);
        rc = open_found(how, plan, driver, &found[i]);
    }
    return rc;
}

static bool replay_wanted(const struct jp_discovery *how)
{
    int fd;

    if (how->config->driver_count > 0 || how->site->root[0] == '\0')
        return false;
    fd = jp_site_open(how->site, JP_REPLAY_PATH);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

// The wrong line's place: in the tree's trace, or in the trace that is the root, whose name's end says most.
static void place_line(const struct jp_site *site, int line, char *where, size_t size)
{
    const char *name = jp_trace_begins(site->root) ? site->root : JP_REPLAY_PATH;
    size_t length = strlen(name), room = size - sizeof ":2147483647";

    snprintf(where, size, "%s:%d", length > room ? name + length - room : name, line);
}

// A trace may be made: what it says of itself goes wherever its numbers go.
static void take_note(const struct jp_discovery *how, struct jp_plan *plan)
{
    char what[160], where[160];
    struct jp_replay_told told;
    int rc = jp_replay_tell(how->site, &told);

    if (rc == 0)
        snprintf(plan->run.facts.note, sizeof plan->run.facts.note, "%.*s", (int)sizeof plan->run.facts.note - 1,
                 told.note);
    if (rc != -EINVAL)
        return;
    place_line(how->site, told.line, where, sizeof where);
    snprintf(what, sizeof what, JP_WHAT_WRONG_TRACE ": %s", told.what);
    jp_plan_problem(plan, what, where, "correct it (docs/drivers.md has the format)");
}

static int open_measuring(const struct jp_discovery *how, struct jp_plan *plan)
{
    bool replay = replay_wanted(how), any = how->config->driver_count == 0;
    int rc = 0;

    for (int i = 0; how->drivers[i] && rc == 0; i++) {
        const struct jp_driver *driver = how->drivers[i];

        if (!is_model(driver) && (listed(how->config, driver->name) || (any && is_replay(driver) == replay)))
            rc = open_driver(how, plan, driver);
    }
    if (replay || listed(how->config, "replay"))
        take_note(how, plan);
    return rc;
}

// A model stands in for what nobody measures, and never beside measured rails; the modelled RAM is also shown
// on a machine whose packages are counted and whose memory is not.
static bool model_wanted(const struct jp_discovery *how, const struct jp_plan *plan, const struct jp_driver *driver)
{
    uint32_t roles;
    int measured = jp_channels_measured(plan, &roles);

    if (how->config->driver_count > 0)
        return listed(how->config, driver->name);
    if (measured == 0)
        return true;
    return strcmp(driver->name, "estimate_ram") == 0 && (roles & JP_ROLE_PACKAGE) &&
           !(roles & (JP_ROLE_RAM | JP_ROLE_DRAM));
}

static int open_models(const struct jp_discovery *how, struct jp_plan *plan)
{
    int rc = 0;

    for (int i = 0; how->drivers[i] && rc == 0; i++)
        if (is_model(how->drivers[i]) && model_wanted(how, plan, how->drivers[i]))
            rc = open_driver(how, plan, how->drivers[i]);
    return rc;
}

static void tell_unknown_drivers(const struct jp_discovery *how, struct jp_plan *plan)
{
    for (int i = 0; i < how->config->driver_count; i++) {
        bool known = false;

        for (int j = 0; how->drivers[j]; j++)
            known = known || strcmp(how->drivers[j]->name, how->config->drivers[i]) == 0;
        if (!known)
            jp_plan_problem(plan, "the configuration asks for a driver this program does not have",
                            how->config->drivers[i], "correct the key \"drivers\" (docs/drivers.md lists the names)");
    }
}

static void tell_no_board(const struct jp_config *config, const struct jp_board *boards, int count, char *error,
                          size_t error_size)
{
    char place[3 * JP_PATH_MAX] = "configuration";
    size_t used;

    if (config->path[0])
        jp_config_where(config, "board.name", place, sizeof place);
    used = (size_t)snprintf(error, error_size, "%s: board.name: no profile \"%s\", compiled in or in %s, allowed: auto",
                            place, config->board_name, config->board_dir);
    for (int i = 0; i < count && used < error_size; i++)
        used += (size_t)snprintf(error + used, error_size - used, ", %s", boards[i].id);
}

static void tell_rival(struct jp_plan *plan, const struct jp_board *rival)
{
    char what[160];

    if (!rival)
        return;
    snprintf(what, sizeof what, "the profile %s fits this machine as well, with the same priority: %s is taken",
             rival->id, plan->board.id);
    jp_plan_problem(plan, what, plan->board.id, "give one of them more `priority`, or set board.name");
}

static int choose_board(const struct jp_discovery *how, struct jp_plan *plan, char *error, size_t error_size)
{
    const struct jp_board *board;
    int count;
    const struct jp_site *site = how->config->board_name[0] ? NULL : how->site; // any may be asked for by name
    struct jp_board *boards = jp_board_load(site, how->config->board_dir, &count, error, error_size);

    if (!boards)
        return -EINVAL;
    board = jp_board_match(boards, count, how->site, how->config->board_name);
    if (board) {
        plan->board = *board;
        if (!how->config->board_name[0])
            tell_rival(plan, jp_board_rival(boards, count, how->site, board));
    } else
        tell_no_board(how->config, boards, count, error, error_size);
    free(boards);
    return board ? 0 : -EINVAL;
}

static void name_run(const struct jp_discovery *how, struct jp_plan *plan)
{
    struct jp_run *run = &plan->run;
    int rc;

    run->id = how->run_id;
    run->window_ms = how->config->sampling.window_ms;
    run->block_windows = how->config->sampling.block_windows;
    run->interval_ms = how->config->sampling.interval_ms;
    run->columns = how->config->sampling.columns;
    jp_boot_id(run->boot);
    rc = jp_device_name(how->site, how->config, run->device, sizeof run->device);
    if (rc < 0)
        snprintf(run->device, sizeof run->device, "unnamed");
    if (rc != 0)
        jp_plan_problem(plan,
                        rc > 0 ? "this machine is named after its host name, which others may share"
                               : "this machine has neither an id nor a serial number nor a network card",
                        "/etc/machine-id", "set device.name in the configuration, or run systemd-machine-id-setup");
}

int jp_discover_with(const struct jp_discovery *how, struct jp_plan *plan, char *error, size_t error_size)
{
    int rc;

    memset(plan, 0, sizeof *plan);
    rc = choose_board(how, plan, error, error_size);
    if (rc)
        return rc;
    name_run(how, plan);
    jp_facts_read(how->site, plan);
    tell_unknown_drivers(how, plan);
    rc = open_measuring(how, plan);
    if (rc == 0)
        rc = open_models(how, plan);
    if (rc) {
        jp_plan_close(plan);
        snprintf(error, error_size, "out of memory while opening the sensors");
        return rc;
    }
    jp_channels_finish(plan, how->config);
    return 0;
}

int jp_discover(const struct jp_site *site, const struct jp_config *config, uint64_t run_id, struct jp_plan *plan,
                char *error, size_t error_size)
{
    const struct jp_discovery how = {.site = site, .config = config, .run_id = run_id, .drivers = jp_drivers};

    int rc = jp_discover_with(&how, plan, error, error_size);

    if (rc == 0)
        jp_diagnose_machine(plan, site, config, &jp_clock_real);
    return rc;
}

void jp_plan_close(struct jp_plan *plan)
{
    for (int i = 0; i < plan->source_count; i++) {
        plan->sources[i].driver->close(plan->sources[i].state);
        free(plan->sources[i].state);
    }
    plan->source_count = 0;
}
