// SPDX-License-Identifier: Apache-2.0
// Out of the durable spool: the backlog into its queue.
#include "posting_parts.h"

#include "log.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define TOLD_MAX 20

// Loading ----------------------------------------------------------------------------------------
static void note_place(struct jp_post *post, struct jp_pos at, const char *what)
{
    post->degraded |= JP_POST_DAMAGED;
    if (post->store.told++ < TOLD_MAX)
        jp_log_warning("%s, segment %llu at %lld: %s", post->in->config->paths_spool, (unsigned long long)at.segment,
                       (long long)at.offset, what);
    if (post->store.told == TOLD_MAX)
        jp_log_warning("%s: what else is damaged is not told one by one (joulepost spool verify does)",
                       post->in->config->paths_spool);
}

// Whether a block can be read to its end. Opening it walks through all but spans and coverage, which are rare: the
// windows one by one cost as much again.
static bool is_whole(const struct jp_frame *frame, struct jp_block_head *head)
{
    static struct jp_block_reader reader; // large
    static struct jp_window window;
    bool odd;
    int rc;

    if (jp_block_peek(head, frame->payload, frame->size) || jp_block_read(&reader, frame->payload, frame->size))
        return false;
    odd = reader.span.left > 0;
    for (int c = 0; c < reader.channel_count; c++)
        odd |= reader.cover[c].left > 0;
    while (odd && (rc = jp_block_next(&reader, &window)) != 0)
        if (rc < 0)
            return false;
    return true;
}

// The run in force says nothing of these frames, its own RUN is damaged: the segment knows the boot.
static void adopt_nameless(struct jp_post *post, const struct jp_frame *frame, uint64_t run)
{
    const struct jp_segment_header *header = &post->store.spool.reader.file.header;
    struct jp_run *nameless = &post->backlog_run;

    if (post->backlog_anchor_in != frame->at.segment && strcmp(header->boot, nameless->boot) != 0)
        post->backlog_anchor.known = false;
    memset(nameless, 0, sizeof *nameless);
    nameless->id = run;
    memcpy(nameless->boot, header->boot, sizeof nameless->boot);
    memcpy(nameless->device, header->device, sizeof nameless->device);
    post->backlog_run_known = false;
}

// Whether the frame may stand in the queue as it is: it is of the queue's run. If not, it is handed out once more when
// the queue is empty.
static bool is_at_home(struct jp_post *post, const struct jp_frame *frame, uint64_t run)
{
    if (run == post->backlog_run.id)
        return true;
    if (post->backlog.count == 0) {
        adopt_nameless(post, frame, run);
        return true;
    }
    post->backlog_apart = true;
    jp_spool_skip(&post->store.spool, frame->at);
    return false;
}

static void put(struct jp_post *post, enum jp_post_kind kind, const struct jp_frame *frame)
{
    struct jp_post_item item = {
        .kind = kind,
        .at = frame->at,
        .next = frame->next,
        .born_ns = jp_post_now_ns(post),
        .size = frame->size,
    };
    struct jp_block_head head;

    if (kind == JP_POST_BLOCK) {
        if (!is_whole(frame, &head)) { // whole by its CRC but not by its content
            note_place(post, frame->at, "a block that cannot be read, left out");
            jp_post_past_damaged(post);
            return;
        }
        if (!is_at_home(post, frame, head.run))
            return;
        jp_post_past_block(post, frame, &head);
        item.run = head.run;
        item.run_no = head.run == post->backlog_run.id ? post->backlog_run_no : 0;
        item.last_seq = head.seq + (uint64_t)head.count - 1;
        item.windows = head.count;
    }
    item.anchor = post->backlog_anchor;
    jp_post_queue_put(&post->backlog, &item, frame->payload);
}

static void adopt(struct jp_post *post, const uint8_t *payload, size_t size)
{
    struct jp_post_run_no no;
    uint64_t stored;
    bool same_boot;
    char boot[sizeof post->backlog_run.boot];

    memcpy(boot, post->backlog_run.boot, sizeof boot);
    post->backlog_run_known = jp_run_decode(&post->backlog_run, payload, size) == 0;
    post->backlog.run = &post->backlog_run;
    if (!post->backlog_run_known) {
        memset(&post->backlog_run, 0, sizeof post->backlog_run);
        note_place(post, post->store.spool.reader.at, "a run that cannot be read, before this place");
        jp_post_past_damaged(post);
        return;
    }
    same_boot = strcmp(boot, post->backlog_run.boot) == 0;
    if (!same_boot)
        post->backlog_anchor.known = false;
    post->backlog_run_no = jp_post_run_read(payload, size, &no, &stored) ? no.run_no : 0;
    jp_post_met(post, no.id, post->backlog_run_no);
}

