// SPDX-License-Identifier: Apache-2.0
// The order of frames: RUN and ANCHOR before a segment's first window, a pending gap before the next window.
#include "record.h"

#include "cbor.h"
#include "notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANCHOR_STEP_MS 100
#define SYNC_WINDOWS 10
#define BRIDGE_SEGMENTS 4 // the last run's last window lies in one of the newest
#define BOOT_BYTES sizeof((struct jp_run *)0)->boot

static int64_t boot_ms(const struct jp_record *record)
{
    return record->clock->boot_ns(record->clock) / JP_NS_PER_MS;
}

static int64_t real_ms(const struct jp_record *record)
{
    return record->clock->real_ns(record->clock) / JP_NS_PER_MS;
}

static void wake(const struct jp_record *record)
{
    jp_notify_wake(record->notify_fd, record->wake_path); // nobody may be listening
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
// In the slots file: the boot, then a CBOR array: the channels' names, the last window folded (it has the raw
// counters) and the gaps, as byte strings.
static void pending_save(struct jp_record *record, const struct jp_window *window)
{
    uint8_t bytes[JP_PENDING_MAX];
    struct jp_cbor_out out;
    int size;

    memcpy(bytes, record->run->boot, BOOT_BYTES);
    jp_cbor_out_init(&out, bytes + BOOT_BYTES, sizeof bytes - BOOT_BYTES);
    jp_cbor_put_array(&out, (size_t)record->gap_count + 2);
    jp_cbor_put_array(&out, (size_t)record->run->channel_count);
    for (int i = 0; i < record->run->channel_count; i++)
        jp_cbor_put_text(&out, record->run->channels[i].name);
    size = jp_window_encode(window, record->payload, sizeof record->payload);
    jp_cbor_put_bytes(&out, record->payload, size < 0 ? 0 : (size_t)size);
    for (int i = 0; i < record->gap_count; i++) {
        size = jp_gap_encode(&record->gaps[i], record->payload, sizeof record->payload);
        jp_cbor_put_bytes(&out, record->payload, size < 0 ? 0 : (size_t)size);
    }
    if (!out.failed)
        jp_slots_put(&record->slots, bytes, BOOT_BYTES + out.used, false);
}

static void drop_first_gap(struct jp_record *record)
{
    record->gap_count--;
    memmove(record->gaps, record->gaps + 1, (size_t)record->gap_count * sizeof record->gaps[0]);
}

static void fold(struct jp_record *record, const struct jp_window *window, int error)
{
    if (record->gap_count == 0 || record->gaps[record->gap_count - 1].run != window->run) {
        if (record->gap_count == JP_PENDING_GAPS_MAX)
            drop_first_gap(record);
        record->gaps[record->gap_count++].windows = 0;
    }
    jp_gap_fold(&record->gaps[record->gap_count - 1], record->run, window, error == -ENOSPC ? "hot_full" : "io_error");
    pending_save(record, window);
}

// Appends the gaps that wait. The file is cleared last: a crash in between leaves one that is there already,
// which the next start sees.
static int put_gaps(struct jp_record *record)
{
    if (record->gap_count == 0)
        return 0;
    while (record->gap_count > 0) {
        int rc = append(record, JP_FRAME_GAP, jp_gap_encode(&record->gaps[0], record->payload, sizeof record->payload));

        if (rc)
            return rc;
        drop_first_gap(record);
    }
    jp_slots_put(&record->slots, "", 0, false);
    wake(record);
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
        fold(record, window, rc);
    if (border) {
        jp_hot_border(&record->hot, boot_ms(record), real_ms(record)); // the next append tries again
        wake(record);
    }
    record->failing = -rc;
    return rc;
}

int jp_record_event(struct jp_record *record, const char *kind, const char *detail)
{
    struct jp_event event = {.run = record->run->id, .boot_ms = boot_ms(record)};
    int rc = begin_segment(record);

    snprintf(event.kind, sizeof event.kind, "%s", kind);
    snprintf(event.detail, sizeof event.detail, "%s", detail);
    if (rc == 0)
        rc = append(record, JP_FRAME_EVENT, jp_event_encode(&event, record->payload, sizeof record->payload));
    if (rc == 0)
        wake(record);
    return rc;
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
// Was it appended, and the file not cleared in time?
static void forget_written(struct jp_record *record, const struct jp_frame *frame)
{
    struct jp_gap written;

    if (record->gap_count == 0 || jp_gap_decode(&written, frame->payload, frame->size))
        return;
    if (written.run == record->gaps[0].run && written.first_seq == record->gaps[0].first_seq)
        drop_first_gap(record);
}

// What a walk through the newest segments found.
struct look {
    struct jp_run run;
    bool run_known;
    size_t window_size; // of the last window, in record->payload: decoded only if it is the last
};

static void see_frame(struct jp_record *record, const struct jp_frame *frame, struct look *look)
{
    if (frame->type == JP_FRAME_RUN) {
        look->run_known = jp_run_decode(&look->run, frame->payload, frame->size) == 0 &&
                          strcmp(look->run.boot, record->run->boot) == 0;
    } else if (frame->type == JP_FRAME_WINDOW && look->run_known && frame->size <= sizeof record->payload) {
        memcpy(record->payload, frame->payload, frame->size);
        look->window_size = frame->size;
    } else if (frame->type == JP_FRAME_GAP) {
        forget_written(record, frame);
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

// A window that waits in the file `gap` is newer than all that were written.
static void look_back(struct jp_record *record, struct jp_bridge *bridge)
{
    struct look look = {.window_size = 0};

    walk(record, &look);
    if (bridge->known || look.window_size == 0 || jp_window_decode(&bridge->window, record->payload, look.window_size))
        return;
    bridge->run = look.run;
    bridge->known = look.run_known && bridge->window.run == look.run.id;
}

// The names and raw counters of the last window folded.
static void take_last(struct jp_cbor_in *in, struct jp_bridge *bridge)
{
    size_t count = jp_cbor_get_array(in), length;
    const uint8_t *window;

    for (size_t i = 0; i < count && i < JP_CHANNELS_MAX && !in->failed; i++)
        jp_cbor_copy_text(in, bridge->run.channels[i].name, sizeof bridge->run.channels[i].name);
    window = jp_cbor_get_bytes(in, &length);
    if (in->failed || count > JP_CHANNELS_MAX || jp_window_decode(&bridge->window, window, length))
        return;
    bridge->run.id = bridge->window.run;
    bridge->run.channel_count = (int)count;
    bridge->known = true;
}

static void take_pending(struct jp_record *record, struct jp_bridge *bridge, const uint8_t *bytes, size_t size)
{
    struct jp_cbor_in in;
    size_t count, length;

    if (size < BOOT_BYTES || memcmp(bytes, record->run->boot, BOOT_BYTES) != 0)
        return;
    jp_cbor_in_init(&in, bytes + BOOT_BYTES, size - BOOT_BYTES);
    count = jp_cbor_get_array(&in);
    take_last(&in, bridge);
    for (size_t i = 2; i < count && !in.failed && record->gap_count < JP_PENDING_GAPS_MAX; i++) {
        const uint8_t *gap = jp_cbor_get_bytes(&in, &length);

        if (!in.failed && jp_gap_decode(&record->gaps[record->gap_count], gap, length) == 0)
            record->gap_count++;
    }
}

static int open_pending(struct jp_record *record, struct jp_bridge *bridge)
{
    char path[JP_PATH_MAX];
    uint8_t bytes[JP_PENDING_MAX];
    size_t size;
    int rc, n = snprintf(path, sizeof path, "%s/gap", record->dir);

    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    rc = jp_slots_open(&record->slots, record->fs, path, sizeof bytes + 24, bytes, &size, NULL);
    if (rc == 0)
        take_pending(record, bridge, bytes, size);
    return rc;
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
    look_back(record, bridge);
    rc = open_hot(record, entropy);
    if (rc) {
        jp_slots_close(&record->slots);
        return rc;
    }
    put_gaps(record); // of the run before, so before RUN; if there is no room, before the first window
    jp_record_clock(record);
    return 0;
}

void jp_record_close(struct jp_record *record)
{
    jp_hot_close(&record->hot);
    jp_slots_close(&record->slots);
    wake(record);
}
