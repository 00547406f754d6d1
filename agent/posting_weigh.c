// SPDX-License-Identifier: Apache-2.0
// What goes with a segment that nobody has released: its windows become gaps, its gaps are handed on.
#include "posting_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

// What is handed on ------------------------------------------------------------------------------
static void append_gap(struct jp_spool *spool, const struct jp_gap *gap)
{
    static uint8_t bytes[JP_POST_RECORD_MAX];
    int size = jp_gap_encode(gap, bytes, sizeof bytes);

    if (size > 0)
        jp_spool_append(spool, JP_FRAME_GAP, bytes, (size_t)size);
}

static void take_out(struct jp_post_store *store, int at)
{
    store->carried_count--;
    memmove(store->carried + at, store->carried + at + 1,
            (size_t)(store->carried_count - at) * sizeof store->carried[0]);
}

static bool has_room(const struct jp_gap *gap, const struct jp_gap *later)
{
    int count = gap->channel_count;

    for (int c = 0; c < later->channel_count; c++) {
        int at = 0;

        while (at < gap->channel_count && strcmp(gap->names[at], later->names[c]) != 0)
            at++;
        count += at == gap->channel_count;
    }
    return count <= JP_CHANNELS_MAX;
}

// Joules are added by name: those of an early writer, which has none, are not for others.
static bool can_join(const struct jp_gap *gap, const struct jp_gap *later)
{
    return strcmp(gap->reason, later->reason) == 0 && gap->named == later->named &&
           (gap->named || gap->channel_count + later->channel_count == 0) && has_room(gap, later);
}

static bool is_row(const struct jp_gap *gap)
{
    return gap->last_seq >= gap->first_seq && gap->windows == gap->last_seq - gap->first_seq + 1;
}

// Whether both are one row of windows with one set of channels: nothing is lost by making them one.
static bool goes_on(const struct jp_gap *gap, const struct jp_gap *later)
{
    if (!can_join(gap, later) || gap->run != later->run || gap->last_seq + 1 != later->first_seq || !is_row(gap) ||
        !is_row(later) || gap->channel_count != later->channel_count || gap->total_known != later->total_known)
        return false;
    for (int c = 0; c < gap->channel_count; c++)
        if (strcmp(gap->names[c], later->names[c]) != 0 || gap->in_total[c] != later->in_total[c])
            return false;
    return true;
}

// The oldest two of one reason become one.
static void squeeze(struct jp_post_store *store, struct jp_spool *spool)
{
    for (int i = 0; i < store->carried_count; i++)
        for (int j = i + 1; j < store->carried_count; j++)
            if (can_join(&store->carried[i], &store->carried[j])) {
                jp_gap_merge(&store->carried[i], &store->carried[j]);
                take_out(store, j);
                return;
            }
    append_gap(spool, &store->carried[0]);
    take_out(store, 0);
}

static bool is_too_much(const struct jp_post_store *store)
{
    int channels = 0;

    for (int i = 0; i < store->carried_count; i++)
        channels += store->carried[i].channel_count;
    return store->carried_count >= JP_POST_CARRIED || channels > JP_POST_CARRIED_CHANNELS;
}

// What the spool's gaps take must shrink each time they are handed on, or gaps would fill it some day.
static void carry(struct jp_post_store *store, struct jp_spool *spool, const struct jp_gap *gap)
{
    for (int i = 0; i < store->carried_count; i++)
        if (goes_on(&store->carried[i], gap)) {
            jp_gap_merge(&store->carried[i], gap);
            store->carried[i].last_seq = gap->last_seq;
            return;
        }
    while (is_too_much(store))
        squeeze(store, spool);
    store->carried[store->carried_count++] = *gap;
}

static void carry_frame(struct jp_post_store *store, struct jp_spool *spool, const struct jp_frame *frame)
{
    static struct jp_gap gap; // large

    if (jp_gap_decode(&gap, frame->payload, frame->size) == 0)
        carry(store, spool, &gap);
}

// A run that goes on in the next segment is still to be told.
static void note_event(struct jp_post_store *store, const struct jp_frame *frame)
{
    struct jp_event event;

    if (frame->size > sizeof store->event || jp_event_decode(&event, frame->payload, frame->size) ||
        strcmp(event.kind, "run") != 0)
        return;
    memcpy(store->event, frame->payload, frame->size);
    store->event_size = frame->size;
    store->event_run = event.run;
}

static void append_carried(struct jp_post_store *store, struct jp_spool *spool)
{
    for (int i = 0; i < store->carried_count; i++)
        append_gap(spool, &store->carried[i]);
    if (store->event_size > 0 && store->event_run == store->weighed_run)
        jp_spool_append(spool, JP_FRAME_EVENT, store->event, store->event_size);
}

// Weighing ---------------------------------------------------------------------------------------
static void end_gap(struct jp_post *post, struct jp_spool *spool)
{
    struct jp_post_store *store = &post->store;
    struct jp_gap *gap = &store->gap;

    if (gap->windows == 0)
        return;
    carry(store, spool, gap);
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

static void begin(struct jp_post *post, enum jp_spool_reason reason)
{
    struct jp_post_store *store = &post->store;

    jp_post_weighed(post);
    store->weighed_count = 0;
    store->carried_count = 0;
    store->event_size = 0;
    store->weighed_run = 0;
    store->gap.windows = 0;
    snprintf(store->gap.reason, sizeof store->gap.reason, "%s", reason == JP_SPOOL_OLD ? "keep_days" : "spool_full");
    store->weighing = true;
}

static void end(struct jp_post *post, struct jp_spool *spool)
{
    end_gap(post, spool);
    append_carried(&post->store, spool);
    post->store.weighing = false;
}

void jp_post_weigh(void *context, struct jp_spool *spool, enum jp_spool_reason reason,
                   const struct jp_segment_header *header, const struct jp_frame *frame)
{
    struct jp_post *post = context;
    struct jp_post_store *store = &post->store;
    struct jp_post_run_no no;
    uint64_t stored;

    (void)header;
    if (!store->weighing)
        begin(post, reason);
    if (!frame) {
        end(post, spool);
    } else if (frame->type == JP_FRAME_BLOCK) {
        weigh_block(post, spool, frame);
    } else if (frame->type == JP_FRAME_GAP) {
        end_gap(post, spool);
        carry_frame(store, spool, frame);
    } else if (frame->type == JP_FRAME_EVENT) {
        note_event(store, frame);
    } else if (frame->type == JP_FRAME_RUN) {
        jp_post_run_read(frame->payload, frame->size, &no, &stored);
        store->weighed_run = no.id;
    }
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

// A segment that was weighed may stay, when the disk fails: it is counted once it is gone. If its gaps were forgotten
// meanwhile, it is weighed again.
void jp_post_weighed(struct jp_post *post)
{
    struct jp_post_store *store = &post->store;
    bool gone = store->spool.counts.dropped > store->dropped;

    store->dropped = store->spool.counts.dropped;
    for (int i = 0; i < store->weighed_count && gone; i++) {
        jp_post_lost(post, &store->weighed[i]);
        store->pending -= store->weighed[i].windows < store->pending ? store->weighed[i].windows : store->pending;
    }
    if (gone || store->spool.weighed == 0)
        store->weighed_count = 0;
    if (gone)
        forget_gone(post);
}
