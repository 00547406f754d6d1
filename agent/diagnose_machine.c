// SPDX-License-Identifier: Apache-2.0
// What is wrong with the machine beside its sensors: what is hidden, what is missing, where files would go.
#define _GNU_SOURCE
#include "channels.h"
#include "diagnose.h"

#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TMPFS 0x01021994
#define RAMFS 0x858458f6
#define BUILT_S 1792540800LL // 2026-10-21: no machine that runs this program lives earlier

#define DEVICE_TREE "/proc/device-tree"
#define FIRMWARE "/sys/firmware" // where the device tree is kept, and what docker and podman cover
#define POWERCAP "/sys/devices/virtual/powercap"

static bool there(const struct jp_site *site, const char *path)
{
    int fd = jp_site_open(site, path);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

// Containers cover what they hide with an empty tmpfs: "ID PARENT MAJ:MIN ROOT POINT OPTIONS - tmpfs ...".
static bool covered(const struct jp_site *site, const char *path)
{
    int fd = jp_site_open(site, "/proc/self/mountinfo");
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    char line[2048], point[256];
    bool hit = false;

    if (!file && fd >= 0)
        close(fd);
    while (file && !hit && fgets(line, sizeof line, file))
        hit =
            sscanf(line, "%*s %*s %*s %*s %255s", point) == 1 && strcmp(point, path) == 0 && strstr(line, " - tmpfs ");
    if (file)
        fclose(file);
    return hit;
}

static bool is_generic(const struct jp_plan *plan, const char *kind)
{
    return strcmp(plan->board.id, kind) == 0;
}

// True: it hides what would tell more.
static bool check_container(struct jp_plan *plan, const struct jp_site *site, bool measured)
{
    static const char remedy[] =
        "start it with --security-opt systempaths=unconfined (docker, podman), or as privileged";
    bool container = there(site, "/.dockerenv") || there(site, "/run/.containerenv");

    if (is_generic(plan, "generic-arm") && !there(site, DEVICE_TREE "/compatible") &&
        (container || covered(site, FIRMWARE))) {
        jp_plan_problem(plan, "this container hides the device tree: the board stays unknown", FIRMWARE, remedy);
        return true;
    }
    if (measured || is_generic(plan, "generic-arm") || !covered(site, POWERCAP))
        return false;
    jp_plan_problem(plan, "this container hides the processor's energy counters", POWERCAP, remedy);
    return true;
}

static bool permission_told(const struct jp_plan *plan)
{
    for (int i = 0; i < plan->problem_count; i++)
        if (strcmp(plan->problems[i].remedy, JP_REMEDY_PERMISSION) == 0 ||
            strcmp(plan->problems[i].remedy, JP_REMEDY_DEVICE) == 0)
            return true;
    return false;
}

static int ignore(void *context, const char *name)
{
    (void)context;
    (void)name;
    return 0;
}

static void check_measured(struct jp_plan *plan, const struct jp_site *site)
{
    if (!is_generic(plan, "generic-x86") && !is_generic(plan, "generic-arm") && plan->board.sensor_count == 0)
        jp_plan_problem(plan, "nothing is measured: this board has no power sensor", plan->run.facts.board_name,
                        "take the models as they are, or put a sensor before its input and describe it in a board file "
                        "(docs/boards.md)");
    else if (is_generic(plan, "generic-x86") && jp_site_list(site, "/sys/class/powercap", ignore, NULL) == 0)
        jp_plan_problem(
            plan, "nothing is measured: powercap is here and has no energy counter", "/sys/class/powercap",
            "modprobe intel_rapl_msr (Intel and AMD); a virtual machine has none: take the models as they are");
    else
        jp_plan_problem(
            plan,
            jp_channels_battery(plan) ? "only a battery is measured on this machine"
                                      : "nothing is measured on this machine",
            plan->run.facts.board_name,
            "load the driver of its power sensors (ina3221, intel_rapl_msr), or take the models as they are");
}

static bool allowed(const struct jp_config *config, const char *driver)
{
    for (int i = 0; i < config->driver_count; i++)
        if (strcmp(config->drivers[i], driver) == 0)
            return true;
    return config->driver_count == 0;
}

static void check_gpu(struct jp_plan *plan, const struct jp_config *config)
{
    if (plan->board.gpu.count <= 0 || plan->board.gpu.loads == 0 || jp_diagnose_replayed(plan) ||
        !allowed(config, "gpu_load"))
        return;
    for (int i = 0; i < plan->run.gauge_count; i++)
        if (strcmp(plan->run.gauges[i].name, "gpu_load") == 0)
            return;
    jp_plan_problem(plan, "this board has a GPU, and nothing tells its load", plan->board.gpu.load[0],
                    "load the GPU's driver (nvgpu); it may come late in boot: look again");
}

static void check_power_mode(struct jp_plan *plan)
{
    char what[160];

    if (plan->power_mode < 0 || plan->run.facts.power_mode[0])
        return;
    snprintf(what, sizeof what, "power mode %d has no name in /etc/nvpmodel.conf", plan->power_mode);
    jp_plan_problem(plan, what, "/var/lib/nvpmodel/status",
                    "set a mode that the file has (nvpmodel -m ID), or bring back the module's own file");
}

static bool on_tmpfs(const char *path)
{
    char at[JP_PATH_MAX];
    struct statfs fs;
    char *slash;

    snprintf(at, sizeof at, "%s", path);
    while (statfs(at, &fs) != 0) {
        slash = strrchr(at, '/');
        if (!slash || at[1] == '\0')
            return false;
        slash[slash == at] = '\0';
    }
    return (unsigned long)fs.f_type == TMPFS || (unsigned long)fs.f_type == RAMFS;
}

// A place that the table does not have must not be replaced by a larger one without a word.
static void check_place(struct jp_plan *plan, const struct jp_config *config)
{
    const char *country = config->location.country, *region = config->location.region;
    char what[160];

    if (!country[0] || config->location.intensity_g_per_kwh >= 0 || config->location.mix_count > 0)
        return;
    if (!jp_grid_find(country, NULL))
        snprintf(what, sizeof what, "the grid's table has no country %s: emissions stay unknown", country);
    else if (region[0] && !jp_grid_find(country, region))
        snprintf(what, sizeof what, "the grid's table has no region %s of %s: the whole country's factor is taken",
                 region, country);
    else
        return;
    jp_plan_problem(plan, what, jp_grid_find(country, NULL) ? "location.region" : "location.country",
                    "correct it, or set location.intensity_g_per_kwh");
}

// What a board file's `match` has to say for this machine.
static void tell_no_profile(struct jp_plan *plan, const struct jp_site *site)
{
    char names[2048], remedy[200] = "write a board file (docs/boards.md), and set board.name to its name";
    int length = jp_site_read(site, DEVICE_TREE "/compatible", names, sizeof names), at = 0;

    while (at < length && (names[at] == '\0' || strstr(names + at, "-as-"))) // an emulated module's matches nothing
        at += (int)strlen(names + at) + 1;
    if (at < length)
        snprintf(remedy, sizeof remedy, "write a board file with match = ( \"%.90s\" ) (docs/boards.md)", names + at);
    else if (jp_site_read(site, "/sys/class/dmi/id/product_name", names, sizeof names) > 0)
        snprintf(remedy, sizeof remedy, "write a board file with match = ( \"dmi:%.90s\" ) (docs/boards.md)", names);
    jp_plan_problem(plan, "no profile for this board: its rails are shown, and there is no total",
                    plan->run.facts.board_name, remedy);
}

static bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);

    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static void check_paths(struct jp_plan *plan, const struct jp_config *config)
{
    if (!on_tmpfs(config->paths_hot))
        jp_plan_problem(plan, "the hot path is not on tmpfs: every window would be written to a disk",
                        config->paths_hot,
                        is_below(config->paths_hot, "/run") || is_below(config->paths_hot, "/dev/shm")
                            ? "mount a tmpfs there (a container: --tmpfs), or set paths.hot to a folder on one"
                            : "set paths.hot to a folder below /run or /dev/shm");
    if (on_tmpfs(config->paths_spool))
        jp_plan_problem(plan, "the durable spool is on tmpfs: a reboot takes all that waits", config->paths_spool,
                        "set paths.spool to a folder on a disk");
}

