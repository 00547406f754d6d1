// SPDX-License-Identifier: Apache-2.0
// From the hot spool into the queue: windows become blocks, the rest goes as it is.
#include "posting_parts.h"

#include "log.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

bool jp_post_has_room(const struct jp_post *post)
{
    return jp_post_queue_room(&post->fresh, post->block.count > 0 ? post->block.bytes : 0);
}

static uint64_t run_no(const struct jp_post *post)
{
    const struct jp_post_run_no *no = jp_post_run_no(post, post->run.id);

    return no ? no->run_no : 0;
}

// Closes the block at hand: from here on its bytes do not change.
static void flush(struct jp_post *post)
{
    struct jp_post_queue *fresh = &post->fresh;
    struct jp_post_item item = {
        .kind = JP_POST_BLOCK,
        .at = post->block_at,
        .before = post->block_before,
        .anchor = post->anchor,
        .born_ns = jp_post_now_ns(post),
        .run = post->run.id,
        .run_no = run_no(post),
        .last_seq = post->block.seq + (uint64_t)post->block.count - 1,
        .windows = post->block.count,
        .frame_bytes = post->block_frame_bytes,
    };
    int n;

    if (post->block.count == 0)
        return;
    n = jp_block_encode(&post->block, fresh->bytes + fresh->used, JP_POST_QUEUE_BYTES - fresh->used);
    assert(n > 0);
    item.size = (size_t)n;
    jp_post_queue_put(fresh, &item, fresh->bytes + fresh->used);
    jp_block_clear(&post->block);
    post->block_frame_bytes = 0;
}

void jp_post_enqueue(struct jp_post *post, enum jp_post_kind kind, const struct jp_frame *frame)
{
    const struct jp_post_item item = {
        .kind = kind,
        .at = frame->at,
        .next = frame->next,
        .before = post->anchor,
        .anchor = post->anchor,
        .born_ns = jp_post_now_ns(post),
        .size = frame->size,
    };

    jp_post_queue_put(&post->fresh, &item, frame->payload);
}

static void uncount(struct jp_post *post, const struct jp_frame *frame)
{
    post->pending_windows--;
    post->pending_bytes -= frame->next.offset - frame->at.offset;
}

// Put into the durable spool before a kill, and not released here.
static bool is_stored(const struct jp_post *post)
{
    const struct jp_post_store *store = &post->store;

    return store->last_known && post->window.run == store->last_run && post->window.seq <= store->last_seq;
}

static void pack(struct jp_post *post, const struct jp_frame *frame)
{
    int rc = -EBADMSG;

    if (post->run_known && post->window.run == post->run.id) {
        jp_post_seen_window(post, frame);
        if (is_stored(post)) {
            uncount(post, frame);
            return;
        }
        rc = jp_block_add(&post->block, &post->window);
    }
    if (rc == -EXDEV) {
        flush(post);
        rc = jp_block_add(&post->block, &post->window);
    }
    if (rc) { // its RUN frame was damaged: nobody can say what its columns are
        jp_post_damaged(post, frame);
        uncount(post, frame);
        return;
    }
    if (post->block.count == 1) {
        post->block_at = frame->at;
        post->block_before = post->anchor;
    }
    post->block_frame_bytes += frame->next.offset - frame->at.offset;
    if (jp_block_full(&post->block))
        flush(post);
}

int jp_post_adopt_run(struct jp_post *post, const void *payload, size_t size)
{
    uint8_t *before = post->run_before_payload;
    int rc;

    post->run_before = post->run;
    rc = jp_run_decode(&post->run, payload, size);
    jp_block_end(&post->block);
    post->run_known = false;
    if (rc == 0)
        rc = jp_block_begin(&post->block, &post->run, post->run.columns);
    if (rc)
        return rc;
    post->run_before_payload = post->run_payload;
    post->run_before_size = post->run_size;
    post->run_payload = before;
    memmove(post->run_payload, payload, size);
    post->run_size = size;
    post->run_known = true;
    return 0;
}

