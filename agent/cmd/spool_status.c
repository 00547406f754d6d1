// SPDX-License-Identifier: Apache-2.0
// What a spool holds, in figures.
#include "spool_status.h"

#include "cmd.h"
#include "csv.h"
#include "jsonl.h"
#include "slots.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define DEVICES_MAX 16
#define REASONS_MAX 12
#define CURSOR_MAX 65536

struct lost {
    char reason[16];
    uint64_t windows;
    int64_t ms, mj;
    bool mj_known;
};

struct figures {
    uint64_t windows, pending, runs, last_run;
    bool any_run;
    char devices[DEVICES_MAX][JP_DEVICE_MAX];
    int device_count, more_devices;
    struct lost lost[REASONS_MAX];
    bool oldest_known, newest_known;
    int64_t oldest_ms, newest_ms;
    bool cursor_known;
    struct jp_pos cursor;
    uint64_t damage;
    uint8_t block[JP_PAYLOAD_MAX]; // that holds the newest window
    size_t block_size;             // 0: it came in no block
    int64_t last_ms;               // where its last window was taken to begin
};

// A cursor's record begins [1, segment, offset, ...; one that is written otherwise is not shown.
static void read_cursor(const struct jp_look *look, struct figures *figures)
{
    static uint8_t record[CURSOR_MAX];
    char path[JP_PATH_MAX];
    struct jp_cbor_in in;
    int n = snprintf(path, sizeof path, "%s/cursor", look->dir);

    if (n < 0 || (size_t)n >= sizeof path)
        return;
    n = jp_slots_peek(look->in.fs, path, record, sizeof record);
    if (n <= 0)
        return;
    jp_cbor_in_init(&in, record, (size_t)n);
    if (jp_cbor_get_array(&in) < 3 || jp_cbor_get_uint(&in) != 1)
        return;
    figures->cursor.segment = jp_cbor_get_uint(&in);
    figures->cursor.offset = jp_cbor_get_int(&in);
    figures->cursor_known = !in.failed;
}

static void note_device(struct figures *figures, const char *device)
{
    if (!device[0])
        return;
    for (int i = figures->device_count - 1; i >= 0; i--)
        if (strcmp(figures->devices[i], device) == 0)
            return;
    if (figures->device_count == DEVICES_MAX)
        figures->more_devices = 1;
    else
        snprintf(figures->devices[figures->device_count++], JP_DEVICE_MAX, "%s", device);
}

static void note_run(struct figures *figures, uint64_t run)
{
    figures->runs += !figures->any_run || figures->last_run != run;
    figures->any_run = true;
    figures->last_run = run;
}

// The block that may hold the newest window: where its windows differ in length only a look into it tells.
static void keep_block(struct figures *figures, const struct jp_history *history)
{
    figures->block_size = history->block_bytes ? history->block_size : 0;
    if (figures->block_size > 0)
        memcpy(figures->block, history->block_bytes, figures->block_size);
    figures->last_ms = history->last_ms;
}

static void correct_newest(struct figures *figures)
{
    static struct jp_block_reader block; // large
    static struct jp_window window;
    int rc = figures->block_size > 0 ? jp_block_read(&block, figures->block, figures->block_size) : -EBADMSG;

    while (rc == 0 && block.next < block.count)
        rc = jp_block_next(&block, &window) == 1 ? 0 : -EBADMSG;
    if (rc == 0)
        figures->newest_ms += window.t0_ms - figures->last_ms;
}

static void note_window(struct figures *figures, const struct jp_history *history)
{
    int64_t t_ms;

    figures->windows += history->windows;
    if (!figures->cursor_known || jp_pos_compare(history->at, figures->cursor) >= 0)
        figures->pending += history->windows;
    note_run(figures, history->window.run);
    if (!jp_records_t_ms(&history->head, history->window.t0_ms, &t_ms))
        return;
    if (!figures->oldest_known || t_ms < figures->oldest_ms)
        figures->oldest_ms = t_ms;
    figures->oldest_known = true;
    t_ms += history->last_ms - history->window.t0_ms;
    if (figures->newest_known && t_ms <= figures->newest_ms)
        return;
    figures->newest_ms = t_ms;
    figures->newest_known = true;
    keep_block(figures, history);
}

static void note_gap(struct figures *figures, const struct jp_history *history)
{
    const struct jp_gap *gap = &history->gap;
    const struct jp_run *run = history->gap_run;
    struct lost *lost = figures->lost;

    while (lost < figures->lost + REASONS_MAX - 1 && lost->reason[0] && strcmp(lost->reason, gap->reason) != 0)
        lost++;
    snprintf(lost->reason, sizeof lost->reason, "%s", gap->reason[0] ? gap->reason : "unknown");
    lost->windows += gap->windows;
    if (__builtin_add_overflow(lost->ms, gap->span_ms, &lost->ms))
        lost->ms = INT64_MAX;
    for (int c = 0; c < gap->channel_count; c++) {
        bool member = gap->named ? gap->total_known && gap->in_total[c]
                                 : c < run->channel_count && run->total_known && run->channels[c].in_total;

        if (!gap->known[c] || !member)
            continue;
        lost->mj_known = true;
        if (__builtin_add_overflow(lost->mj, gap->mj[c], &lost->mj))
            lost->mj = INT64_MAX;
    }
}

