// SPDX-License-Identifier: Apache-2.0
// The agent's answers as numbers. What is not there, or of a wrong type, is unknown.
#include "top.h"

#include "posting.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define WHOLE_MAX 1000000000000000LL

static void copy(char *out, size_t size, const json_t *text)
{
    snprintf(out, size, "%s", json_is_string(text) ? json_string_value(text) : "");
}

static const json_t *in(const json_t *object, const char *group, const char *name)
{
    return json_object_get(json_object_get(object, group), name);
}

// A number in parts of its unit.
static bool parts(const json_t *number, double of, int64_t *out)
{
    double value = json_is_number(number) ? json_number_value(number) * of : NAN;

    if (!(value > -9e18 && value < 9e18))
        return false;
    *out = llround(value);
    return true;
}

static bool milli(const json_t *number, int64_t *out)
{
    return parts(number, 1e3, out);
}

// A count or a time; what is beyond all there are says nothing.
static int64_t whole(const json_t *number)
{
    json_int_t value = json_integer_value(number);

    return value <= WHOLE_MAX && value >= -WHOLE_MAX ? value : 0;
}

// "one, two" out of a list of texts.
static void join(char *out, size_t size, const json_t *list, const char *between)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(list) && used < size; i++) {
        const char *word = json_string_value(json_array_get(list, i));

        used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? between : "", word ? word : "?");
    }
}

// meta -------------------------------------------------------------------------------------------
static void forget(struct jp_top_series *series)
{
    for (int i = 0; i < JP_TOP_HISTORY; i++)
        series->mw[i] = JP_TOP_UNKNOWN;
    series->count = series->sum_mw = 0;
}

static void take_channel(struct jp_top_row *row, const json_t *channel, const json_t *members)
{
    const char *method = json_string_value(json_object_get(channel, "method"));

    copy(row->name, sizeof row->name, json_object_get(channel, "name"));
    copy(row->part_of, sizeof row->part_of, json_object_get(channel, "part_of"));
    join(row->roles, sizeof row->roles, json_object_get(channel, "roles"), " ");
    row->modelled = method && strcmp(method, "modelled") == 0;
    for (size_t i = 0; i < json_array_size(members); i++) {
        const char *member = json_string_value(json_array_get(members, i));

        row->in_total = row->in_total || (member && strcmp(member, row->name) == 0);
    }
    forget(&row->series);
}

static int parent_of(const json_t *channels, size_t i)
{
    const char *part_of = json_string_value(json_object_get(json_array_get(channels, i), "part_of"));

    for (size_t k = 0; part_of && k < json_array_size(channels); k++) {
        const char *name = json_string_value(json_object_get(json_array_get(channels, k), "name"));

        if (name && strcmp(name, part_of) == 0)
            return (int)k;
    }
    return -1;
}

// Whole before part, parts in the order of the list. A circle, which no agent sends, becomes tops of their own.
static void take_channels(struct jp_top *top, const json_t *channels, const json_t *members)
{
    int count = (int)json_array_size(channels), parents[JP_CHANNELS_MAX];
    struct {
        int channel, depth;
    } stack[JP_CHANNELS_MAX];
    bool placed[JP_CHANNELS_MAX] = {false};
    int height = 0;

    count = count > JP_CHANNELS_MAX ? JP_CHANNELS_MAX : count;
    for (int i = 0; i < count; i++)
        parents[i] = parent_of(channels, (size_t)i);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < count; i++) {
            if (placed[i] || (round == 0 && parents[i] >= 0))
                continue;
            stack[height].channel = i;
            stack[height++].depth = 0;
            placed[i] = true;
            while (height > 0) {
                struct jp_top_row *row = &top->rows[top->row_count++];
                int channel = stack[--height].channel, depth = stack[height].depth;

                take_channel(row, json_array_get(channels, (size_t)channel), members);
                row->depth = depth;
                for (int k = count - 1; k >= 0; k--) {
                    if (placed[k] || parents[k] != channel)
                        continue;
                    stack[height].channel = k;
                    stack[height++].depth = depth + 1;
                    placed[k] = true;
                }
            }
        }
}

