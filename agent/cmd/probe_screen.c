// SPDX-License-Identifier: Apache-2.0
// One screen of `probe` for people: what is here, the tree of channels, the total and why, what is wrong.
#define _GNU_SOURCE
#include "probe.h"

#include "page.h"
#include "total.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void put_machine(const struct jp_probe *probe)
{
    const struct jp_facts *facts = &probe->plan.run.facts;
    char text[1024] = "";

    jp_page_paint(JP_PAGE_BOLD);
    jp_page_wrapped(0, 0, facts->board_name[0] ? facts->board_name : "unknown board");
    jp_page_paint(JP_PAGE_PLAIN);
    jp_page_fact("board", "%s%s", facts->board_id, facts->board_verified ? ", verified" : "");
    jp_page_add(text, sizeof text, "%s", facts->module);
    jp_page_add(text, sizeof text, "%s", facts->soc);
    if (text[0])
        jp_page_fact("module", "%s", text);
    jp_page_fact("device", "%s", probe->plan.run.device);
    text[0] = '\0';
    if (facts->cpu_count > 0 && !strstr(facts->cpu_model, " + ")) // "2 x A + 4 x B" has counted
        jp_page_add(text, sizeof text, "%d x %s", facts->cpu_count,
                    facts->cpu_model[0] ? facts->cpu_model : "unknown model");
    else
        jp_page_add(text, sizeof text, "%s", facts->cpu_model);
    jp_page_fact("cpu", "%s", text);
    if (facts->gpu_count > 0)
        jp_page_fact("gpu", "%d x %s%s%s", facts->gpu_count, facts->gpu_name, probe->plan.board.gpu.arch[0] ? ", " : "",
                     probe->plan.board.gpu.arch);
    else if (facts->gpu_count == 0)
        jp_page_fact("gpu", "none");
    if (facts->ram_bytes > 0)
        jp_page_fact("memory", "%.1f GiB", (double)facts->ram_bytes / 1073741824.0);
    text[0] = '\0';
    jp_page_add(text, sizeof text, "%s", facts->os_name);
    if (facts->l4t[0])
        jp_page_add(text, sizeof text, "L4T %s", facts->l4t);
    if (facts->jetpack[0])
        jp_page_add(text, sizeof text, "JetPack %s", facts->jetpack);
    if (facts->power_mode[0])
        jp_page_add(text, sizeof text, "power mode %s", facts->power_mode);
    jp_page_fact("system", "%s", text);
    if (facts->note[0])
        jp_page_fact("replayed", "%s", facts->note);
    if (probe->factor.known)
        jp_page_fact("carbon", "%.6g g/kWh (%s), PUE %.4g", probe->factor.g_per_kwh, probe->factor.source,
                     probe->config.location.pue);
    else
        jp_page_fact("carbon", "unknown: set location.country, or location.intensity_g_per_kwh");
}

// What the profile says; where it says nothing, what is outside by the meaning of the scope.
static const char *outside_of(const struct jp_probe *probe)
{
    static const char *const texts[] = {
        [JP_SCOPE_RAIL] = "all that these rails do not feed",
        [JP_SCOPE_MODULE] = "the carrier board and all that it feeds, and the losses of the power supply",
        [JP_SCOPE_CARRIER] = "what this carrier does not feed, and the losses of the power supply",
        [JP_SCOPE_BOARD] = "the losses of the power supply",
        [JP_SCOPE_PACKAGE] = "all but processors and memory, and the losses of the power supply",
        [JP_SCOPE_SYSTEM] = "what the maker did not wire to it, and the losses of the power supply",
    };
    const struct jp_run *run = &probe->plan.run;
    const char *own = probe->plan.board.outside[run->total_scope];

    return own[0] ? own : texts[run->total_method == JP_MODELLED ? JP_SCOPE_PACKAGE : run->total_scope];
}

static void put_reason(const struct jp_probe *probe)
{
    const struct jp_run *run = &probe->plan.run;
    char reason[256], labels[512] = "";

    jp_total_reason(&probe->plan, reason, sizeof reason);
    for (int i = 0; i < run->channel_count; i++)
        if (run->channels[i].in_total) {
            size_t used = strlen(labels);

            snprintf(labels + used, sizeof labels - used, "%s%s", used ? " + " : "", run->channels[i].name);
        }
    putchar('\n');
    if (!run->total_known) {
        jp_page_fact("total", "none: %s", reason);
        return;
    }
    jp_page_fact("total", "%s: %s", labels, reason);
    jp_page_fact("outside", "%s", outside_of(probe));
}

static void gauge_text(const struct jp_probe *probe, int i, char *out, size_t size)
{
    const struct jp_run_gauge *gauge = &probe->plan.run.gauges[i];
    double value = (double)probe->now.gauge[i] / 1000.0;

    if (!probe->now.gauge_known[i])
        snprintf(out, size, "%s ?", gauge->name);
    else
        snprintf(out, size, "%s %.*f%s%s", gauge->name, fabs(value) < 100 && value != trunc(value), value,
                 gauge->unit[0] ? " " : "", gauge->unit);
}

