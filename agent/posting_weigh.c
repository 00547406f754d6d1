// SPDX-License-Identifier: Apache-2.0
// What goes with a segment that nobody has released: its windows become gaps, its gaps and runs are handed on.
#include "posting_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void end_gap(struct jp_post *post, struct jp_spool *spool)
{
    static uint8_t bytes[JP_POST_RECORD_MAX];
    struct jp_post_store *store = &post->store;
    struct jp_gap *gap = &store->gap;
    int size;

    if (gap->windows == 0)
        return;
    size = jp_gap_encode(gap, bytes, sizeof bytes);
    if (size > 0)
        jp_spool_append(spool, JP_FRAME_GAP, bytes, (size_t)size);
    if (store->weighed_count < JP_POST_WEIGHED)
        store->weighed[store->weighed_count++] = *gap;
    else
        jp_gap_merge(&store->weighed[JP_POST_WEIGHED - 1], gap);
    gap->windows = 0;
}

static void weigh_block(struct jp_post *post, struct jp_spool *spool, const struct jp_frame *frame)
{
    struct jp_gap *gap = &post->store.gap;

    if (jp_post_gap_add(gap, frame->payload, frame->size, 0) != -EXDEV)
        return;
    end_gap(post, spool);
    jp_post_gap_add(gap, frame->payload, frame->size, 0);
}

static bool is_run_event(const struct jp_frame *frame)
{
    struct jp_event event;

    return jp_event_decode(&event, frame->payload, frame->size) == 0 && strcmp(event.kind, "run") == 0;
}

void jp_post_weigh(void *context, struct jp_spool *spool, enum jp_spool_reason reason,
                   const struct jp_segment_header *header, const struct jp_frame *frame)
{
    struct jp_post *post = context;
    struct jp_post_store *store = &post->store;

    (void)header;
    if (!store->weighing) {
        jp_post_weighed(post);
        store->gap.windows = 0;
        snprintf(store->gap.reason, sizeof store->gap.reason, "%s",
                 reason == JP_SPOOL_OLD ? "keep_days" : "spool_full");
        store->weighing = true;
    }
    if (!frame || frame->type == JP_FRAME_GAP)
        end_gap(post, spool);
    if (!frame)
        store->weighing = false;
    else if (frame->type == JP_FRAME_BLOCK)
        weigh_block(post, spool, frame);
    else if (frame->type == JP_FRAME_GAP || (frame->type == JP_FRAME_EVENT && is_run_event(frame)))
        jp_spool_append(spool, frame->type, frame->payload, frame->size);
}

// Frames of a segment that has gone are not sent any more.
static void forget_gone(struct jp_post *post)
{
    struct jp_post_queue *backlog = &post->backlog;
    int gone = 0;

    if (post->from == backlog && post->sending != JP_POST_IDLE)
        return; // under way: they may arrive as well
    while (gone < backlog->count && jp_pos_compare(backlog->items[gone].at, post->store.spool.cursor) < 0)
        gone++;
    if (gone > 0 && post->part_of == backlog)
        post->part = 0;
    jp_post_queue_drop(backlog, gone);
}

// A segment that was weighed may stay, when the disk fails: it is counted once it is gone.
void jp_post_weighed(struct jp_post *post)
{
    struct jp_post_store *store = &post->store;
    bool gone = store->spool.counts.dropped > store->dropped;

    if (!store->weighing && store->weighed_count == 0)
        return;
    for (int i = 0; i < store->weighed_count && gone; i++) {
        jp_post_lost(post, &store->weighed[i]);
        store->pending -= store->weighed[i].windows < store->pending ? store->weighed[i].windows : store->pending;
    }
    store->dropped = store->spool.counts.dropped;
    store->weighed_count = 0;
    store->weighing = false;
    if (gone)
        forget_gone(post);
}
