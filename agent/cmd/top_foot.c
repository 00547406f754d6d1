// SPDX-License-Identifier: Apache-2.0
// What stands below the channels: gauges, and the state of carbon, task, link and spool.
#include "top_parts.h"
#include "top_words.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LABEL 9
#define GAP 3

// Notes ------------------------------------------------------------------------------------------
// What this run has used since post told its registers.
static int64_t since_told_mj(const struct jp_top *top)
{
    int64_t mj = top->total.mj - top->post.register_run_mj;

    return top->total.energy_known && strcmp(top->post.register_run, top->run) == 0 && mj > 0 ? mj : 0;
}

static void put_carbon(const struct jp_top *top, struct jp_ink *ink)
{
    const struct jp_top_post *post = &top->post;
    int64_t since_mj = since_told_mj(top);
    char joules[JP_WORD_MAX], grams[JP_WORD_MAX];

    if (!top->factor.known) {
        jp_ink_put(ink, JP_INK_DIM, "unknown grid: set location.country, or location.intensity_g_per_kwh");
        return;
    }
    jp_ink_say(ink, JP_INK_PLAIN, "%.6g g/kWh", top->factor.g_per_kwh);
    if (top->factor.source[0])
        jp_ink_say(ink, JP_INK_DIM, " (%s)", top->factor.source);
    if (top->pue != 1)
        jp_ink_say(ink, JP_INK_PLAIN, ", PUE %.4g", top->pue);
    if (!post->running || !post->register_known)
        return;
    jp_word_joules(post->register_mj + since_mj, joules);
    jp_word_grams(post->register_ug + llround((double)since_mj * top->factor.g_per_kwh * top->pue / 3600), grams);
    jp_ink_say(ink, JP_INK_PLAIN, ", %s%s%s", joules, post->emissions_known ? " and " : "",
               post->emissions_known ? grams : "");
    jp_ink_put(ink, JP_INK_DIM, " over all runs");
}

static void put_link(const struct jp_top *top, int64_t now_ms, struct jp_ink *ink)
{
    const struct jp_top_post *post = &top->post;
    char time[JP_WORD_MAX];

    jp_word_time(now_ms - post->since_ms, time);
    if (!post->running)
        jp_ink_put(ink, JP_INK_BAD, "post is not running: nothing is delivered");
    else if (post->link == JP_TOP_LINK_NONE)
        jp_ink_put(ink, JP_INK_DIM, "none: mqtt.url is not set, windows are kept here");
    else if (post->link == JP_TOP_LINK_CONNECTED)
        jp_ink_say(ink, JP_INK_GOOD, "connected for %s", time);
    else
        jp_ink_say(ink, JP_INK_CARE, "connecting for %s%s%s", time, post->error[0] ? ": " : "", post->error);
}

static void put_waiting(const struct jp_top *top, struct jp_ink *ink)
{
    const struct jp_top_post *post = &top->post;
    char bytes[JP_WORD_MAX];

    jp_word_bytes(post->pending_bytes, bytes);
    if (post->pending_windows > 0)
        jp_ink_say(ink, JP_INK_PLAIN, "%" PRId64 " window%s %s, %s", post->pending_windows,
                   post->pending_windows == 1 ? "" : "s", post->link == JP_TOP_LINK_NONE ? "kept" : "to send", bytes);
    else
        jp_ink_put(ink, JP_INK_PLAIN, post->link == JP_TOP_LINK_NONE ? "nothing kept" : "nothing to send");
    if (post->lost_windows > 0)
        jp_ink_say(ink, JP_INK_BAD, ", lost %" PRId64 " (%s)", post->lost_windows, post->lost_why);
    else
        jp_ink_put(ink, JP_INK_DIM, ", nothing lost");
    if (post->refused > 0)
        jp_ink_say(ink, JP_INK_BAD, ", %" PRId64 " refused", post->refused);
    if (post->degraded[0])
        jp_ink_say(ink, JP_INK_CARE, ", %s", post->degraded);
}

