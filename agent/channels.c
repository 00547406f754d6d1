// SPDX-License-Identifier: Apache-2.0
// Names, roles and the tree of the run's channels.
#include "channels.h"

#include "ina3221.h"
#include "name.h"
#include "total.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool label_fits(const struct jp_board_channel *known, const char *label)
{
    if (strcmp(known->label, label) == 0)
        return true;
    for (size_t i = 0; i < sizeof known->aliases / sizeof known->aliases[0]; i++)
        if (known->aliases[i][0] && strcmp(known->aliases[i], label) == 0)
            return true;
    return false;
}

enum place { PLACE_UNKNOWN, PLACE_SAME, PLACE_OTHER };

static enum place compare_place(const struct jp_board_sensor *sensor, const struct jp_board_channel *known,
                                const struct jp_channel *info)
{
    if (sensor->chip[0] && info->chip[0] && strcmp(sensor->chip, info->chip) != 0)
        return PLACE_OTHER;
    if (sensor->address < 0 || info->address < 0 || known->index <= 0 || info->index <= 0)
        return PLACE_UNKNOWN;
    if (sensor->address != info->address || known->index != info->index)
        return PLACE_OTHER;
    if (sensor->bus_node[0] && info->bus_node[0] && strcmp(sensor->bus_node, info->bus_node) != 0)
        return PLACE_OTHER;
    return PLACE_SAME;
}

static bool taken(const struct jp_plan *plan, int profile)
{
    for (int i = 0; i < plan->run.channel_count; i++)
        if (plan->profile[i] == profile)
            return true;
    return false;
}

static int find_profile(const struct jp_plan *plan, const struct jp_channel *info)
{
    const struct jp_board *board = &plan->board;

    for (int i = 0; i < board->channel_count; i++) {
        const struct jp_board_channel *known = &board->channels[i];
        enum place place = compare_place(&board->sensors[known->sensor], known, info);

        if (place == PLACE_OTHER || taken(plan, i))
            continue;
        if (label_fits(known, info->name) || (place == PLACE_SAME && info->name[0] == '\0'))
            return i;
    }
    return -1;
}

// "chip-address.N", the name of last resort.
static void name_by_place(const struct jp_channel *info, char *out)
{
    if (info->address >= 0)
        snprintf(out, JP_NAME_MAX, "%s-%x.%d", info->chip[0] ? info->chip : "sensor", (unsigned)info->address,
                 info->index);
    else
        snprintf(out, JP_NAME_MAX, "%s.%d", info->chip[0] ? info->chip : "sensor", info->index);
    for (char *at = out; *(at += strspn(at, JP_NAME_LETTERS)); at++)
        *at = '_';
}

static void name_by_label(const struct jp_channel *info, char *out)
{
    snprintf(out, JP_NAME_MAX, "%s", info->name);
    for (char *at = out; *(at += strspn(at, JP_NAME_LETTERS)); at++)
        *at = '_';
    if (out[0] == '\0' || strcmp(out, "total") == 0)
        name_by_place(info, out);
}

static bool channel_named(const struct jp_run *run, const char *name)
{
    for (int i = 0; i < run->channel_count; i++)
        if (strcmp(run->channels[i].name, name) == 0)
            return true;
    return false;
}

static bool gauge_named(const struct jp_run *run, const char *name)
{
    for (int i = 0; i < run->gauge_count; i++)
        if (strcmp(run->gauges[i].name, name) == 0)
            return true;
    return false;
}

// A second equal name gets its address, a third a number as well.
static void make_unique(const struct jp_run *run, bool (*named)(const struct jp_run *run, const char *name),
                        const struct jp_channel *info, char *name)
{
    char base[JP_NAME_MAX], tail[24];

    memcpy(base, name, sizeof base);
    for (int n = 1; named(run, name); n++) {
        if (info->address >= 0 && n == 1)
            snprintf(tail, sizeof tail, "@%x", (unsigned)info->address);
        else if (info->address >= 0)
            snprintf(tail, sizeof tail, "@%x.%d", (unsigned)info->address, n);
        else
            snprintf(tail, sizeof tail, "@%d", n + 1);
        snprintf(name, JP_NAME_MAX, "%.*s%s", (int)(JP_NAME_MAX - 1 - strlen(tail)), base, tail);
    }
}