// Before the first ANCHOR of a boot the segment's own header says when it was opened.
static void anchor_from_header(struct jp_post *post)
{
    const struct jp_segment_header *header = &post->tail.file.header;
    struct jp_anchor anchor = {.boot_ms = header->boot_ms, .off_ms = header->real_ms - header->boot_ms, .err_ms = -1};

    if (post->anchor.known || header->version == 0)
        return;
    anchor.clock = strcmp(header->clock, "synced") == 0 ? JP_CLOCK_SYNCED : JP_CLOCK_UNSYNCED;
    post->anchor = (struct jp_post_anchor){true, anchor};
    if (!post->latest.known)
        post->latest = post->anchor;
}

static void enqueue_run(struct jp_post *post, const struct jp_frame *frame, const struct jp_run *run)
{
    static uint8_t bytes[JP_POST_RECORD_MAX];
    struct jp_frame made = {.at = frame->at, .next = frame->next, .payload = bytes};
    int size = jp_post_run_frame(jp_post_number(post, run->id), frame, bytes, sizeof bytes);

    if (size < 0) { // larger than any that meter writes
        jp_post_damaged(post, frame);
        return;
    }
    made.size = (size_t)size;
    post->barred = true;
    jp_post_enqueue(post, JP_POST_RUN, &made);
    size = jp_post_run_event(post, run, bytes, sizeof bytes);
    made.size = size > 0 ? (size_t)size : 0;
    if (size > 0)
        jp_post_enqueue(post, JP_POST_EVENT, &made);
}

// A change of its facts goes on to the cursor and to the segments on flash that begin from now on.
static void renew_run(struct jp_post *post, const struct jp_frame *frame, const struct jp_run *run)
{
    static uint8_t bytes[JP_POST_RECORD_MAX];
    int size;

    if (strcmp(run->facts.power_mode, post->run.facts.power_mode) == 0)
        return;
    size = jp_post_run_frame(jp_post_number(post, run->id), frame, bytes, sizeof bytes);
    if (size < 0)
        return;
    post->run.facts = run->facts;
    memcpy(post->run_payload, bytes, (size_t)size);
    post->run_size = (size_t)size;
}

static void take_run(struct jp_post *post, const struct jp_frame *frame)
{
    static struct jp_run run; // large

    if (jp_run_decode(&run, frame->payload, frame->size)) {
        jp_post_damaged(post, frame);
        return;
    }
    if (post->run_known && run.id == post->run.id) {
        renew_run(post, frame, &run);
        return; // said again at the start of a segment
    }
    flush(post);
    if (post->run_known && strcmp(run.boot, post->run.boot) != 0) {
        post->anchor.known = false;
        anchor_from_header(post);
    }
    enqueue_run(post, frame, &run);
}

static void take_event(struct jp_post *post, const struct jp_frame *frame, bool told)
{
    struct jp_event event;
    bool stop;

    // A run's start is said with what only post knows of it.
    if (!told && (!jp_post_is_of_run(frame, &event, &stop) || stop))
        jp_post_enqueue(post, JP_POST_EVENT, frame);
}

static void take(struct jp_post *post, const struct jp_frame *frame)
{
    bool told = jp_pos_compare(frame->at, post->told) < 0;
    static struct jp_gap gap; // large
    struct jp_anchor anchor;

    if (frame->type != JP_FRAME_WINDOW && frame->size > JP_POST_RECORD_MAX)
        return; // of no type we know
    switch (frame->type) {
    case JP_FRAME_WINDOW:
        pack(post, frame);
        break;
    case JP_FRAME_RUN:
        take_run(post, frame);
        break;
    case JP_FRAME_ANCHOR:
        if (jp_anchor_decode(&anchor, frame->payload, frame->size) == 0)
            post->anchor = (struct jp_post_anchor){true, anchor};
        break;
    case JP_FRAME_EVENT:
        take_event(post, frame, told);
        break;
    case JP_FRAME_GAP:
        flush(post);
        if (jp_gap_decode(&gap, frame->payload, frame->size) == 0)
            jp_post_seen_gap(post, &gap);
        if (!told)
            jp_post_enqueue(post, JP_POST_GAP, frame);
        break;
    case JP_FRAME_SEAL:
        flush(post);
        break;
    default:
        break;
    }
}