// The order of gauges: states that are on, loads, clocks, temperatures, the rest; -1 for a state that is quiet.
static int turn_of(const struct jp_probe *probe, int i)
{
    const char *unit = probe->plan.run.gauges[i].unit;

    if (unit[0] == '\0')
        return probe->now.gauge_known[i] && probe->now.gauge[i] == 0 ? -1 : 0;
    return strcmp(unit, "%") == 0 ? 1 : strcmp(unit, "MHz") == 0 ? 2 : strcmp(unit, "C") == 0 ? 3 : 4;
}

// As many as two lines hold.
static void put_gauges(const struct jp_probe *probe)
{
    char text[2 * (JP_PAGE_WIDTH - JP_PAGE_TITLE)] = "", one[80];
    int left = 0;

    for (int turn = 0; turn < 5; turn++)
        for (int i = 0; i < probe->plan.run.gauge_count; i++) {
            if (turn_of(probe, i) != turn)
                continue;
            gauge_text(probe, i, one, sizeof one);
            if (strlen(text) + strlen(one) > sizeof text - sizeof ", and 48 more" - 16)
                left++;
            else
                jp_page_add(text, sizeof text, "%s", one);
        }
    if (left > 0)
        jp_page_add(text, sizeof text, "and %d more", left);
    if (text[0])
        jp_page_fact("gauges", "%s", text);
}

static void read_text(int64_t ns, char *out, size_t size)
{
    if (ns < 10000000)
        snprintf(out, size, "%lld us", (long long)((ns + 500) / 1000));
    else if (ns < 10000000000)
        snprintf(out, size, "%lld ms", (long long)((ns + 500000) / 1000000));
    else
        snprintf(out, size, "%lld s", (long long)(ns / 1000000000));
}

// What one read of each sensor costs; those that have gauges only share a line.
static void put_sensors(const struct jp_probe *probe)
{
    char gauges[256] = "", sensor[32], cost[24], text[512];
    int64_t gauges_ns = 0;

    putchar('\n');
    jp_page_paint(JP_PAGE_DIM);
    printf("  %-16s  %10s  %s\n", "sensor", "one read", "driver");
    jp_page_paint(JP_PAGE_PLAIN);
    for (int s = 0; s < probe->source_count; s++) {
        const struct jp_source *source = &probe->plan.sources[s];
        const char *place = source->info[0].bus_node[0] ? source->info[0].bus_node : source->found.path;
        int channels = 0;

        for (int i = 0; i < source->count; i++)
            channels += source->channel[i] >= 0;
        if (channels == 0) {
            jp_page_add(gauges, sizeof gauges, "%s", source->driver->name);
            gauges_ns += probe->now.read_ns[s];
            continue;
        }
        jp_probe_sensor(source, -1, sensor, sizeof sensor);
        read_text(probe->now.read_ns[s], cost, sizeof cost);
        snprintf(text, sizeof text, "%s, %d channel%s", source->driver->name, channels, channels > 1 ? "s" : "");
        if (place[0] && strlen(place) <= JP_PAGE_WIDTH - 32)
            jp_page_add(text, sizeof text, "%s", place);
        if (source->found.param > 0) // what its model is made from
            jp_page_add(text, sizeof text, "TDP %.4g W", (double)source->found.param / 1000.0);
        printf("  %-16s  %10s  ", sensor, cost);
        jp_page_wrapped(32, 32, text);
    }
    if (!gauges[0])
        return;
    read_text(gauges_ns, cost, sizeof cost);
    printf("  %-16s  %10s  ", "gauges", cost);
    jp_page_wrapped(32, 32, gauges);
}

static void put_problems(const struct jp_probe *probe)
{
    const struct jp_plan *plan = &probe->plan;
    char text[400];

    putchar('\n');
    jp_page_paint(plan->problem_count ? JP_PAGE_BAD : JP_PAGE_GOOD);
    if (plan->problem_count)
        printf("%d problem%s\n", plan->problem_count, plan->problem_count > 1 ? "s" : "");
    else
        printf("no problems\n");
    jp_page_paint(JP_PAGE_PLAIN);
    for (int i = 0; i < plan->problem_count; i++) {
        snprintf(text, sizeof text, "%s: %s", plan->problems[i].where, plan->problems[i].what);
        jp_page_paint(JP_PAGE_BAD);
        printf("! ");
        jp_page_paint(JP_PAGE_PLAIN);
        jp_page_wrapped(2, 2, text);
        printf("  -> ");
        jp_page_wrapped(5, 5, plan->problems[i].remedy);
    }
}

void jp_probe_screen(const struct jp_probe *probe)
{
    jp_page_begin();
    put_machine(probe);
    jp_probe_tree(probe);
    put_reason(probe);
    put_gauges(probe);
    if (probe->source_count > 0)
        put_sensors(probe);
    put_problems(probe);
}