static void collect(struct jp_history *history, struct figures *figures)
{
    enum jp_entry_kind kind;

    while ((kind = jp_history_next(history)) != JP_ENTRY_END) {
        if (kind == JP_ENTRY_FLAW) {
            figures->damage += jp_flaw_is_damage(history->walk.flaw.kind);
            continue;
        }
        figures->damage += kind == JP_ENTRY_SENSELESS;
        note_device(figures, history->device);
        if (kind == JP_ENTRY_WINDOW)
            note_window(figures, history);
        else if (kind == JP_ENTRY_RUN)
            note_run(figures, history->run.id);
        else if (kind == JP_ENTRY_GAP)
            note_gap(figures, history);
    }
}

static json_t *lost_json(const struct figures *figures)
{
    json_t *lost = json_object();

    for (int i = 0; i < REASONS_MAX && figures->lost[i].reason[0]; i++) {
        const struct lost *one = &figures->lost[i];

        json_object_set_new(lost, one->reason,
                            json_pack("{s:I, s:o, s:o}", "windows", (json_int_t)one->windows, "seconds",
                                      jp_json_milli(true, one->ms), "joules", jp_json_milli(one->mj_known, one->mj)));
    }
    return lost;
}

static int print_json(const struct jp_look *look, const struct figures *figures)
{
    const struct jp_walk *walk = &look->history.walk;
    json_t *object = json_object(), *devices = json_array(), *cursor = json_null();

    for (int i = 0; i < figures->device_count; i++)
        json_array_append_new(devices, json_string(figures->devices[i]));
    if (figures->cursor_known)
        cursor = json_pack("{s:I, s:I}", "segment", (json_int_t)figures->cursor.segment, "offset",
                           (json_int_t)figures->cursor.offset);
    json_object_set_new(object, "spool", json_string(look->dir));
    json_object_set_new(object, "segments", json_integer((json_int_t)walk->count));
    json_object_set_new(object, "bytes", json_integer(walk->bytes));
    json_object_set_new(object, "windows", json_integer((json_int_t)figures->windows));
    json_object_set_new(object, "oldest_ms", jp_json_known(figures->oldest_known, figures->oldest_ms));
    json_object_set_new(object, "newest_ms", jp_json_known(figures->newest_known, figures->newest_ms));
    json_object_set_new(object, "runs", json_integer((json_int_t)figures->runs));
    json_object_set_new(object, "devices", devices);
    json_object_set_new(object, "cursor", cursor);
    json_object_set_new(object, "pending", json_pack("{s:I}", "windows", (json_int_t)figures->pending));
    json_object_set_new(object, "lost", lost_json(figures));
    json_object_set_new(object, "damaged", json_integer((json_int_t)figures->damage));
    return jp_jsonl_write(object, stdout);
}

// A stranger's text must not talk to the terminal.
static void print_text(const char *text)
{
    for (; *text; text++)
        putchar(isprint((unsigned char)*text) ? *text : '?');
}

static void print_time(const char *title, bool known, int64_t t_ms)
{
    char time[32] = "";

    if (known)
        jp_csv_time(t_ms, time);
    printf("%-10s %s\n", title, time[0] ? time : "unknown");
}

static void print_plain(const struct jp_look *look, const struct figures *figures)
{
    const struct jp_walk *walk = &look->history.walk;

    printf("%-10s %s\n", "spool", look->dir);
    printf("%-10s %zu, %" PRId64 " bytes\n", "segments", walk->count, walk->bytes);
    printf("%-10s %" PRIu64 " of %" PRIu64 " runs\n", "windows", figures->windows, figures->runs);
    print_time("oldest", figures->oldest_known, figures->oldest_ms);
    print_time("newest", figures->newest_known, figures->newest_ms);
    printf("%-10s", "devices");
    for (int i = 0; i < figures->device_count; i++) {
        putchar(' ');
        print_text(figures->devices[i]);
    }
    printf("%s\n", figures->more_devices ? " and more" : figures->device_count ? "" : " none");
    if (figures->cursor_known)
        printf("%-10s segment %" PRIu64 " at %" PRId64 "\n", "cursor", figures->cursor.segment, figures->cursor.offset);
    else
        printf("%-10s none\n", "cursor");
    printf("%-10s %" PRIu64 " windows\n", "pending", figures->pending);
    for (int i = 0; i < REASONS_MAX && figures->lost[i].reason[0]; i++) {
        const struct lost *one = &figures->lost[i];

        printf("%-10s ", "lost");
        print_text(one->reason);
        printf(": %" PRIu64 " windows, %.3f s", one->windows, (double)one->ms / 1e3);
        if (one->mj_known)
            printf(", %.3f J", (double)one->mj / 1e3);
        putchar('\n');
    }
    if (figures->damage)
        printf("%-10s in %" PRIu64 " places: joulepost spool verify\n", "damaged", figures->damage);
}

int jp_spool_status(struct jp_look *look, bool json)
{
    static struct figures figures; // large
    int rc = 0;

    read_cursor(look, &figures);
    collect(&look->history, &figures);
    correct_newest(&figures);
    if (json)
        rc = print_json(look, &figures);
    else
        print_plain(look, &figures);
    return jp_look_end(look, stdout, rc);
}
