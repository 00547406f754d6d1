// SPDX-License-Identifier: Apache-2.0
// Frames of either spool into windows, runs, gaps, events and anchors.
#include "history_parts.h"

#include "clock.h"

#include <errno.h>
#include <string.h>

#define FORMAT_BIRTH_S 1767225600 // 2026-01-01: no spool of this format is older

// The look beforehand ----------------------------------------------------------------------------
static void note_name(struct jp_history *history, const char *name)
{
    for (int i = 0; i < history->name_count; i++)
        if (strcmp(history->names_seen[i], name) == 0)
            return;
    if (history->name_count == JP_HISTORY_NAMES_MAX) {
        history->names_left_out = true;
        return;
    }
    memcpy(history->names_seen[history->name_count++], name, strlen(name) + 1);
}

static void note_block(struct jp_history *history, const struct jp_frame *frame)
{
    char name[JP_NAME_MAX];
    struct jp_cbor_in in;
    size_t count;

    history->blocks++;
    jp_cbor_in_init(&in, frame->payload, frame->size);
    jp_cbor_get_array(&in);
    for (int i = 0; i < 5; i++)
        jp_cbor_skip(&in);
    count = jp_cbor_get_array(&in);
    for (size_t i = 0; i < count && i < JP_CHANNELS_MAX && !in.failed; i++) {
        jp_cbor_copy_text(&in, name, sizeof name);
        if (!in.failed)
            note_name(history, name);
    }
}

static const struct jp_run *kept_run(const struct jp_history *history, uint64_t id)
{
    for (int i = 0; i < history->run_count && i < JP_HISTORY_RUNS; i++)
        if (history->runs[i].id == id)
            return &history->runs[i];
    return NULL;
}

static void note_run(struct jp_history *history, const struct jp_frame *frame)
{
    struct jp_run *run = &history->run_read;

    if (jp_run_decode(run, frame->payload, frame->size))
        return;
    if (history->boot < 0)
        history->boot = jp_anchors_boot(&history->anchors, run->boot);
    if (kept_run(history, run->id))
        return;
    history->runs[history->run_count++ % JP_HISTORY_RUNS] = *run;
    for (int c = 0; c < run->channel_count; c++)
        note_name(history, run->channels[c].name);
}

static int note(struct jp_history *history, const struct jp_frame *frame)
{
    struct jp_anchor anchor;

    if (frame->type == JP_FRAME_BLOCK && !history->in->brief)
        note_block(history, frame);
    else if (frame->type == JP_FRAME_RUN)
        note_run(history, frame);
    else if (frame->type == JP_FRAME_ANCHOR && history->boot >= 0 &&
             jp_anchor_decode(&anchor, frame->payload, frame->size) == 0)
        return jp_anchors_add(&history->anchors, history->boot, &anchor, true);
    return 0;
}

static int begin_segment(struct jp_history *history)
{
    history->boot = -1;
    if (history->in->progress)
        history->in->progress(history->walk.index, history->walk.count);
    if (!history->walk.header_known)
        return 0;
    history->boot = jp_anchors_boot(&history->anchors, history->walk.header.boot);
    return history->boot < 0 ? history->boot : 0;
}

static int note_header(struct jp_history *history)
{
    const struct jp_segment_header *header = &history->walk.header;
    struct jp_anchor anchor = {.boot_ms = header->boot_ms, .err_ms = -1};
    int rc = begin_segment(history);

    if (rc == 0 && history->walk.header_known && !history->spool_id_known) {
        history->spool_id_known = true;
        memcpy(history->spool_id, header->spool_id, sizeof history->spool_id);
    }
    if (rc || history->boot < 0 || __builtin_sub_overflow(header->real_ms, header->boot_ms, &anchor.off_ms))
        return rc;
    anchor.clock = strcmp(header->clock, "synced") == 0 ? JP_CLOCK_SYNCED : JP_CLOCK_UNSYNCED;
    return jp_anchors_add(&history->anchors, history->boot, &anchor, false);
}

static int survey(struct jp_history *history)
{
    struct jp_frame frame;
    enum jp_walk_next next;
    int rc = 0;

    while (rc == 0 && (next = jp_walk_next(&history->walk, &frame)) != JP_WALK_END) {
        if (next == JP_WALK_SEGMENT)
            rc = note_header(history);
        else if (next == JP_WALK_FRAME)
            rc = note(history, &frame);
    }
    jp_anchors_ready(&history->anchors);
    return rc;
}

