// SPDX-License-Identifier: Apache-2.0
// The order of frames: RUN and ANCHOR before a segment's first window, a pending gap before the next window.
#include "record.h"

#include "notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANCHOR_STEP_MS 100
#define SYNC_WINDOWS 10
#define BRIDGE_SEGMENTS 4 // the last run's last window lies in one of the newest

static int64_t boot_ms(const struct jp_record *record)
{
    return record->clock->boot_ns(record->clock) / JP_NS_PER_MS;
}

static int64_t real_ms(const struct jp_record *record)
{
    return record->clock->real_ns(record->clock) / JP_NS_PER_MS;
}

// Frames ------------------------------------------------------------------------------------------
static int append(struct jp_record *record, uint8_t type, int size)
{
    return size < 0 ? size : jp_hot_append(&record->hot, type, record->payload, (size_t)size);
}

static int put_anchor(struct jp_record *record)
{
    return append(record, JP_FRAME_ANCHOR, jp_anchor_encode(&record->anchor, record->payload, sizeof record->payload));
}

// A segment stands alone: post may have released the one that had the run.
static int put_run(struct jp_record *record)
{
    int rc = append(record, JP_FRAME_RUN, jp_run_encode(record->run, record->payload, sizeof record->payload));

    if (rc)
        return rc;
    record->told_segment = record->hot.header.number;
    return put_anchor(record);
}

static int begin_segment(struct jp_record *record)
{
    return record->hot.fd >= 0 && record->told_segment == record->hot.header.number ? 0 : put_run(record);
}

// Pending gaps -----------------------------------------------------------------------------------
// The file tells of them until the next window is appended: only that makes the spool's counters the later ones.
static int put_gaps(struct jp_record *record)
{
    struct jp_pending *pending = &record->pending;
    int appended = 0;

    while (pending->gap_count > 0) {
        int size = jp_gap_encode(&pending->gaps[0], record->payload, sizeof record->payload);
        int rc = append(record, JP_FRAME_GAP, size);

        if (rc)
            return rc;
        jp_pending_drop(pending);
        appended++;
    }
    if (appended > 0)
        jp_record_wake(record);
    return 0;
}

static int try_window(struct jp_record *record, const struct jp_window *window)
{
    int rc = begin_segment(record);

    if (rc == 0)
        rc = put_gaps(record);
    if (rc)
        return rc;
    return append(record, JP_FRAME_WINDOW, jp_window_encode(window, record->payload, sizeof record->payload));
}

int jp_record_window(struct jp_record *record, const struct jp_window *window)
{
    bool border = (window->seq + 1) % (uint64_t)record->run->block_windows == 0;
    int rc = try_window(record, window);

    if (rc)
        jp_pending_fold(&record->pending, window, rc == -ENOSPC ? "hot_full" : "io_error");
    else if (record->pending.stale || border) // the border may begin a segment, which has no window yet
        jp_pending_save(&record->pending, record->run, window);
    if (border) {
        // After another failure the next append tries again.
        record->gone = jp_hot_border(&record->hot, boot_ms(record), real_ms(record)) == -ESTALE;
        jp_record_wake(record);
    }
    record->failing = -rc;
    return rc;
}

int jp_record_event(struct jp_record *record, const char *kind, const char *channel, const char *detail)
{
    struct jp_event event = {.boot_ms = boot_ms(record)};
    int rc;

    snprintf(event.kind, sizeof event.kind, "%s", kind);
    snprintf(event.channel, sizeof event.channel, "%s", channel);
    snprintf(event.detail, sizeof event.detail, "%s", detail);
    rc = jp_record_event_at(record, &event);
    if (rc == 0)
        jp_record_wake(record);
    return rc;
}

int jp_record_event_at(struct jp_record *record, struct jp_event *event)
{
    int rc = begin_segment(record);

    event->run = record->run->id;
    return rc ? rc : append(record, JP_FRAME_EVENT, jp_event_encode(event, record->payload, sizeof record->payload));
}

void jp_record_wake(const struct jp_record *record)
{
    jp_notify_wake(record->notify_fd, record->wake_path); // nobody may be listening
}

int jp_record_run(struct jp_record *record)
{
    return put_run(record);
}

// The clock --------------------------------------------------------------------------------------
static void ask_kernel(struct jp_record *record, struct jp_anchor *anchor)
{
    anchor->clock = (int)record->clock->sync(record->clock, &anchor->err_ms);
    record->sync_in = SYNC_WINDOWS;
    if (!record->anchored || anchor->clock != record->anchor.clock)
        snprintf(record->hot.header.clock, sizeof record->hot.header.clock, "%s",
                 jp_clock_state_name((enum jp_clock_state)anchor->clock));
}

void jp_record_clock(struct jp_record *record)
{
    struct jp_anchor now = record->anchor;
    bool moved;

    now.boot_ms = boot_ms(record);
    now.off_ms = real_ms(record) - now.boot_ms;
    moved = !record->anchored || llabs(now.off_ms - record->anchor.off_ms) > ANCHOR_STEP_MS;
    if (moved || --record->sync_in <= 0)
        ask_kernel(record, &now);
    if (!moved && now.clock == record->anchor.clock)
        return;
    record->anchor = now;
    record->anchored = begin_segment(record) == 0 && put_anchor(record) == 0;
}