static void hot_error(struct jp_post *post, int rc)
{
    if (!(post->degraded & JP_POST_HOT_ERROR))
        jp_log_error("cannot read the hot spool in %s: %s", post->in->config->paths_hot, strerror(-rc));
    post->degraded |= JP_POST_HOT_ERROR;
}

// The window of the frame into scratch. False: no window, or a damaged one.
static bool decoded(struct jp_post *post, const struct jp_frame *frame)
{
    return frame->type == JP_FRAME_WINDOW && jp_window_decode(&post->window, frame->payload, frame->size) == 0;
}

static void look_ahead(struct jp_post *post)
{
    struct jp_frame frame;
    int rc;

    if (!post->ahead.file.buffer || jp_pos_compare(post->ahead.at, post->head) != 0) {
        jp_hot_reader_close(&post->ahead);
        rc = jp_hot_reader_open(&post->ahead, post->in->fs, post->in->config->paths_hot, post->head);
        if (rc) {
            hot_error(post, rc);
            return;
        }
    }
    while ((rc = jp_hot_reader_next(&post->ahead, &frame)) == JP_HOT_FRAME || rc == JP_HOT_DAMAGED) {
        bool window = rc == JP_HOT_FRAME && decoded(post, &frame);

        if (rc == JP_HOT_FRAME)
            jp_post_note(post, &frame, window ? &post->window : NULL);
        else
            post->head = frame.next;
    }
    if (rc < 0)
        hot_error(post, rc);
}

// Takes frames until there are none, there is no room, or a RUN waits. What the reader said last.
static int take_all(struct jp_post *post)
{
    struct jp_frame frame;
    int rc = JP_HOT_FRAME;

    while (!post->barred && jp_post_has_room(post)) {
        bool window;

        rc = jp_hot_reader_next(&post->tail, &frame);
        if (rc == JP_HOT_NOT_YET || rc < 0)
            break;
        anchor_from_header(post);
        window = rc == JP_HOT_FRAME && decoded(post, &frame);
        if (rc == JP_HOT_DAMAGED || (frame.type == JP_FRAME_WINDOW && !window)) {
            flush(post);
            if (!(post->degraded & JP_POST_DAMAGED))
                jp_log_warning("damaged bytes in the hot spool, segment %llu at %lld",
                               (unsigned long long)frame.at.segment, (long long)frame.at.offset);
            jp_post_damaged(post, &frame);
            continue;
        }
        jp_post_note(post, &frame, window ? &post->window : NULL);
        take(post, &frame);
    }
    return rc;
}

// A RUN that nothing stands before any more.
static bool pass_run(struct jp_post *post)
{
    struct jp_post_queue *fresh = &post->fresh;

    if (!post->barred || fresh->items[0].kind != JP_POST_RUN)
        return false;
    post->run_at = fresh->items[0].at;
    if (jp_post_adopt_run(post, fresh->bytes, fresh->items[0].size))
        jp_log_error("a run cannot be packed: its windows are passed over");
    post->barred = false;
    jp_post_queue_drop(fresh, 1);
    return true;
}

void jp_post_read(struct jp_post *post)
{
    int rc;

    do
        rc = take_all(post);
    while (pass_run(post));
    if (rc < 0)
        hot_error(post, rc);
    else if (rc == JP_HOT_NOT_YET)
        post->degraded &= ~(unsigned)JP_POST_HOT_ERROR;
    post->stalled = post->barred || !jp_post_has_room(post);
    if (post->stalled) {
        look_ahead(post);
        return;
    }
    if (post->ahead.file.buffer)
        jp_hot_reader_close(&post->ahead);
}
