// SPDX-License-Identifier: Apache-2.0
// From the hot spool into the queue: windows become blocks, the rest goes as it is.
#include "posting_parts.h"

#include "log.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static size_t free_bytes(const struct jp_post *post)
{
    return JP_POST_QUEUE_BYTES - post->used;
}

// A frame may end a block and be an item itself.
int jp_post_queue_room(const struct jp_post *post)
{
    size_t block = post->block.count > 0 ? post->block.bytes : 0;

    return post->item_count + 2 <= JP_POST_ITEMS && free_bytes(post) >= block + JP_POST_RECORD_MAX;
}

void jp_post_drop(struct jp_post *post, int count)
{
    size_t size = 0;

    for (int i = 0; i < count; i++)
        size += post->items[i].size;
    memmove(post->bytes, post->bytes + size, post->used - size);
    memmove(post->items, post->items + count, (size_t)(post->item_count - count) * sizeof post->items[0]);
    post->used -= size;
    post->item_count -= count;
}

// Closes the block at hand: from here on its bytes do not change.
static void flush(struct jp_post *post)
{
    struct jp_post_item *item = &post->items[post->item_count];
    int n;

    if (post->block.count == 0)
        return;
    n = jp_block_encode(&post->block, post->bytes + post->used, free_bytes(post));
    assert(n > 0 && post->item_count < JP_POST_ITEMS);
    *item = (struct jp_post_item){
        .kind = JP_POST_BLOCK,
        .at = post->block_at,
        .before = post->block_before,
        .anchor = post->anchor,
        .size = (size_t)n,
        .last_seq = post->block.seq + (uint64_t)post->block.count - 1,
        .windows = post->block.count,
        .frame_bytes = post->block_frame_bytes,
    };
    post->used += (size_t)n;
    post->item_count++;
    jp_block_clear(&post->block);
    post->block_frame_bytes = 0;
}

void jp_post_enqueue(struct jp_post *post, enum jp_post_kind kind, const struct jp_frame *frame)
{
    assert(post->item_count < JP_POST_ITEMS && free_bytes(post) >= frame->size);
    post->items[post->item_count++] = (struct jp_post_item){
        .kind = kind,
        .at = frame->at,
        .next = frame->next,
        .before = post->anchor,
        .anchor = post->anchor,
        .size = frame->size,
    };
    memcpy(post->bytes + post->used, frame->payload, frame->size);
    post->used += frame->size;
}

static void count_lost(struct jp_post *post, const char *reason, const struct jp_lost *more)
{
    for (int i = 0; i < JP_LOST_MAX; i++) {
        struct jp_lost *one = &post->lost[i];

        if (one->reason && strcmp(one->reason, reason) != 0)
            continue;
        one->mj_known = (one->windows == 0 || one->mj_known) && more->mj_known;
        one->reason = reason;
        one->windows += more->windows;
        one->ms += more->ms;
        one->mj += more->mj;
        return;
    }
}

static const char *reason_word(const char *text)
{
    static const char *const words[] = {"hot_full", "spool_full", "keep_days", "refused", "damaged", "io_error"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i], text) == 0)
            return words[i];
    return "damaged";
}

// A gap of an early writer does not say by itself.
static bool of_total(const struct jp_post *post, const struct jp_gap *gap, int c)
{
    const struct jp_run *run = &post->head_run;

    if (gap->named)
        return gap->total_known && gap->in_total[c];
    return post->head_run_known && gap->run == run->id && run->total_known && run->channels[c].in_total;
}

void jp_post_lost(struct jp_post *post, const struct jp_gap *gap)
{
    struct jp_lost lost = {.windows = gap->windows, .ms = gap->span_ms};

    for (int c = 0; c < gap->channel_count; c++) {
        if (!gap->known[c] || !of_total(post, gap, c))
            continue;
        lost.mj += gap->mj[c];
        lost.mj_known = true;
    }
    count_lost(post, reason_word(gap->reason), &lost);
}

static void note_window(struct jp_post *post, const struct jp_frame *frame, const struct jp_window *window)
{
    post->pending_windows++;
    post->pending_bytes += frame->next.offset - frame->at.offset;
    if (!post->head_run_known || window->run != post->head_run.id)
        return;
    post->newest = *window;
    post->newest_known = true;
    post->newest_ns = post->in->clock->mono_ns(post->in->clock);
    jp_registers_count(&post->registers, window);
}