static void take_gauges(struct jp_top *top, const json_t *gauges)
{
    for (size_t i = 0; i < json_array_size(gauges) && i < JP_GAUGES_MAX; i++) {
        struct jp_top_gauge *gauge = &top->gauges[top->gauge_count++];

        copy(gauge->name, sizeof gauge->name, json_object_get(json_array_get(gauges, i), "name"));
        copy(gauge->unit, sizeof gauge->unit, json_object_get(json_array_get(gauges, i), "unit"));
    }
}

static int positive(const json_t *number)
{
    json_int_t value = json_integer_value(number);

    return value > 0 && value <= JP_WINDOW_MAX_MS ? (int)value : JP_WINDOW_MAX_MS;
}

int jp_top_take_meta(struct jp_top *top, const json_t *meta)
{
    const struct jp_factor configured = top->configured;
    const json_t *total = json_object_get(meta, "total");
    const char *scope = json_string_value(json_object_get(total, "scope"));
    const char *method = json_string_value(json_object_get(total, "method"));
    double pue = top->configured_pue;

    if (!json_is_array(json_object_get(meta, "channels")))
        return -EBADMSG;
    memset(top, 0, sizeof *top);
    top->configured = configured;
    top->configured_pue = pue;
    copy(top->run, sizeof top->run, json_object_get(meta, "run"));
    copy(top->device, sizeof top->device, json_object_get(meta, "device"));
    copy(top->board, sizeof top->board, in(meta, "board", "name"));
    copy(top->power_mode, sizeof top->power_mode, json_object_get(meta, "power_mode"));
    top->window_ms = positive(json_object_get(meta, "window_ms"));
    top->interval_ms = positive(json_object_get(meta, "interval_ms"));
    top->start_ms = json_integer_value(json_object_get(meta, "start_boot_ms"));
    take_channels(top, json_object_get(meta, "channels"), json_object_get(total, "channels"));
    take_gauges(top, json_object_get(meta, "gauges"));
    snprintf(top->total.name, sizeof top->total.name, "total");
    forget(&top->total.series);
    top->total_known = json_is_object(total);
    top->total.modelled = method && strcmp(method, "modelled") == 0;
    snprintf(top->total_how, sizeof top->total_how, "%s, %s", scope ? scope : "?", method ? method : "?");
    return 0;
}

// live -------------------------------------------------------------------------------------------
static void remember(struct jp_top_series *series, uint64_t seq, int64_t mw)
{
    series->mw[seq % JP_TOP_HISTORY] = (int32_t)(mw > INT32_MAX ? INT32_MAX : mw < -INT32_MAX ? -INT32_MAX : mw);
    series->min_mw = series->count == 0 || mw < series->min_mw ? mw : series->min_mw;
    series->max_mw = series->count == 0 || mw > series->max_mw ? mw : series->max_mw;
    series->sum_mw += mw;
    series->count++;
}

static void take_row(struct jp_top *top, struct jp_top_row *row, const json_t *live, bool new_window)
{
    row->power_known = milli(in(live, "power_w", row->name), &row->mw);
    row->energy_known = milli(in(live, "energy_j", row->name), &row->mj);
    copy(row->cause, sizeof row->cause, in(live, "cause", row->name));
    if (new_window && row->power_known)
        remember(&row->series, top->seq, row->mw);
}

// Windows that were closed between two looks were not seen.
static void step(struct jp_top *top, uint64_t seq)
{
    uint64_t missed = top->any ? seq - top->seq - 1 : 0;

    for (uint64_t k = 0; k <= missed && k < JP_TOP_HISTORY; k++) {
        top->total.series.mw[(seq - k) % JP_TOP_HISTORY] = JP_TOP_UNKNOWN;
        for (int i = 0; i < top->row_count; i++)
            top->rows[i].series.mw[(seq - k) % JP_TOP_HISTORY] = JP_TOP_UNKNOWN;
    }
    top->seq = seq;
    top->any = true;
}