// Where meter cannot write, post cannot tell: its line is of before.
static void put_spool(const struct jp_top *top, struct jp_ink *ink)
{
    if (top->degraded[0])
        jp_ink_say(ink, JP_INK_BAD, "meter: %s%s", top->degraded, top->post.running ? "; " : "");
    if (top->post.running)
        put_waiting(top, ink);
    else if (!top->degraded[0])
        jp_ink_put(ink, JP_INK_DIM, "-");
}

bool jp_top_note_matters(const struct jp_top *top, enum jp_top_note note)
{
    const struct jp_top_post *post = &top->post;

    switch (note) {
    case JP_TOP_TASK:
        return top->task[0] && !top->away_ms;
    case JP_TOP_LINK:
        return !post->running || post->link == JP_TOP_LINK_CONNECTING;
    case JP_TOP_SPOOL:
        return post->running && (post->lost_windows > 0 || post->refused > 0 || post->degraded[0]);
    case JP_TOP_CARBON:
    case JP_TOP_NOTES:
        break;
    }
    return false;
}

void jp_top_note_put(struct jp_top_page *page, enum jp_top_note note)
{
    const struct jp_top *top = page->top;
    struct jp_ink *ink = &page->ink;
    static const char *const labels[] = {
        [JP_TOP_CARBON] = "carbon", [JP_TOP_TASK] = "task", [JP_TOP_LINK] = "link", [JP_TOP_SPOOL] = "spool"};

    jp_ink_to(ink, page->table.x);
    jp_ink_put(ink, JP_INK_DIM, labels[note]);
    jp_ink_to(ink, page->table.x + LABEL);
    if (note == JP_TOP_CARBON)
        put_carbon(top, ink);
    else if (note == JP_TOP_TASK && top->task[0] && !top->away_ms)
        jp_ink_put(ink, JP_INK_BOLD, top->task);
    else if (note == JP_TOP_TASK)
        jp_ink_put(ink, JP_INK_DIM, top->away_ms ? "-" : "none");
    else if (note == JP_TOP_LINK)
        put_link(top, page->now_ms, ink);
    else
        put_spool(top, ink);
    jp_ink_end(ink);
}

// Gauges -----------------------------------------------------------------------------------------
// One group a unit; a name that ends with what the group says is shown without it.
static const struct group {
    const char *label, *unit, *suffixes[4];
    int width; // of a value
} groups[] = {
    {"state", "", {NULL}, 3}, // first: it is seen when something is wrong
    {"load", "%", {"_load"}, 5},  {"clock", "MHz", {"_freq"}, 8}, {"heat", "C", {"_temp", "-therm", "-thermal"}, 7},
    {"gauges", NULL, {NULL}, 12},
};
#define GROUPS ((int)(sizeof groups / sizeof groups[0]))

static int group_of(const struct jp_top_gauge *gauge)
{
    int group = 0;

    while (groups[group].unit && strcmp(groups[group].unit, gauge->unit) != 0)
        group++;
    return group;
}

// A state that is 0 is quiet: how many there are is enough.
static bool is_quiet(const struct jp_top_gauge *gauge)
{
    return gauge->unit[0] == '\0' && gauge->known && gauge->milli == 0;
}

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), size = strlen(end);

    return length > size && strcmp(name + length - size, end) == 0;
}

static int name_length(const struct jp_top_gauge *gauge, int group)
{
    int length = (int)strlen(gauge->name);

    for (const char *const *suffix = groups[group].suffixes; *suffix; suffix++)
        if (ends_with(gauge->name, *suffix))
            return length - (int)strlen(*suffix);
    return length;
}

// The columns of a gauge of this group, 0 without one that is shown.
static int cell_width(const struct jp_top *top, int group)
{
    int width = 0;

    for (int i = 0; i < top->gauge_count; i++) {
        const struct jp_top_gauge *gauge = &top->gauges[i];
        int one = name_length(gauge, group) + 1 + groups[group].width + GAP;

        if (group_of(gauge) == group && !is_quiet(gauge) && one > width)
            width = one;
    }
    return width;
}

