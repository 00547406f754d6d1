// SPDX-License-Identifier: Apache-2.0
// task, live and health, as JSON by snprintf. Names are [A-Za-z0-9_.-] and units our own: nothing to escape.
#include "answers.h"

#include "name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text {
    char *bytes;
    size_t size, used; // used == size: it did not fit
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text->bytes + text->used, text->size - text->used, format, args);
    va_end(args);
    text->used = n < 0 || (size_t)n >= text->size - text->used ? text->size : text->used + (size_t)n;
}

static void refuse(struct text *text, const char *why, const char *what)
{
    text->used = 0;
    put(text, "{\"ok\": false, \"error\": \"%s%s\"}", why, what);
}

// Thousandths as a decimal number, or null.
static void put_milli(struct text *text, const char *name, bool known, int64_t milli)
{
    uint64_t size = milli < 0 ? 0 - (uint64_t)milli : (uint64_t)milli;
    const char *comma = text->used > 0 && text->used < text->size && text->bytes[text->used - 1] != '{' ? ", " : "";

    if (known)
        put(text, "%s\"%s\": %s%" PRIu64 ".%03u", comma, name, milli < 0 ? "-" : "", size / 1000,
            (unsigned)(size % 1000));
    else
        put(text, "%s\"%s\": null", comma, name);
}

// live -------------------------------------------------------------------------------------------
// Milliwatts over the covered time. False: nothing was covered, or the energy is of an unknown time: a counter brings
// what it counted between two runs into the first window of the second.
static bool mean_mw(const struct jp_answers *answers, int i, int64_t *mw)
{
    const struct jp_window_channel *channel = &answers->window->channels[i];
    bool bridged = answers->window->seq == 0 && answers->run->channels[i].kind == JP_ENERGY;

    if (!channel->known || channel->covered_ms <= 0 || bridged)
        return false;
    *mw = channel->mj * 1000 / channel->covered_ms;
    return true;
}

// A total is the sum of its known members, unknown when none is, or when one has an energy and no power.
static void put_channels(struct text *text, const struct jp_answers *answers, bool power)
{
    const struct jp_window *window = answers->window;
    int64_t total = 0;
    bool total_known = false, withheld = false;

    for (int i = 0; i < answers->run->channel_count; i++) {
        const struct jp_window_channel *channel = &window->channels[i];
        bool member = answers->run->total_known && answers->run->channels[i].in_total;
        bool known = window->span_ms > 0 && (channel->known || (!power && channel->run_mj != 0));
        int64_t value = channel->run_mj;

        if (power && known && !mean_mw(answers, i, &value)) {
            known = false;
            withheld = withheld || member;
        }
        put_milli(text, answers->run->channels[i].name, known, value);
        if (!known || !member)
            continue;
        total += value;
        total_known = true;
    }
    put_milli(text, "total", total_known && !withheld, total);
}

static void live(const struct jp_answers *answers, struct text *text)
{
    const struct jp_window *window = answers->window;

    put(text, "{\"ok\": true, \"run\": \"%016" PRIx64 "\", \"seq\": ", answers->run->id);
    if (window->span_ms > 0)
        put(text, "%" PRIu64 ", \"boot_ms\": %" PRId64, window->seq, window->t0_ms + window->span_ms);
    else
        put(text, "null, \"boot_ms\": null");
    put(text, ", \"power_w\": {");
    put_channels(text, answers, true);
    put(text, "}, \"energy_j\": {");
    put_channels(text, answers, false);
    put(text, "}, \"gauges\": {");
    for (int i = 0; i < answers->run->gauge_count; i++)
        put_milli(text, answers->run->gauges[i].name, answers->sampler->gauges[i] != INT64_MIN,
                  answers->sampler->gauges[i]);
    if (answers->task[0] != '\0')
        put(text, "}, \"task\": \"%s\"}", answers->task);
    else
        put(text, "}, \"task\": null}");
}

// health -----------------------------------------------------------------------------------------
static void put_reason(struct text *text, const char *reason)
{
    put(text, "%s\"%s\"", text->bytes[text->used - 1] == '[' ? "" : ", ", reason);
}

static void put_degraded(struct text *text, const struct jp_answers *answers)
{
    bool failing = false;

    for (int i = 0; i < answers->run->channel_count; i++)
        failing |= answers->sampler->tracks[i].reported;
    if (failing)
        put_reason(text, "read_error");
    if (answers->record->failing == ENOSPC)
        put_reason(text, "hot_full");
    else if (answers->record->failing)
        put_reason(text, "io_error");
    if (!answers->sampler->poll_reachable)
        put_reason(text, "poll_too_slow");
}

static void health(const struct jp_answers *answers, struct text *text)
{
    int64_t age_ms = (answers->clock->mono_ns(answers->clock) - answers->window_ns) / JP_NS_PER_MS;
    bool separate = false;

    put(text, "{\"ok\": true, \"window_age_ms\": %" PRId64 ", \"windows\": %" PRIu64 ", \"errors\": {", age_ms,
        answers->sampler->seq);
    for (int i = 0; i < answers->run->channel_count; i++, separate = true)
        put(text, "%s\"%s\": %" PRId64, separate ? ", " : "", answers->run->channels[i].name,
            answers->sampler->tracks[i].errors);
    put(text, "}, \"late_ticks\": %" PRId64 ", \"hot_bytes\": %" PRId64 ", \"degraded\": [",
        answers->sampler->late_ticks, answers->record->hot.used_bytes);
    if (text->used < text->size)
        put_degraded(text, answers);
    put(text, "]}");
}

// task -------------------------------------------------------------------------------------------
static void task(struct jp_answers *answers, bool start, const char *name, struct text *text)
{
    char detail[160];
    int rc;

    if (!jp_name_is_good(name, JP_NAME_MAX)) {
        refuse(text, "a task's name is 1 to 32 of A-Z a-z 0-9 _ . -", "");
        return;
    }
    if (start && answers->task[0] != '\0') {
        refuse(text, "a task is running already: ", answers->task);
        return;
    }
    if (!start && strcmp(answers->task, name) != 0) {
        refuse(text, "no such task is running: ", name);
        return;
    }
    snprintf(detail, sizeof detail, "{\"action\":\"%s\",\"name\":\"%s\",\"seq\":%" PRIu64 "}", start ? "start" : "stop",
             name, answers->sampler->seq);
    rc = jp_record_event(answers->record, "task", "", detail);
    if (rc) {
        refuse(text, "it could not be written down: ", rc == -ENOSPC ? "the hot spool is full" : strerror(-rc));
        return;
    }
    snprintf(answers->task, sizeof answers->task, "%s", start ? name : "");
    put(text, "{\"ok\": true, \"seq\": %" PRIu64 "}", answers->sampler->seq);
}

void jp_answers_give(void *context, const char *request, char *reply, size_t size)
{
    struct jp_answers *answers = context;
    struct text text = {.bytes = reply, .size = size};

    if (strcmp(request, "live") == 0)
        live(answers, &text);
    else if (strcmp(request, "health") == 0)
        health(answers, &text);
    else if (strncmp(request, "task start ", 11) == 0)
        task(answers, true, request + 11, &text);
    else if (strncmp(request, "task stop ", 10) == 0)
        task(answers, false, request + 10, &text);
    else
        refuse(&text, "known requests: task start NAME, task stop NAME, live, health", "");
    if (text.used == text.size)
        snprintf(reply, size, "{\"ok\": false, \"error\": \"the answer does not fit\"}");
}