// A tree has no clock: whether this one is right is its own business only.
static void check_clock(struct jp_plan *plan, const struct jp_site *site, const struct jp_clock *clock)
{
    static const char remedy[] = "start a time service (systemd-timesyncd, chrony); records are dated when it is set";

    if (clock->real_ns(clock) < BUILT_S * JP_NS_PER_S)
        jp_plan_problem(plan, "the wall clock was never set", "CLOCK_REALTIME", remedy);
    else if (site->root[0] == '\0' && clock->sync(clock, NULL) == JP_CLOCK_UNSYNCED)
        jp_plan_problem(plan, "the wall clock is not synchronised: records say so", "CLOCK_REALTIME", remedy);
}

void jp_diagnose_machine(struct jp_plan *plan, const struct jp_site *site, const struct jp_config *config,
                         const struct jp_clock *clock)
{
    uint32_t roles;
    bool measured = jp_channels_measured(plan, &roles) > 0, missing = jp_diagnose_rails(plan, site, config),
         hidden = check_container(plan, site, measured);

    if (!measured && !missing && !hidden && !permission_told(plan) && !jp_diagnose_replayed(plan))
        check_measured(plan, site);
    if (measured && !hidden && !plan->run.total_known && plan->board.channel_count == 0)
        tell_no_profile(plan, site);
    check_gpu(plan, config);
    check_power_mode(plan);
    check_place(plan, config);
    check_paths(plan, config);
    check_clock(plan, site, clock);
}