int jp_top_take_live(struct jp_top *top, const json_t *live)
{
    const char *run = json_string_value(json_object_get(live, "run"));
    const json_t *seq = json_object_get(live, "seq");
    bool new_window = json_is_integer(seq) && (!top->any || (uint64_t)json_integer_value(seq) > top->seq);

    if (!run || !json_is_object(json_object_get(live, "power_w")))
        return -EBADMSG;
    if (strcmp(run, top->run) != 0)
        return -ESTALE;
    if (new_window)
        step(top, (uint64_t)json_integer_value(seq));
    if (json_is_integer(seq))
        top->boot_ms = json_integer_value(json_object_get(live, "boot_ms"));
    for (int i = 0; i < top->row_count; i++)
        take_row(top, &top->rows[i], live, new_window);
    take_row(top, &top->total, live, new_window);
    for (int i = 0; i < top->gauge_count; i++)
        top->gauges[i].known = milli(in(live, "gauges", top->gauges[i].name), &top->gauges[i].milli);
    if (json_object_get(live, "power_mode"))
        copy(top->power_mode, sizeof top->power_mode, json_object_get(live, "power_mode"));
    copy(top->task, sizeof top->task, json_object_get(live, "task"));
    join(top->degraded, sizeof top->degraded, json_object_get(live, "degraded"), ", ");
    return 0;
}

// post -------------------------------------------------------------------------------------------
static void take_factor(struct jp_top *top, const json_t *factor)
{
    const json_t *pue = json_object_get(factor, "pue"), *value = json_object_get(factor, "g_per_kwh");

    top->factor = top->configured;
    top->pue = top->configured_pue;
    if (!json_is_number(value) || !json_is_number(pue))
        return;
    top->factor = (struct jp_factor){.known = true, .g_per_kwh = json_number_value(value)};
    copy(top->factor.source, sizeof top->factor.source, json_object_get(factor, "source"));
    top->pue = json_number_value(pue);
}

static void take_status(struct jp_top_post *post, const json_t *status)
{
    const json_t *lost = json_object_get(status, "lost"), *one;
    const char *reason;
    size_t used = 0;

    post->pending_windows = whole(in(status, "pending", "windows"));
    post->pending_bytes = whole(in(status, "pending", "bytes"));
    post->refused = whole(json_object_get(status, "refused"));
    join(post->degraded, sizeof post->degraded, json_object_get(status, "degraded"), ", ");
    json_object_foreach((json_t *)lost, reason, one)
    {
        post->lost_windows += post->lost_windows < WHOLE_MAX ? whole(json_object_get(one, "windows")) : 0;
        if (used < sizeof post->lost_why)
            used +=
                (size_t)snprintf(post->lost_why + used, sizeof post->lost_why - used, "%s%s", used ? ", " : "", reason);
    }
}

void jp_top_take_post(struct jp_top *top, const json_t *post, int64_t now_ms)
{
    const char *state = json_string_value(in(post, "link", "state"));
    struct jp_top_post *to = &top->post;
    int64_t boot_ms = whole(json_object_get(post, "boot_ms"));

    *to = (struct jp_top_post){.running = state && boot_ms > now_ms - JP_POSTING_OLD_MS};
    take_factor(top, to->running ? json_object_get(post, "factor") : NULL);
    if (!state || !to->running)
        return;
    to->link = strcmp(state, "connected") == 0 ? JP_TOP_LINK_CONNECTED
               : strcmp(state, "none") == 0    ? JP_TOP_LINK_NONE
                                               : JP_TOP_LINK_CONNECTING;
    to->since_ms = whole(in(post, "link", "since_boot_ms"));
    copy(to->error, sizeof to->error, in(post, "link", "error"));
    take_status(to, json_object_get(post, "status"));
    to->register_known = milli(in(json_object_get(post, "registers"), "energy_j", "total"), &to->register_mj);
    copy(to->register_run, sizeof to->register_run, in(post, "registers", "run"));
    if (!milli(in(post, "registers", "of_run_j"), &to->register_run_mj))
        to->register_run[0] = '\0';
    to->emissions_known = parts(in(post, "registers", "emissions_g"), 1e6, &to->register_ug);
}