static int count_of(const struct jp_top *top, int group, bool quiet)
{
    int count = 0;

    for (int i = 0; i < top->gauge_count; i++)
        count += group_of(&top->gauges[i]) == group && is_quiet(&top->gauges[i]) == quiet;
    return count;
}

static int cells_a_line(const struct jp_top_page *page, int width)
{
    int cells = width > 0 ? (page->ink.columns - page->table.x - LABEL + GAP) / width : 1;

    return cells > 0 ? cells : 1;
}

int jp_top_gauge_lines(const struct jp_top_page *page)
{
    const struct jp_top *top = page->top;
    int lines = 0;

    for (int group = 0; group < GROUPS; group++) {
        int cells = cells_a_line(page, cell_width(top, group)), loud = count_of(top, group, false);
        int quiet = count_of(top, group, true) > 0;

        lines += loud > 0 ? (loud + cells - 1) / cells : quiet;
    }
    return lines;
}

static void put_gauge(struct jp_top_page *page, const struct jp_top_gauge *gauge, int group, int end)
{
    bool known = gauge->known && !page->top->away_ms;
    struct jp_ink *ink = &page->ink;
    enum jp_style style = !known ? JP_INK_DIM : gauge->unit[0] == '\0' ? JP_INK_BAD : JP_INK_PLAIN;
    char text[JP_WORD_MAX] = "-";

    if (known)
        jp_word_gauge(gauge->milli, gauge->unit, text);
    jp_ink_say(ink, style == JP_INK_BAD ? JP_INK_BAD : JP_INK_DIM, "%.*s", name_length(gauge, group), gauge->name);
    jp_ink_before(ink, style, text, end);
}

// All states are quiet: what is not going on, of what is watched here.
static void put_quiet(const struct jp_top *top, int quiet, struct jp_ink *ink)
{
    bool throttling = false, alarm = false;

    for (int i = 0; i < top->gauge_count; i++) {
        throttling |= is_quiet(&top->gauges[i]) && strncmp(top->gauges[i].name, "throttle_", 9) == 0;
        alarm |= is_quiet(&top->gauges[i]) && ends_with(top->gauges[i].name, "_alarm");
    }
    if (throttling || alarm)
        jp_ink_say(ink, JP_INK_DIM, "%s%s%s", throttling ? "no throttling" : "", throttling && alarm ? ", " : "",
                   alarm ? "no over-current" : "");
    else
        jp_ink_say(ink, JP_INK_DIM, "%d quiet", quiet);
}

// Up to `lines` lines; how many there were.
static int put_group(struct jp_top_page *page, int group, int lines)
{
    const struct jp_top *top = page->top;
    struct jp_ink *ink = &page->ink;
    int x = page->table.x, width = cell_width(top, group), cells = cells_a_line(page, width), done = 0;
    int quiet = count_of(top, group, true), loud = count_of(top, group, false);

    if (loud + quiet == 0 || lines == 0)
        return 0;
    jp_ink_to(ink, x);
    jp_ink_put(ink, JP_INK_DIM, groups[group].label);
    if (loud == 0) {
        jp_ink_to(ink, x + LABEL);
        put_quiet(top, quiet, ink);
    }
    for (int i = 0; i < top->gauge_count; i++) {
        if (group_of(&top->gauges[i]) != group || is_quiet(&top->gauges[i]))
            continue;
        if (done > 0 && done % cells == 0) {
            jp_ink_end(ink);
            if (done / cells == lines)
                return lines;
        }
        jp_ink_to(ink, x + LABEL + done % cells * width);
        put_gauge(page, &top->gauges[i], group, ink->column + width - GAP);
        done++;
    }
    jp_ink_end(ink);
    return loud == 0 ? 1 : (loud + cells - 1) / cells;
}

void jp_top_gauges_put(struct jp_top_page *page)
{
    int lines = page->plan.gauges;

    for (int group = 0; group < GROUPS && lines > 0; group++)
        lines -= put_group(page, group, lines);
}