static void note_run(struct jp_post *post, const struct jp_frame *frame)
{
    static struct jp_run run; // large

    if (jp_run_decode(&run, frame->payload, frame->size) || (post->head_run_known && run.id == post->head_run.id))
        return;
    post->head_run = run;
    post->head_run_known = true;
    jp_registers_begin(&post->registers, &post->head_run);
}

// What live, status and the clock's repair need of a frame, each frame once.
static void note(struct jp_post *post, const struct jp_frame *frame, const struct jp_window *window)
{
    struct jp_anchor anchor;
    static struct jp_gap gap;

    if (jp_pos_compare(frame->at, post->head) < 0)
        return;
    post->head = frame->next;
    if (frame->type == JP_FRAME_RUN)
        note_run(post, frame);
    else if (frame->type == JP_FRAME_WINDOW && window)
        note_window(post, frame, window);
    else if (frame->type == JP_FRAME_GAP && jp_gap_decode(&gap, frame->payload, frame->size) == 0)
        jp_post_lost(post, &gap);
    else if (frame->type == JP_FRAME_ANCHOR && jp_anchor_decode(&anchor, frame->payload, frame->size) == 0)
        post->latest = (struct jp_post_anchor){true, anchor};
}

static void pack(struct jp_post *post, const struct jp_frame *frame)
{
    int rc = -EBADMSG;

    if (post->run_known && post->window.run == post->run.id) {
        jp_post_seen_window(post, frame);
        rc = jp_block_add(&post->block, &post->window);
    }
    if (rc == -EXDEV) {
        flush(post);
        rc = jp_block_add(&post->block, &post->window);
    }
    if (rc) { // its RUN frame was damaged: nobody can say what its columns are
        jp_post_damaged(post, frame);
        post->pending_windows--;
        post->pending_bytes -= frame->next.offset - frame->at.offset;
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
    int rc;

    post->run_before = post->run;
    rc = jp_run_decode(&post->run, payload, size);
    jp_block_end(&post->block);
    post->run_known = false;
    if (rc == 0)
        rc = jp_block_begin(&post->block, &post->run, post->run.columns);
    if (rc)
        return rc;
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

    if (post->spool_id[0] == '\0' && header->version > 0)
        for (size_t i = 0; i < sizeof header->spool_id; i++)
            for (int half = 0; half < 2; half++)
                post->spool_id[2 * i + (size_t)half] = "0123456789abcdef"[header->spool_id[i] >> (half ? 0 : 4) & 15];
    if (post->anchor.known || header->version == 0)
        return;
    anchor.clock = strcmp(header->clock, "synced") == 0 ? JP_CLOCK_SYNCED : JP_CLOCK_UNSYNCED;
    post->anchor = (struct jp_post_anchor){true, anchor};
    if (!post->latest.known)
        post->latest = post->anchor;
}

static void take_run(struct jp_post *post, const struct jp_frame *frame)
{
    static struct jp_run run; // large

    if (jp_run_decode(&run, frame->payload, frame->size)) {
        jp_post_damaged(post, frame);
        return;
    }
    if (post->run_known && run.id == post->run.id)
        return; // said again at the start of a segment
    flush(post);
    if (post->run_known && strcmp(run.boot, post->run.boot) != 0) {
        post->anchor.known = false;
        anchor_from_header(post);
    }
    jp_post_enqueue(post, JP_POST_RUN, frame);
    post->items[post->item_count - 1].began_ms = post->tail.file.header.boot_ms;
    post->barred = true;
}

// The event of a run's start is said from its RUN frame: with what only post knows of it.
static bool of_run(const struct jp_frame *frame)
{
    struct jp_event event;

    return jp_event_decode(&event, frame->payload, frame->size) == 0 && strcmp(event.kind, "run") == 0;
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
        if (!told && !of_run(frame))
            jp_post_enqueue(post, JP_POST_EVENT, frame);
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
            note(post, &frame, window ? &post->window : NULL);
        else
            post->head = frame.next;
    }
    if (rc < 0)
        hot_error(post, rc);
}

void jp_post_read(struct jp_post *post)
{
    struct jp_frame frame;
    int rc = JP_HOT_FRAME;

    while (!post->barred && jp_post_queue_room(post)) {
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
        note(post, &frame, window ? &post->window : NULL);
        take(post, &frame);
    }
    if (rc < 0)
        hot_error(post, rc);
    else if (rc == JP_HOT_NOT_YET)
        post->degraded &= ~(unsigned)JP_POST_HOT_ERROR;
    post->stalled = post->barred || !jp_post_queue_room(post);
    if (post->stalled) {
        look_ahead(post);
        return;
    }
    if (post->ahead.file.buffer)
        jp_hot_reader_close(&post->ahead);
}
