// SPDX-License-Identifier: Apache-2.0
// The channels of `probe` as a table: each part indented under the rail that contains it, and the total.
#include "probe.h"

#include "page.h"

#include <stdio.h>
#include <string.h>

struct row {
    int channel, depth;
};

static int parent_of(const struct jp_run *run, int channel)
{
    for (int i = 0; i < run->channel_count; i++)
        if (i != channel && strcmp(run->channels[i].name, run->channels[channel].part_of) == 0)
            return i;
    return -1;
}

// Each channel behind the one that contains it. What hangs in a circle comes last, as it is in no tree.
static int lay_out(const struct jp_run *run, struct row *rows)
{
    bool placed[JP_CHANNELS_MAX] = {false};
    int count = 0;

    for (int top = 0; top < run->channel_count; top++) {
        int at = count;

        if (parent_of(run, top) >= 0)
            continue;
        rows[count++] = (struct row){.channel = top};
        placed[top] = true;
        for (; at < count; at++) { // behind rows[at] go its own parts, in front of what is there already
            int put = at + 1;

            for (int i = 0; i < run->channel_count; i++) {
                if (placed[i] || parent_of(run, i) != rows[at].channel)
                    continue;
                memmove(&rows[put + 1], &rows[put], (size_t)(count - put) * sizeof *rows);
                rows[put++] = (struct row){.channel = i, .depth = rows[at].depth + 1};
                placed[i] = true;
                count++;
            }
        }
    }
    for (int i = 0; i < run->channel_count; i++)
        if (!placed[i])
            rows[count++] = (struct row){.channel = i};
    return count;
}

struct table {
    const struct jp_probe *probe;
    int name, sensor; // widths
};

void jp_probe_sensor(const struct jp_source *source, int i, char *out, size_t size)
{
    const struct jp_channel *info = &source->info[i < 0 ? 0 : i];
    bool several = false;

    for (int j = 0; i < 0 && j < source->count; j++)
        several |= source->info[j].address != info->address || strcmp(source->info[j].chip, info->chip) != 0;
    if (several || !info->chip[0])
        snprintf(out, size, "%s", source->driver->name);
    else if (info->address >= 0)
        snprintf(out, size, "%s-%x", info->chip, (unsigned)info->address);
    else
        snprintf(out, size, "%s", info->chip);
    for (; *out; out++)
        if (*out <= ' ' || *out > '~') // a chip's name may be anything too
            *out = '?';
}

static void sensor_of(const struct jp_probe *probe, int channel, char *out, size_t size)
{
    out[0] = '\0';
    for (int s = 0; s < probe->source_count; s++)
        for (int i = 0; i < probe->plan.sources[s].count; i++)
            if (probe->plan.sources[s].channel[i] == channel)
                jp_probe_sensor(&probe->plan.sources[s], i, out, size);
}

static void put_power(bool known, int64_t uw)
{
    if (known)
        printf("  %9.3f W", (double)uw / 1e6);
    else
        printf("  %9s  ", "?");
}

static void put_step(int64_t uw)
{
    char text[24] = "";

    if (uw >= 1000000)
        snprintf(text, sizeof text, "%.3g W", (double)uw / 1e6);
    else if (uw > 0)
        snprintf(text, sizeof text, "%.3g mW", (double)uw / 1e3);
    printf("  %7s", text);
}

static void put_head(const struct table *table)
{
    jp_page_paint(JP_PAGE_DIM);
    printf("\n  %-*s  %11s  %7s  %-8s  %-*s  %s\n", table->name, "channel", "now", "step", "method", table->sensor,
           "sensor", "roles");
    jp_page_paint(JP_PAGE_PLAIN);
}

static void put_roles(const struct jp_run_channel *channel, char *text, size_t size)
{
    for (int bit = 0; bit < 32; bit++)
        if (channel->roles & (UINT32_C(1) << bit))
            jp_page_add(text, size, "%s", jp_role_name(UINT32_C(1) << bit));
    if (channel->unverified) { // explained below the total
        size_t used = strlen(text);

        snprintf(text + used, size - used, "%s*", used ? " " : "");
    }
}

static void put_calibration(const struct jp_run_channel *channel, int indent)
{
    if (!jp_run_calibrated(channel))
        return;
    jp_page_paint(JP_PAGE_DIM);
    printf("%*scalibrated x%.6g %+.6g mW\n", indent, "", channel->scale, (double)channel->offset_uw / 1000.0);
    jp_page_paint(JP_PAGE_PLAIN);
}

static void put_row(const struct table *table, const struct row *row)
{
    const struct jp_probe *probe = table->probe;
    const struct jp_run_channel *channel = &probe->plan.run.channels[row->channel];
    char sensor[32], roles[256] = "";
    int indent = 2 * row->depth, width = 2 + indent + (int)strlen(channel->name);
    int at = 2 + table->name + 13 + 9 + 10 + 2 + table->sensor + 2;

    sensor_of(probe, row->channel, sensor, sizeof sensor);
    put_roles(channel, roles, sizeof roles);
    jp_page_paint(JP_PAGE_GOOD);
    putchar(channel->in_total ? '+' : ' ');
    jp_page_paint(JP_PAGE_PLAIN);
    printf(" %*s%s", indent, "", channel->name);
    if (width > 2 + table->name) // too long for its column: the numbers go below
        printf("\n%*s", 2 + table->name, "");
    else
        printf("%*s", 2 + table->name - width, "");
    put_power(probe->now.known[row->channel], probe->now.uw[row->channel]);
    put_step(channel->resolution_uw);
    if (roles[0]) {
        printf("  %-8s  %-*s  ", jp_method_name(channel->method), table->sensor, sensor);
        jp_page_wrapped(at, at, roles);
    } else
        printf("  %-8s  %s\n", jp_method_name(channel->method), sensor);
    put_calibration(channel, indent + 4);
}

static void put_total(const struct table *table)
{
    const struct jp_run *run = &table->probe->plan.run;

    jp_page_paint(JP_PAGE_BOLD);
    if (run->total_known) {
        printf("= %-*s", table->name, "total");
        put_power(table->probe->now.total_known, table->probe->now.total_uw);
        printf("  %7s  %-8s  %s\n", "", jp_method_name(run->total_method), jp_scope_name(run->total_scope));
    } else
        printf("  no total\n");
    jp_page_paint(JP_PAGE_PLAIN);
}

static void put_note(const struct jp_run *run)
{
    bool unverified = false;

    for (int i = 0; i < run->channel_count; i++)
        unverified |= run->channels[i].unverified;
    if (!unverified)
        return;
    jp_page_paint(JP_PAGE_DIM);
    printf("* what the profile says of it is not verified\n");
    jp_page_paint(JP_PAGE_PLAIN);
}

void jp_probe_tree(const struct jp_probe *probe)
{
    struct table table = {.probe = probe, .name = 16, .sensor = 6};
    struct row rows[JP_CHANNELS_MAX];
    int count = lay_out(&probe->plan.run, rows);

    for (int i = 0; i < count; i++) {
        int width = 2 * rows[i].depth + (int)strlen(probe->plan.run.channels[rows[i].channel].name);
        char sensor[32];

        sensor_of(probe, rows[i].channel, sensor, sizeof sensor);
        if (width > table.name)
            table.name = width;
        if ((int)strlen(sensor) > table.sensor)
            table.sensor = (int)strlen(sensor);
    }
    if (table.name > 24)
        table.name = 24;
    put_head(&table);
    for (int i = 0; i < count; i++)
        put_row(&table, &rows[i]);
    put_total(&table);
    put_note(&probe->plan.run);
}