static void check_shunt(struct jp_plan *plan, const struct jp_board_channel *known, const struct jp_channel *info)
{
    int64_t allowed = known->shunt_tolerance > 100 ? known->shunt_tolerance : 100;
    int64_t off = (int64_t)info->shunt_uohm - known->shunt_uohm;
    double factor;
    char what[160];

    if (info->shunt_uohm <= 0 || known->shunt_uohm <= 0)
        return;
    if ((off < 0 ? -off : off) * 1000 <= allowed * known->shunt_uohm)
        return;
    factor = off < 0 ? (double)known->shunt_uohm / info->shunt_uohm : (double)info->shunt_uohm / known->shunt_uohm;
    snprintf(what, sizeof what,
             "the kernel uses a shunt of %d micro-ohm, this board has %d: readings are %.*f x too %s", info->shunt_uohm,
             known->shunt_uohm, factor < 100 ? 2 : 0, factor, off < 0 ? "large" : "small");
    jp_plan_problem(plan, what, known->label,
                    "write the right value to shuntN_resistor of the chip's hwmon folder, or correct the device tree");
}

// A kernel that does not tell the shunt leaves it to the profile what a step and the full scale are.
static void scale_by_profile(struct jp_run_channel *channel, const struct jp_board_channel *known,
                             const struct jp_channel *info)
{
    if (info->shunt_uohm > 0 || info->resolution_uw > 0 || strcmp(info->chip, "ina3221") != 0)
        return;
    channel->resolution_uw = jp_ina3221_resolution_uw(known->shunt_uohm, info->mv);
    channel->max_uw = jp_ina3221_max_uw(known->shunt_uohm);
}

static void add_channel(struct jp_plan *plan, struct jp_source *source, int i)
{
    const struct jp_channel *info = &source->info[i];
    struct jp_run *run = &plan->run;
    struct jp_run_channel *channel = &run->channels[run->channel_count];
    int profile = info->method == JP_MEASURED ? find_profile(plan, info) : -1;

    memset(channel, 0, sizeof *channel);
    if (profile >= 0)
        memcpy(channel->name, plan->board.channels[profile].label, sizeof channel->name);
    else
        name_by_label(info, channel->name);
    make_unique(run, channel_named, info, channel->name);
    channel->kind = info->kind;
    channel->method = info->method;
    channel->scope = info->scope;
    channel->roles = info->roles;
    channel->resolution_uw = info->resolution_uw;
    channel->max_uw = info->max_uw > 0 || info->kind != JP_ENERGY ? info->max_uw : JP_PACKAGE_MAX_UW;
    channel->scale = 1;
    if (profile >= 0) {
        const struct jp_board_channel *known = &plan->board.channels[profile];

        channel->roles = known->roles ? known->roles : info->roles;
        channel->scope = plan->board.sensors[known->sensor].scope;
        channel->unverified = known->unverified;
        check_shunt(plan, known, info);
        scale_by_profile(channel, known, info);
    }
    plan->profile[run->channel_count] = profile;
    plan->range_uj[run->channel_count] = info->kind == JP_ENERGY ? info->range_uj : 0;
    if (info->method == JP_MODELLED)
        plan->tdp_mw[run->channel_count] = source->found.param;
    source->channel[i] = run->channel_count++;
}

static void add_gauge(struct jp_plan *plan, struct jp_source *source, int i)
{
    struct jp_run *run = &plan->run;
    struct jp_run_gauge *gauge = &run->gauges[run->gauge_count];

    name_by_label(&source->info[i], gauge->name);
    make_unique(run, gauge_named, &source->info[i], gauge->name);
    snprintf(gauge->unit, sizeof gauge->unit, "%s", source->info[i].unit);
    plan->watched[run->gauge_count] = -1;
    source->gauge[i] = run->gauge_count++;
}

static void tell_repeated(struct jp_plan *plan, const struct jp_channel *info)
{
    char what[160];

    if (!info->repeated_by[0])
        return;
    snprintf(what, sizeof what, "the same counter comes again as %s: it is left out, or it would count twice",
             info->repeated_by);
    jp_plan_problem(plan, what, info->name,
                    "nothing to do where both are dies of one processor; else report it with `joulepost probe --json`");
}

