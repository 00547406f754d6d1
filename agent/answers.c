// SPDX-License-Identifier: Apache-2.0
// task, live and health, as JSON by snprintf. Names are [A-Za-z0-9_.-] and units our own: nothing to escape.
#include "answers_parts.h"

#include "name.h"
#include "utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void jp_text_put(struct jp_text *text, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text->bytes + text->used, text->size - text->used, format, args);
    va_end(args);
    text->used = n < 0 || (size_t)n >= text->size - text->used ? text->size : text->used + (size_t)n;
}

static void refuse(struct jp_text *text, const char *why, const char *what)
{
    text->used = 0;
    jp_text_put(text, "{\"ok\": false, \"error\": \"%s%s\"}", why, what);
}

// The name of an object's next member.
void jp_text_name(struct jp_text *text, const char *name)
{
    bool first = text->used == 0 || text->used == text->size || text->bytes[text->used - 1] == '{';

    jp_text_put(text, "%s\"%s\": ", first ? "" : ", ", name);
}

// Thousandths as a decimal number, or null.
void jp_text_milli(struct jp_text *text, const char *name, bool known, int64_t milli)
{
    uint64_t size = milli < 0 ? 0 - (uint64_t)milli : (uint64_t)milli;

    jp_text_name(text, name);
    if (known)
        jp_text_put(text, "%s%" PRIu64 ".%03u", milli < 0 ? "-" : "", size / 1000, (unsigned)(size % 1000));
    else
        jp_text_put(text, "null");
}

void jp_text_string(struct jp_text *text, const char *name, const char *value)
{
    jp_text_name(text, name);
    jp_text_put(text, value[0] ? "\"" : "null");
    for (size_t length; *value; value += length) {
        length = jp_utf8_length(value);
        if (length == 0 || (length == 1 && (unsigned char)*value < ' ')) {
            jp_text_put(text, "?");
            length = 1;
        } else
            jp_text_put(text, "%s%.*s", *value == '"' || *value == '\\' ? "\\" : "", (int)length, value);
        if (!value[length])
            jp_text_put(text, "\"");
    }
}

// What is not as it should be, of live and of health -----------------------------------------------
static void put_reason(struct jp_text *text, const char *reason)
{
    jp_text_put(text, "%s\"%s\"", text->bytes[text->used - 1] == '[' ? "" : ", ", reason);
}

static bool is_failing(const struct jp_answers *answers)
{
    bool failing = false;

    for (int i = 0; i < answers->run->channel_count; i++)
        failing |= answers->sampler->tracks[i].reported;
    return failing;
}

bool jp_answers_well(const struct jp_answers *answers)
{
    return !is_failing(answers) && !answers->record->failing && answers->sampler->poll_reachable;
}

static void put_degraded(struct jp_text *text, const struct jp_answers *answers)
{
    jp_text_put(text, ", \"degraded\": [");
    if (text->used == text->size)
        return;
    if (is_failing(answers))
        put_reason(text, "read_error");
    if (answers->record->failing == ENOSPC)
        put_reason(text, "hot_full");
    else if (answers->record->failing)
        put_reason(text, "io_error");
    if (!answers->sampler->poll_reachable)
        put_reason(text, "poll_too_slow");
    jp_text_put(text, "]");
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
static void put_channels(struct jp_text *text, const struct jp_answers *answers, bool power)
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
        jp_text_milli(text, answers->run->channels[i].name, known, value);
        if (!known || !member)
            continue;
        total += value;
        total_known = true;
    }
    jp_text_milli(text, "total", total_known && !withheld, total);
}

// Why a channel was not measured all the time.
static void put_causes(struct jp_text *text, const struct jp_answers *answers)
{
    const struct jp_window *window = answers->window;
    bool separate = false;

    for (int i = 0; window->span_ms > 0 && i < answers->run->channel_count; i++) {
        const char *cause = jp_cause_name(window->channels[i].cause);

        if (!cause || window->channels[i].covered_ms >= window->span_ms)
            continue;
        jp_text_put(text, "%s\"%s\": \"%s\"", separate ? ", " : "", answers->run->channels[i].name, cause);
        separate = true;
    }
}

