// SPDX-License-Identifier: Apache-2.0
// One JSON object a line.
#include "jsonl.h"

#include <errno.h>
#include <string.h>

// Names of 64 channels and their values in energy, covered, cause and three columns: 64 x 6 x (32 + 24) = 21,504.
#define LINE_BYTES 65536
// An ordinary window: numbers of at most 20 bytes, 16 names of 32 and their 24 bytes each, a device of 64, 200 bytes of
// keys: below 1,500.
#define PLAIN_CHANNELS 16
#define PLAIN_BYTES 2048

static json_t *text(const char *one)
{
    json_t *string = one[0] ? json_string(one) : NULL; // NULL also when a stranger's text is no UTF-8

    return string ? string : json_null();
}

json_t *jp_jsonl_window(const struct jp_history *history)
{
    json_t *object = jp_window_json(&history->head, history->names, &history->window);

    json_object_set_new(object, "device", text(history->device));
    return object;
}

static json_t *run_json(const struct jp_history *history)
{
    json_t *object = json_object(), *prev = json_null();

    if (history->prev.known)
        prev = json_pack("{s:o, s:I, s:b}", "run", jp_json_u64(history->prev.run), "last_seq",
                         (json_int_t)history->prev.last_seq, "clean", (int)history->prev.clean);
    json_object_set_new(object, "run", jp_json_u64(history->run.id));
    json_object_set_new(object, "run_no", jp_json_known(history->run_no_known, (int64_t)history->run_no));
    json_object_set_new(object, "prev", prev);
    return object;
}

static json_t *anchor_json(const struct jp_history *history)
{
    const struct jp_anchor *anchor = &history->anchor;
    bool named = anchor->clock >= JP_CLOCK_UNSYNCED && anchor->clock <= JP_CLOCK_ESTIMATED;
    json_t *object = json_object();
    int64_t t_ms;
    bool sane = !__builtin_add_overflow(anchor->boot_ms, anchor->off_ms, &t_ms);

    json_object_set_new(object, "boot", text(history->head.boot));
    json_object_set_new(object, "boot_ms", json_integer(anchor->boot_ms));
    json_object_set_new(object, "off_ms", json_integer(anchor->off_ms));
    json_object_set_new(object, "t_ms", jp_json_known(sane, t_ms));
    json_object_set_new(object, "clock",
                        named ? json_string(jp_clock_state_name((enum jp_clock_state)anchor->clock)) : json_null());
    json_object_set_new(object, "err_ms", jp_json_known(anchor->err_ms >= 0, anchor->err_ms));
    return object;
}

json_t *jp_jsonl_entry(const struct jp_history *history, enum jp_entry_kind kind)
{
    static const char *const names[] = {[JP_ENTRY_WINDOW] = "window",
                                        [JP_ENTRY_RUN] = "run",
                                        [JP_ENTRY_GAP] = "gap",
                                        [JP_ENTRY_EVENT] = "event",
                                        [JP_ENTRY_ANCHOR] = "anchor"};
    json_t *object, *fields;

    if (kind == JP_ENTRY_WINDOW)
        fields = jp_window_json(&history->head, history->names, &history->window);
    else if (kind == JP_ENTRY_RUN)
        fields = run_json(history);
    else if (kind == JP_ENTRY_GAP)
        fields = jp_gap_json(&history->head, history->gap_run, &history->gap);
    else if (kind == JP_ENTRY_EVENT)
        fields = jp_event_json(&history->head, &history->event);
    else if (kind == JP_ENTRY_ANCHOR)
        fields = anchor_json(history);
    else
        return NULL;
    object = json_object();
    json_object_set_new(object, "type", json_string(names[kind]));
    json_object_update(object, fields);
    json_decref(fields);
    json_object_set_new(object, "device", text(history->device));
    return object;
}

