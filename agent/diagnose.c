// SPDX-License-Identifier: Apache-2.0
// Looks once at what the service would look at for weeks.
#define _GNU_SOURCE
#include "diagnose.h"

#include "channels.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#define BETWEEN_NS (333 * JP_NS_PER_MS)
#define TMPFS 0x01021994
#define RAMFS 0x858458f6
#define BUILT_S 1792540800LL // 2026-10-21: no machine that runs this program lives earlier

struct pass {
    struct jp_reading readings[JP_CHANNELS_MAX];
    int64_t t_ns; // the middle
};

static bool never_late(void *context)
{
    (void)context;
    return false;
}

static void read_source(const struct jp_source *source, const struct jp_clock *clock, struct pass *pass)
{
    struct jp_pass how = {.readings = pass->readings, .late = never_late};

    for (int i = 0; i < JP_CHANNELS_MAX; i++)
        pass->readings[i] = (struct jp_reading){.state = JP_WANTED, .mv = INT32_MIN, .ma = INT32_MIN};
    how.t_ns = clock->mono_ns(clock);
    source->driver->read(source->state, &how);
    pass->t_ns = how.t_ns + (clock->mono_ns(clock) - how.t_ns) / 2;
}

static int64_t counter_step(int64_t from, int64_t to, int64_t range)
{
    return to >= from || range <= 0 ? to - from : to - from + range + 1;
}

static bool power_of(const struct jp_plan *plan, int channel, const struct pass *passes, int i, int64_t *uw)
{
    const struct jp_reading *first = &passes[0].readings[i], *second = &passes[1].readings[i];
    int64_t dt = passes[1].t_ns - passes[0].t_ns, step;

    if (plan->run.channels[channel].kind != JP_ENERGY) {
        *uw = second->state == JP_GOOD ? second->value : first->value;
        return second->state == JP_GOOD || first->state == JP_GOOD;
    }
    if (first->state != JP_GOOD || second->state != JP_GOOD || dt <= 0)
        return false;
    step = counter_step(first->value, second->value, plan->range_uj[channel]);
    *uw = (int64_t)((double)step * 1e9 / (double)dt); // step x 1e9 does not fit 64 bits
    return step >= 0;
}

static void take(const struct jp_plan *plan, const struct jp_source *source, const struct pass *passes,
                 struct jp_power_now *now)
{
    for (int i = 0; i < source->count; i++) {
        int channel = source->channel[i];
        const struct jp_run_channel *info = channel < 0 ? NULL : &plan->run.channels[channel];
        int64_t uw;

        if (!info)
            continue;
        now->known[channel] = power_of(plan, channel, passes, i, &uw);
        if (now->known[channel])
            now->uw[channel] = (int64_t)((double)uw * info->scale) + info->offset_uw;
        else if (passes[1].readings[i].state == JP_MISSING)
            now->error[channel] = passes[1].readings[i].error;
    }
}

void jp_diagnose_read(const struct jp_plan *plan, const struct jp_clock *clock, struct jp_power_now *now)
{
    static struct pass passes[JP_SOURCES_MAX][2];

    memset(now, 0, sizeof *now);
    for (int s = 0; s < plan->source_count; s++)
        read_source(&plan->sources[s], clock, &passes[s][0]);
    if (plan->source_count > 0)
        while (clock->wait(clock, NULL, 0, passes[0][0].t_ns + BETWEEN_NS) == -EINTR)
            ;
    for (int s = 0; s < plan->source_count; s++) {
        read_source(&plan->sources[s], clock, &passes[s][1]);
        take(plan, &plan->sources[s], passes[s], now);
    }
    now->total_known = plan->run.total_known;
    for (int i = 0; i < plan->run.channel_count; i++)
        if (plan->run.channels[i].in_total) {
            now->total_known = now->total_known && now->known[i];
            now->total_uw += now->uw[i];
        }
}

static void check_parts(struct jp_plan *plan, const struct jp_power_now *now, int parent)
{
    const struct jp_run *run = &plan->run;
    int64_t sum = 0, slack = run->channels[parent].resolution_uw;
    char what[160];

    for (int i = 0; i < run->channel_count; i++) {
        if (strcmp(run->channels[i].part_of, run->channels[parent].name) != 0 || !now->known[i])
            continue;
        sum += now->uw[i];
        slack += run->channels[i].resolution_uw;
    }
    if (sum <= now->uw[parent] + slack)
        return;
    snprintf(what, sizeof what, "its parts read %.3f W, the whole %.3f W", (double)sum / 1e6,
             (double)now->uw[parent] / 1e6);
    jp_plan_problem(
        plan, what, run->channels[parent].name,
        "look again under a steady load; if it stays, the wiring differs from the profile or a shunt is wrong");
}

static const char *remedy_of(int error)
{
    if (error == EACCES || error == EPERM)
        return JP_REMEDY_PERMISSION;
    return "read its files under /sys by hand; a switched-off rail may be silent for a while";
}

void jp_diagnose_readings(struct jp_plan *plan, const struct jp_power_now *now)
{
    for (int i = 0; i < plan->run.channel_count; i++) {
        char what[160];

        if (!now->known[i]) {
            snprintf(what, sizeof what, "the sensor did not answer: %s",
                     now->error[i] ? strerror(now->error[i]) : "no two readings in a row");
            jp_plan_problem(plan, what, plan->run.channels[i].name, remedy_of(now->error[i]));
        } else
            check_parts(plan, now, i);
    }
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

void jp_diagnose_machine(struct jp_plan *plan, const struct jp_config *config, const struct jp_clock *clock)
{
    uint32_t roles;

    if (jp_channels_measured(plan, &roles) == 0)
        jp_plan_problem(
            plan, "nothing is measured on this machine", plan->run.facts.board_name,
            "load the driver of its power sensors (ina3221, intel_rapl_msr), or take the models as they are");
    else if (!plan->run.total_known && plan->board.channel_count == 0)
        jp_plan_problem(plan, "no profile for this board: its rails are shown, and there is no total",
                        plan->run.facts.board_name, "write a board file (docs/boards.md)");
    check_place(plan, config);
    if (!on_tmpfs(config->paths_hot))
        jp_plan_problem(plan, "the hot path is not on tmpfs: every window would be written to a disk",
                        config->paths_hot, "set paths.hot to a folder below /run or /dev/shm");
    if (on_tmpfs(config->paths_spool))
        jp_plan_problem(plan, "the durable spool is on tmpfs: a reboot takes all that waits", config->paths_spool,
                        "set paths.spool to a folder on a disk");
    if (clock->real_ns(clock) < BUILT_S * JP_NS_PER_S)
        jp_plan_problem(plan, "the wall clock was never set", "CLOCK_REALTIME",
                        "start a time service (systemd-timesyncd, chrony); records are dated when it is set");
}