int jp_history_open(struct jp_history *history, const struct jp_history_in *in)
{
    int rc;

    memset(history, 0, sizeof *history);
    history->in = in;
    history->head = (struct jp_records_head){.err_ms = -1, .factor = in->factor, .pue = in->pue};
    rc = jp_walk_open(&history->walk, in->fs, in->dir);
    if (rc)
        return rc;
    rc = survey(history);
    if (rc == 0)
        rc = jp_history_rewind(history);
    if (rc)
        jp_history_close(history);
    return rc;
}

int jp_history_rewind(struct jp_history *history)
{
    jp_walk_close(&history->walk);
    history->run_known = history->told = history->in_block = false;
    history->boot = -1;
    history->run.id = history->run_before.id = 0;
    history->run.channel_count = history->run_before.channel_count = 0;
    return jp_walk_open(&history->walk, history->in->fs, history->in->dir);
}

void jp_history_close(struct jp_history *history)
{
    jp_walk_close(&history->walk);
    jp_anchors_free(&history->anchors);
}

// Entries ----------------------------------------------------------------------------------------
// The wall time of a moment of the open segment's boot, and who it was.
void jp_history_place(struct jp_history *history, int64_t boot_ms)
{
    struct jp_records_head *head = &history->head;
    bool known = history->walk.header_known;
    int clock = JP_CLOCK_UNSYNCED;

    history->device = known ? history->walk.header.device : history->run_known ? history->run.device : "";
    head->device = history->device;
    head->boot = history->boot >= 0 ? history->anchors.boots[history->boot] : "";
    head->off_known =
        history->boot >= 0 && jp_anchors_find(&history->anchors, history->boot, boot_ms, &head->off_ms, &clock);
    head->clock = (enum jp_clock_state)clock;
    // What reads may be years younger than what wrote: its build date says nothing here.
    head->since_s = clock == JP_CLOCK_UNSYNCED ? FORMAT_BIRTH_S : 1;
}

enum jp_entry_kind jp_history_senseless(struct jp_history *history, const char *what)
{
    history->what = what;
    jp_history_place(history, 0);
    return JP_ENTRY_SENSELESS;
}

// What the durable spool adds to RUN; frames without it are as meter wrote them.
static void read_prev(struct jp_history *history, struct jp_cbor_in *in)
{
    size_t pairs = jp_cbor_get_null(in) ? 0 : jp_cbor_get_map(in);

    history->prev.known = pairs > 0;
    for (size_t i = 0; i < pairs && !in->failed; i++) {
        size_t size;
        const char *key = jp_cbor_get_text(in, &size);

        if (in->failed)
            break;
        if (size == 3 && memcmp(key, "run", 3) == 0)
            history->prev.run = jp_cbor_get_uint(in);
        else if (size == 8 && memcmp(key, "last_seq", 8) == 0)
            history->prev.last_seq = jp_cbor_get_uint(in);
        else if (size == 5 && memcmp(key, "clean", 5) == 0)
            history->prev.clean = jp_cbor_get_bool(in);
        else
            jp_cbor_skip(in);
    }
}

static void read_run_more(struct jp_history *history, const struct jp_frame *frame)
{
    struct jp_cbor_in in;
    size_t pairs;

    history->run_no_known = false;
    history->prev = (struct jp_prev){.known = false};
    jp_cbor_in_init(&in, frame->payload, frame->size);
    pairs = jp_cbor_get_map(&in);
    for (size_t i = 0; i < pairs && !in.failed; i++) {
        size_t size;
        const char *key = jp_cbor_get_text(&in, &size);

        if (in.failed)
            break;
        if (size == 6 && memcmp(key, "run_no", 6) == 0) {
            history->run_no_known = !jp_cbor_get_null(&in);
            if (history->run_no_known)
                history->run_no = jp_cbor_get_uint(&in);
        } else if (size == 4 && memcmp(key, "prev", 4) == 0) {
            read_prev(history, &in);
        } else {
            jp_cbor_skip(&in);
        }
    }
    if (in.failed)
        history->run_no_known = history->prev.known = false;
}

static void begin_run(struct jp_history *history, const struct jp_run *run)
{
    history->run_before = history->run;
    history->run = *run;
    history->run_known = true;
    history->told = false;
    jp_window_names_of_run(&history->run_names, &history->run);
}