// A line in one piece is much faster than piece by piece; only a list of findings is larger than the buffer.
int jp_jsonl_write(json_t *object, FILE *out)
{
    static char line[LINE_BYTES];
    size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(15),
           n = object ? json_dumpb(object, line, sizeof line, flags) : 0;
    bool whole = false;

    if (n == 0) {
        json_decref(object);
        return -ENOMEM;
    }
    errno = 0;
    whole = n <= sizeof line ? fwrite(line, 1, n, out) == n : json_dumpf(object, out, flags) == 0;
    json_decref(object);
    if (whole && putc('\n', out) != EOF)
        return 0;
    return errno ? -errno : -EIO;
}

// Ordinary windows ---------------------------------------------------------------------------------
static bool is_plain_text(const char *one)
{
    for (; *one; one++)
        if (*one < 0x20 || *one > 0x7e || *one == '"' || *one == '\\')
            return false;
    return true;
}

// Whole, with names that need no escapes and are keys of their own, and without columns.
static bool is_plain(const struct jp_history *history)
{
    const struct jp_window_names *names = history->names;
    const struct jp_window *window = &history->window;

    if (window->channel_count > PLAIN_CHANNELS || !history->device[0] || !is_plain_text(history->device))
        return false;
    for (int c = 0; c < window->channel_count; c++) {
        if (window->channels[c].covered_ms < window->span_ms || (names->has[c] & names->columns) ||
            !is_plain_text(names->names[c]) || strcmp(names->names[c], "total") == 0)
            return false;
        for (int i = 0; i < c; i++)
            if (strcmp(names->names[i], names->names[c]) == 0)
                return false;
    }
    return true;
}

static char *put_text(char *at, const char *one)
{
    size_t size = strlen(one);

    memcpy(at, one, size);
    return at + size;
}

static char *put_number(char *at, const char *key, bool known, int64_t value)
{
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    char digits[20];
    size_t count = 0;

    at = put_text(at, key);
    if (!known)
        return put_text(at, "null");
    do
        digits[count++] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *at++ = '-';
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *put_run(char *at, uint64_t run)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[run >> shift & 15];
    return at;
}

static char *put_energies(char *at, const struct jp_history *history, const struct jp_window_total *total)
{
    const struct jp_window *window = &history->window;

    for (int c = 0; c < window->channel_count; c++) {
        *at++ = '"';
        at = put_text(at, history->names->names[c]);
        at = put_number(at, "\":", window->channels[c].known, window->channels[c].mj);
        *at++ = ',';
    }
    return put_number(at, "\"total\":", total->known, total->mj);
}

int jp_jsonl_window_line(const struct jp_history *history, bool typed, FILE *out)
{
    const struct jp_window *window = &history->window;
    struct jp_window_total total;
    char line[PLAIN_BYTES], *at = line;
    int64_t t_ms = 0, ug = 0;
    bool timed, priced;

    if (!is_plain(history))
        return jp_jsonl_write(typed ? jp_jsonl_entry(history, JP_ENTRY_WINDOW) : jp_jsonl_window(history), out);
    total = jp_window_total_of(history->names, window);
    timed = jp_records_t_ms(&history->head, window->t0_ms, &t_ms);
    priced = jp_window_emissions(&history->head, &total, &ug);
    at = put_number(at, typed ? "{\"type\":\"window\",\"t_ms\":" : "{\"t_ms\":", timed, t_ms);
    at = put_number(at, ",\"boot_ms\":", true, window->t0_ms);
    at = put_number(at, ",\"span_ms\":", true, window->span_ms);
    at = put_run(put_text(at, ",\"run\":\""), window->run);
    at = put_number(at, "\",\"seq\":", true, (int64_t)window->seq);
    at = put_energies(put_text(at, ",\"energy_mj\":{"), history, &total);
    at = put_number(at, "},\"emissions_ug\":", priced, ug);
    at = put_text(put_text(at, ",\"clock\":\""), jp_clock_state_name(history->head.clock));
    at = put_text(put_text(at, "\",\"covered_ms\":{},\"cause\":{},\"device\":\""), history->device);
    at = put_text(at, "\"}\n");
    errno = 0;
    if (fwrite(line, 1, (size_t)(at - line), out) == (size_t)(at - line))
        return 0;
    return errno ? -errno : -EIO;
}