void jp_channels_add(struct jp_plan *plan, int index)
{
    struct jp_source *source = &plan->sources[index];
    bool too_many = false;

    for (int i = 0; i < source->count; i++) {
        bool gauge = source->info[i].kind == JP_GAUGE;

        tell_repeated(plan, &source->info[i]);
        source->channel[i] = source->gauge[i] = -1;
        if (strcasecmp(source->info[i].name, "NC") == 0)
            continue; // the tree says so: not connected
        if (gauge ? plan->run.gauge_count >= JP_GAUGES_MAX : plan->run.channel_count >= JP_CHANNELS_MAX)
            too_many = true;
        else if (gauge)
            add_gauge(plan, source, i);
        else
            add_channel(plan, source, i);
    }
    if (too_many)
        jp_plan_problem(plan, "more channels than this program keeps, the rest is left out", source->found.path,
                        "name the wanted ones with the key \"drivers\"");
}

int jp_channels_measured(const struct jp_plan *plan, uint32_t *roles)
{
    int count = 0;

    *roles = 0;
    for (int i = 0; i < plan->run.channel_count; i++)
        if (plan->run.channels[i].method == JP_MEASURED && !(plan->run.channels[i].roles & JP_ROLE_BATTERY)) {
            *roles |= plan->run.channels[i].roles;
            count++;
        }
    return count;
}

bool jp_channels_battery(const struct jp_plan *plan)
{
    for (int i = 0; i < plan->run.channel_count; i++)
        if (plan->run.channels[i].roles & JP_ROLE_BATTERY)
            return true;
    return false;
}

// The run's name of the channel that `source`'s driver calls `name`; its own chip goes first.
static const char *name_of(const struct jp_plan *plan, const struct jp_source *source, const char *name)
{
    const struct jp_source *at = source;

    for (int s = -1; s < plan->source_count; s++) {
        if (s >= 0)
            at = &plan->sources[s];
        for (int i = 0; at->driver == source->driver && i < at->count; i++)
            if (at->channel[i] >= 0 && strcmp(at->info[i].name, name) == 0)
                return plan->run.channels[at->channel[i]].name;
    }
    return "";
}

static void link_part(struct jp_plan *plan, const struct jp_source *source, int i)
{
    struct jp_run_channel *channel = &plan->run.channels[source->channel[i]];
    int profile = plan->profile[source->channel[i]];
    const char *outer = profile >= 0 ? plan->board.channels[profile].part_of : "";

    if (profile >= 0 && !channel_named(&plan->run, outer))
        outer = "";
    if (profile < 0 && source->info[i].part_of[0])
        outer = name_of(plan, source, source->info[i].part_of);
    if (strcmp(outer, channel->name) != 0)
        memcpy(channel->part_of, outer, strlen(outer) + 1);
}

// An alarm watches the channel at its place on the chip; one without such a channel watches the machine.
static void link_alarm(struct jp_plan *plan, const struct jp_source *source, int i)
{
    const struct jp_channel *alarm = &source->info[i];

    for (int k = 0; alarm->event[0] && k < source->count; k++) {
        const struct jp_channel *info = &source->info[k];

        if (source->channel[k] >= 0 && strcmp(info->chip, alarm->chip) == 0 && info->address == alarm->address &&
            info->index == alarm->index)
            plan->watched[source->gauge[i]] = source->channel[k];
    }
}

static void apply_calibration(struct jp_plan *plan, const struct jp_calibration *calibration)
{
    for (int i = 0; i < plan->run.channel_count; i++) {
        struct jp_run_channel *channel = &plan->run.channels[i];

        if (strcmp(channel->name, calibration->channel) != 0)
            continue;
        channel->scale = calibration->scale;
        if (channel->kind == JP_POWER)
            channel->offset_uw = calibration->offset_uw;
        else if (calibration->offset_uw != 0)
            jp_plan_problem(plan, "offset_mw is not applied: an energy counter has no zero that may be off",
                            calibration->channel, "leave offset_mw out of its calibration; scale is applied");
        return;
    }
    jp_plan_problem(plan, "calibration names a channel that is not here", calibration->channel,
                    strcmp(calibration->channel, "total") == 0
                        ? "the total is a sum: calibrate the channels that make it"
                        : "use a name that `joulepost probe` lists");
}

void jp_channels_finish(struct jp_plan *plan, const struct jp_config *config)
{
    for (int s = 0; s < plan->source_count; s++)
        for (int i = 0; i < plan->sources[s].count; i++) {
            if (plan->sources[s].channel[i] >= 0)
                link_part(plan, &plan->sources[s], i);
            if (plan->sources[s].gauge[i] >= 0)
                link_alarm(plan, &plan->sources[s], i);
        }
    for (int i = 0; i < config->calibration_count; i++)
        apply_calibration(plan, &config->calibrations[i]);
    jp_total_decide(plan);
}