static enum jp_entry_kind take_run(struct jp_history *history, const struct jp_frame *frame)
{
    bool numbered = history->run_no_known, preceded = history->prev.known, again;

    if (jp_run_decode(&history->run_read, frame->payload, frame->size))
        return jp_history_senseless(history, "a RUN that cannot be understood");
    if (history->boot < 0) // the header is damaged
        history->boot = jp_anchors_boot(&history->anchors, history->run_read.boot);
    again = history->told && history->run_known && history->run.id == history->run_read.id;
    if (!history->run_known || history->run.id != history->run_read.id)
        begin_run(history, &history->run_read);
    history->told = true;
    read_run_more(history, frame);
    jp_history_place(history, 0);
    if (again && numbered == history->run_no_known && preceded == history->prev.known)
        return JP_ENTRY_END; // said again at the start of a segment
    return JP_ENTRY_RUN;
}

static enum jp_entry_kind take_window(struct jp_history *history, const struct jp_frame *frame)
{
    const struct jp_run *kept;

    if (jp_window_decode(&history->window, frame->payload, frame->size))
        return jp_history_senseless(history, "a WINDOW that cannot be understood");
    if (!history->run_known || history->run.id != history->window.run) {
        kept = kept_run(history, history->window.run);
        if (kept)
            begin_run(history, kept);
    }
    if (!history->run_known || history->run.id != history->window.run ||
        history->run.channel_count != history->window.channel_count)
        return jp_history_senseless(history, "a WINDOW whose RUN is not there: nobody can say what its columns are");
    jp_window_names_see(&history->run_names, &history->window);
    history->names = &history->run_names;
    history->windows = 1;
    history->last_ms = history->window.t0_ms;
    history->block_bytes = NULL;
    jp_history_place(history, history->window.t0_ms);
    return JP_ENTRY_WINDOW;
}

static enum jp_entry_kind take_gap(struct jp_history *history, const struct jp_frame *frame)
{
    static const struct jp_run nameless;

    if (jp_gap_decode(&history->gap, frame->payload, frame->size))
        return jp_history_senseless(history, "a GAP that cannot be understood");
    history->gap_run = &nameless;
    if (history->run_known && history->gap.run == history->run.id)
        history->gap_run = &history->run;
    else if (history->gap.run == history->run_before.id)
        history->gap_run = &history->run_before;
    jp_history_place(history, history->gap.t0_ms);
    return JP_ENTRY_GAP;
}

static enum jp_entry_kind take(struct jp_history *history, const struct jp_frame *frame)
{
    history->at = frame->at;
    history->frame = *frame;
    switch (frame->type) {
    case JP_FRAME_RUN:
        return take_run(history, frame);
    case JP_FRAME_WINDOW:
        return take_window(history, frame);
    case JP_FRAME_BLOCK:
        return jp_history_take_block(history, frame);
    case JP_FRAME_GAP:
        return take_gap(history, frame);
    case JP_FRAME_EVENT:
        if (jp_event_decode(&history->event, frame->payload, frame->size))
            return jp_history_senseless(history, "an EVENT that cannot be understood");
        jp_history_place(history, history->event.boot_ms);
        return JP_ENTRY_EVENT;
    case JP_FRAME_ANCHOR:
        if (jp_anchor_decode(&history->anchor, frame->payload, frame->size))
            return jp_history_senseless(history, "an ANCHOR that cannot be understood");
        jp_history_place(history, history->anchor.boot_ms);
        return JP_ENTRY_ANCHOR;
    default:
        return JP_ENTRY_END;
    }
}

enum jp_entry_kind jp_history_next(struct jp_history *history)
{
    struct jp_frame frame;

    for (;;) {
        enum jp_entry_kind kind = history->in_block ? jp_history_next_of_block(history) : JP_ENTRY_END;

        if (kind != JP_ENTRY_END)
            return kind;
        switch (jp_walk_next(&history->walk, &frame)) {
        case JP_WALK_END:
            return JP_ENTRY_END;
        case JP_WALK_FLAW:
            history->at = history->walk.flaw.at;
            return JP_ENTRY_FLAW;
        case JP_WALK_SEGMENT:
            if (begin_segment(history))
                history->boot = -1;
            break;
        case JP_WALK_FRAME:
            kind = take(history, &frame);
            if (kind != JP_ENTRY_END)
                return kind;
            break;
        }
    }
}
