// SPDX-License-Identifier: Apache-2.0
// One JSON object a line.
#include "jsonl.h"

#include <errno.h>

// Names of 64 channels and their values in energy, covered, cause and three columns: 64 x 6 x (32 + 24) = 21,504.
#define LINE_BYTES 65536

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