static void live(const struct jp_answers *answers, struct jp_text *text)
{
    const struct jp_window *window = answers->window;

    jp_text_put(text, "{\"ok\": true, \"run\": \"%016" PRIx64 "\", \"seq\": ", answers->run->id);
    if (window->span_ms > 0)
        jp_text_put(text, "%" PRIu64 ", \"boot_ms\": %" PRId64, window->seq, window->t0_ms + window->span_ms);
    else
        jp_text_put(text, "null, \"boot_ms\": null");
    jp_text_put(text, ", \"power_w\": {");
    put_channels(text, answers, true);
    jp_text_put(text, "}, \"energy_j\": {");
    put_channels(text, answers, false);
    jp_text_put(text, "}, \"cause\": {");
    put_causes(text, answers);
    jp_text_put(text, "}, \"gauges\": {");
    for (int i = 0; i < answers->run->gauge_count; i++)
        jp_text_milli(text, answers->run->gauges[i].name, answers->sampler->gauges[i] != INT64_MIN,
                      answers->sampler->gauges[i]);
    jp_text_put(text, "}");
    jp_text_string(text, "power_mode", answers->run->facts.power_mode);
    jp_text_string(text, "task", answers->task[0] || !answers->pins ? answers->task : jp_pins_task(answers->pins));
    put_degraded(text, answers);
    jp_text_put(text, "}");
}

// health -----------------------------------------------------------------------------------------
static void health(const struct jp_answers *answers, struct jp_text *text)
{
    int64_t age_ms = (answers->clock->mono_ns(answers->clock) - answers->window_ns) / JP_NS_PER_MS;
    bool separate = false;

    jp_text_put(text, "{\"ok\": true, \"window_age_ms\": %" PRId64 ", \"windows\": %" PRIu64 ", \"errors\": {", age_ms,
                answers->sampler->seq);
    for (int i = 0; i < answers->run->channel_count; i++, separate = true)
        jp_text_put(text, "%s\"%s\": %" PRId64, separate ? ", " : "", answers->run->channels[i].name,
                    answers->sampler->tracks[i].errors);
    jp_text_put(text, "}, \"late_ticks\": %" PRId64 ", \"hot_bytes\": %" PRId64, answers->sampler->late_ticks,
                answers->record->hot.used_bytes);
    put_degraded(text, answers);
    jp_text_put(text, "}");
}

// task -------------------------------------------------------------------------------------------
static void task(struct jp_answers *answers, bool start, const char *name, struct jp_text *text)
{
    char detail[160];
    int rc;

    if (!jp_name_is_good(name, JP_NAME_MAX)) {
        refuse(text, "a task's name is 1 to 32 of A-Z a-z 0-9 _ . -", "");
        return;
    }
    if (answers->pins && jp_pins_marks(answers->pins, name)) {
        refuse(text, "a GPIO line marks this task: ", name);
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
    jp_text_put(text, "{\"ok\": true, \"seq\": %" PRIu64 "}", answers->sampler->seq);
}

void jp_answers_give(void *context, const char *request, char *reply, size_t size)
{
    struct jp_answers *answers = context;
    struct jp_text text = {.bytes = reply, .size = size};

    if (strcmp(request, "live") == 0)
        live(answers, &text);
    else if (strcmp(request, "meta") == 0)
        jp_answers_meta(answers, &text);
    else if (strcmp(request, "health") == 0)
        health(answers, &text);
    else if (strncmp(request, "task start ", 11) == 0)
        task(answers, true, request + 11, &text);
    else if (strncmp(request, "task stop ", 10) == 0)
        task(answers, false, request + 10, &text);
    else
        refuse(&text, "known requests: task start NAME, task stop NAME, live, meta, health", "");
    if (text.used == text.size)
        snprintf(reply, size, "{\"ok\": false, \"error\": \"the answer does not fit\"}");
}