// The start --------------------------------------------------------------------------------------
// What a walk through the newest segments found. The last window is decoded only when it is known to be the last.
struct look {
    struct jp_run runs[2]; // the newest, and that of the last window where it is another
    bool known[2];
    int newest, with;
    size_t window_size; // in record->payload
};

static void see_run(struct jp_record *record, const struct jp_frame *frame, struct look *look)
{
    if (look->window_size > 0 && look->with == look->newest)
        look->newest = !look->newest;
    look->known[look->newest] = jp_run_decode(&look->runs[look->newest], frame->payload, frame->size) == 0 &&
                                strcmp(look->runs[look->newest].boot, record->run->boot) == 0;
}

static void see_frame(struct jp_record *record, const struct jp_frame *frame, struct look *look)
{
    static struct jp_gap gap; // large

    if (frame->type == JP_FRAME_RUN) {
        see_run(record, frame, look);
    } else if (frame->type == JP_FRAME_WINDOW && look->known[look->newest] && frame->size <= sizeof record->payload) {
        memcpy(record->payload, frame->payload, frame->size);
        look->window_size = frame->size;
        look->with = look->newest;
    } else if (frame->type == JP_FRAME_GAP && jp_gap_decode(&gap, frame->payload, frame->size) == 0) {
        jp_pending_forget(&record->pending, &gap);
    }
}

static void walk(struct jp_record *record, struct look *look)
{
    struct jp_hot_reader reader;
    struct jp_frame frame;
    struct jp_pos from = {0, 0};
    uint64_t next, highest;
    int found;

    if (jp_segment_find(record->fs, record->dir, 0, &next, &highest))
        return;
    if (highest > BRIDGE_SEGMENTS)
        from.segment = highest - BRIDGE_SEGMENTS + 1;
    if (jp_hot_reader_open(&reader, record->fs, record->dir, from))
        return;
    while ((found = jp_hot_reader_next(&reader, &frame)) == JP_HOT_FRAME || found == JP_HOT_DAMAGED)
        if (found == JP_HOT_FRAME)
            see_frame(record, &frame, look);
    jp_hot_reader_close(&reader);
}

// A window in the file may be newer than all in the spool, or older: their ends tell.
static void look_back(struct jp_record *record, struct jp_bridge *bridge)
{
    struct look look = {.window_size = 0};
    const struct jp_run *run;
    struct jp_window window;

    walk(record, &look);
    if (look.window_size == 0 || jp_window_decode(&window, record->payload, look.window_size))
        return;
    run = &look.runs[look.with];
    if (window.run != run->id ||
        (bridge->known && window.t0_ms + window.span_ms < bridge->window.t0_ms + bridge->window.span_ms))
        return;
    bridge->run = *run;
    bridge->window = window;
    bridge->known = true;
}

static int open_pending(struct jp_record *record, struct jp_bridge *bridge)
{
    int rc;

    record->pending.clock = record->clock;
    record->pending.fs = record->fs;
    record->pending.run = record->run;
    rc = jp_pending_open(&record->pending, record->dir, bridge);
    if (rc)
        return rc;
    look_back(record, bridge);
    // Before this run has a segment: however many die before their first window, the counters are handed on.
    jp_pending_save(&record->pending, &bridge->run, bridge->known ? &bridge->window : NULL);
    return 0;
}

static int open_hot(struct jp_record *record, const struct jp_entropy *entropy)
{
    struct jp_segment_header header = {.boot_ms = boot_ms(record), .real_ms = real_ms(record)};
    uint64_t id[2] = {entropy->u64(entropy), entropy->u64(entropy)};

    memcpy(header.spool_id, id, sizeof header.spool_id);
    snprintf(header.device, sizeof header.device, "%s", record->run->device);
    snprintf(header.boot, sizeof header.boot, "%s", record->run->boot);
    snprintf(header.tool, sizeof header.tool, "%s", JOULEPOST_VERSION);
    snprintf(header.clock, sizeof header.clock, "%s", jp_clock_state_name(record->clock->sync(record->clock, NULL)));
    return jp_hot_open(&record->hot, record->fs, record->dir, record->max_bytes, &header);
}

int jp_record_open(struct jp_record *record, const struct jp_entropy *entropy, struct jp_bridge *bridge)
{
    int rc, n = snprintf(record->wake_path, sizeof record->wake_path, "%s/wake", record->dir);

    memset(bridge, 0, sizeof *bridge);
    if (n < 0 || (size_t)n >= sizeof record->wake_path)
        return -ENAMETOOLONG;
    rc = open_pending(record, bridge);
    if (rc)
        return rc;
    rc = open_hot(record, entropy);
    if (rc) {
        jp_pending_close(&record->pending);
        return rc;
    }
    put_gaps(record); // of the run before, so before RUN; if there is no room, before the first window
    jp_record_clock(record);
    return 0;
}

void jp_record_close(struct jp_record *record)
{
    jp_hot_close(&record->hot);
    jp_pending_close(&record->pending);
    jp_record_wake(record);
}