// A queue holds items of one run, so that each message and gap knows its boot and its names.
static void take_run(struct jp_post *post, const struct jp_frame *frame)
{
    struct jp_post_run_no no;
    uint64_t stored;

    jp_post_run_read(frame->payload, frame->size, &no, &stored);
    if (post->backlog_run_known && no.id == post->backlog_run.id)
        return; // said again at the start of a segment
    if (post->backlog.count == 0 || frame->size > JP_POST_RECORD_MAX) {
        adopt(post, frame->payload, frame->size);
        return;
    }
    memcpy(post->next_run, frame->payload, frame->size);
    post->next_run_size = frame->size;
}

static void take(struct jp_post *post, const struct jp_frame *frame)
{
    struct jp_anchor anchor;

    switch (frame->type) {
    case JP_FRAME_RUN:
        take_run(post, frame);
        break;
    case JP_FRAME_ANCHOR:
        if (jp_anchor_decode(&anchor, frame->payload, frame->size) == 0)
            post->backlog_anchor = (struct jp_post_anchor){true, anchor};
        post->backlog_anchor_in = frame->at.segment;
        break;
    case JP_FRAME_BLOCK:
        put(post, JP_POST_BLOCK, frame);
        break;
    case JP_FRAME_GAP:
    case JP_FRAME_EVENT:
        if (frame->size <= JP_POST_RECORD_MAX)
            put(post, frame->type == JP_FRAME_GAP ? JP_POST_GAP : JP_POST_EVENT, frame);
        break;
    default: // carried along for a reader that knows it
        break;
    }
}

static void note_damage(struct jp_post *post, int what, const struct jp_frame *frame)
{
    jp_post_past_damaged(post);
    if (what == JP_SPOOL_FOREIGN)
        note_place(post, frame->at, "no segment of format 1, set aside as .bad or, of another format, as .other");
    else if (what != JP_SPOOL_TORN) // what a power cut leaves of a write that nobody was promised
        note_place(post, frame->at, "damaged bytes, passed over");
}

// Said once, until something can be read again.
static void note_unread(struct jp_post *post, int rc)
{
    struct jp_post_store *store = &post->store;

    if (rc < 0 && !store->unread)
        jp_log_error("%s, segment %llu at %lld cannot be read: %s; after a minute it counts as damaged",
                     post->in->config->paths_spool, (unsigned long long)store->spool.reader.at.segment,
                     (long long)store->spool.reader.at.offset, strerror(-rc));
    if (rc < 0)
        post->degraded |= JP_POST_DISK_ERROR; // the upkeep takes it back
    store->unread = rc < 0 ? rc : 0;
}

// What the collector has need not be sent again.
static void pass_known(struct jp_post *post)
{
    const struct jp_post_item *item = post->backlog.items;

    while (post->backlog.count > 0 && item->kind == JP_POST_BLOCK &&
           post->in->config->mqtt.release != JP_RELEASE_BROKER) {
        const struct jp_post_mark mark = {.run = item->run, .run_no = item->run_no, .last_seq = item->last_seq};

        if (!jp_post_has(post, &mark))
            break;
        if (post->part_of == &post->backlog)
            post->part = 0; // of this block
        jp_post_sent(post, &post->backlog, 1);
    }
}

bool jp_post_load(struct jp_post *post)
{
    struct jp_spool *spool = &post->store.spool;
    struct jp_frame frame;
    int rc = JP_SPOOL_FRAME;

    if (!post->store.open)
        return true;
    if (post->next_run_size > 0 && post->backlog.count == 0) {
        adopt(post, post->next_run, post->next_run_size);
        post->next_run_size = 0;
    }
    if (post->backlog.count == 0)
        post->backlog_apart = false;
    while (rc >= 0 && rc != JP_SPOOL_END && post->next_run_size == 0 && !post->backlog_apart &&
           jp_post_queue_room(&post->backlog, JP_BLOCK_BYTES_MAX)) {
        rc = jp_spool_next(spool, &frame);
        note_unread(post, rc);
        if (rc == JP_SPOOL_FRAME)
            take(post, &frame);
        else if (rc > 0 && rc != JP_SPOOL_END)
            note_damage(post, rc, &frame);
        pass_known(post);
    }
    if (rc == JP_SPOOL_END && post->backlog.count == 0 && post->mark_count == 0) // now it is the turn of what is fresh
        jp_post_past_forget(post, jp_spool_end(spool));
    return rc >= 0 || post->backlog.count > 0;
}
