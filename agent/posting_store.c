// SPDX-License-Identifier: Apache-2.0
// From the fresh queue into the durable spool: one sync for all that waits, in groups that share run and anchor.
#include "posting_parts.h"

#include "log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TEND_NS JP_NS_PER_S

static_assert(JP_POST_QUEUE_BYTES + JP_POST_ITEMS * JP_FRAME_HEAD + JP_POST_RECORD_MAX + 128 <= JP_SPOOL_HELD_MAX,
              "all that a queue holds, with a RUN and an ANCHOR, finds room in an empty spool's memory");

#define TYPE_AT 12 // of a frame's head (docs/format.md, section 3)
#define SIZE_AT 14

struct jp_spool_now jp_post_spool_now(const struct jp_post *post)
{
    const struct jp_clock *clock = post->in->clock;

    return (struct jp_spool_now){
        .boot_ms = clock->boot_ns(clock) / JP_NS_PER_MS,
        .real_ms = clock->real_ns(clock) / JP_NS_PER_MS,
        .synced = clock->sync(clock, NULL) == JP_CLOCK_SYNCED,
    };
}

// What a segment begins with ---------------------------------------------------------------------
// Windows of the frames that are appended and not on disk yet.
static uint64_t held_windows(const struct jp_spool *spool)
{
    uint64_t windows = 0;
    struct jp_block_head head;

    for (size_t at = 0; at < spool->held_bytes;) {
        const uint8_t *frame = spool->held + at;
        size_t size = (size_t)frame[SIZE_AT] << 8 | frame[SIZE_AT + 1];

        if (frame[TYPE_AT] == JP_FRAME_BLOCK && jp_block_peek(&head, frame + JP_FRAME_HEAD, size) == 0)
            windows += (uint64_t)head.count;
        at += JP_FRAME_HEAD + size;
    }
    return windows;
}

static void append_anchor(struct jp_spool *spool, const struct jp_post_anchor *anchor)
{
    uint8_t bytes[64];
    int size = anchor->known ? jp_anchor_encode(&anchor->anchor, bytes, sizeof bytes) : 0;

    if (size > 0)
        jp_spool_append(spool, JP_FRAME_ANCHOR, bytes, (size_t)size);
}

// A group shares run and anchor, so they are in force wherever a segment begins within it.
static void preface(void *context, struct jp_spool *spool)
{
    struct jp_post *post = context;
    static uint8_t bytes[JP_POST_RECORD_MAX];
    int size = -ENOENT;

    if (post->run_known)
        size = jp_post_run_stored(post, post->store.windows - held_windows(spool), bytes, sizeof bytes);
    if (size > 0)
        jp_spool_append(spool, JP_FRAME_RUN, bytes, (size_t)size);
    append_anchor(spool, &post->store.anchor);
}

// What it holds, once its folder can be used.
static void take_up(struct jp_post *post)
{
    const struct jp_spool *spool = &post->store.spool;

    if (!spool->attached)
        return;
    if (spool->counts.cursor_lost > 0)
        jp_log_warning("%s/cursor is damaged: everything kept there is sent again", post->in->config->paths_spool);
    jp_post_survey(post);
    memcpy(post->state.spool_id, spool->header.spool_id, sizeof post->state.spool_id);
}

int jp_post_store_open(struct jp_post *post)
{
    const struct jp_config *config = post->in->config;
    struct jp_spool_now now = jp_post_spool_now(post);
    struct jp_spool_config spool = {
        .fs = post->in->fs,
        .dir = config->paths_spool,
        .max_bytes = config->spool.max_bytes,
        .keep_days = config->spool.keep_days,
        .keep_all = config->spool.keep_all,
        .calls = {post, preface, jp_post_weigh},
    };
    int rc;

    snprintf(spool.header.device, sizeof spool.header.device, "%s", post->in->device);
    snprintf(spool.header.boot, sizeof spool.header.boot, "%s", post->in->boot);
    snprintf(spool.header.tool, sizeof spool.header.tool, "%s", JOULEPOST_VERSION);
    memcpy(spool.header.spool_id, post->state.spool_id, sizeof spool.header.spool_id);
    rc = jp_spool_open(&post->store.spool, &spool, &now);
    if (rc)
        return rc;
    post->store.open = true;
    take_up(post);
    return 0;
}

// How it goes ------------------------------------------------------------------------------------
static void note_error(struct jp_post *post)
{
    struct jp_post_store *store = &post->store;
    int rc = store->error ? store->error : store->spool.error;
    bool full = rc == -ENOSPC || rc == -EDQUOT;

    post->degraded &= ~(unsigned)(JP_POST_DISK_FULL | JP_POST_DISK_ERROR);
    if (rc || post->state.error || store->unread)
        post->degraded |= full ? JP_POST_DISK_FULL : JP_POST_DISK_ERROR;
    if (rc && !store->said)
        jp_log_error("%s cannot be written: %s; windows wait in %s meanwhile", post->in->config->paths_spool,
                     strerror(-rc), post->in->config->paths_hot);
    if (rc == 0 && store->said)
        jp_log_info("%s takes windows again", post->in->config->paths_spool);
    store->said = rc != 0;
}

// What goes without a word of the broker's, each said at its first time.
static void note_losses(struct jp_post *post)
{
    struct jp_post_store *store = &post->store;

    if (store->spool.counts.removed > store->removed) {
        jp_log_error("%s was emptied or removed: what waited there is lost", post->in->config->paths_spool);
        post->degraded |= JP_POST_DAMAGED;
        store->pending = 0;
    }
    if (store->spool.counts.dropped > 0 && !store->said_full)
        jp_log_warning("%s: the oldest that waits has to go (spool.max_bytes, spool.keep_days)",
                       post->in->config->paths_spool);
    store->said_full |= store->spool.counts.dropped > 0;
    store->removed = store->spool.counts.removed;
}

static bool waits_for_disk(const struct jp_post *post)
{
    return post->store.spool.retry_waits;
}

int64_t jp_post_store_at(const struct jp_post *post)
{
    const struct jp_post_queue *fresh = &post->fresh;
    const struct jp_config *config = post->in->config;

    if (!post->store.open || fresh->count == 0)
        return INT64_MAX;
    if (waits_for_disk(post))
        return INT64_MAX; // the upkeep wakes us
    // A run that waits lets nothing in behind it: while the link is down only flash moves it on.
    if (!jp_post_has_room(post) || (post->barred && !post->up) || config->spool.keep_all)
        return 0;
    return fresh->items[0].born_ns + config->mqtt.ack_timeout_s * JP_NS_PER_S;
}

// Moving -----------------------------------------------------------------------------------------
static bool under_way(const struct jp_post *post)
{
    return post->from == &post->fresh && !post->moved &&
           (post->sending == JP_POST_RECORDS || post->sending == JP_POST_OF_ITEM);
}

// How many items at the front go together: those that were sent, or are under way, end a group, and so does a RUN.
static int group(const struct jp_post *post)
{
    const struct jp_post_queue *fresh = &post->fresh;
    int n = 0, limit = fresh->count;

    if (fresh->sent > 0)
        limit = fresh->sent;
    else if (under_way(post) && post->sending_items > 0)
        limit = post->sending_items;
    while (n < limit && fresh->items[n].kind != JP_POST_RUN &&
           jp_post_same_anchor(&fresh->items[n].anchor, &fresh->items[0].anchor))
        if (fresh->items[n++].kind == JP_POST_BLOCK && fresh->sent > 0)
            break; // what follows waits for a word of its own
    return n;
}

// The open segment's frames may speak of another run; one that begins now gets its preface.
static void append_context(struct jp_post *post)
{
    struct jp_post_store *store = &post->store;

    store->anchor = post->fresh.items[0].anchor;
    if (store->spool.fd < 0)
        return;
    if (store->run != post->run.id && post->run_known)
        jp_spool_append(&store->spool, JP_FRAME_RUN, post->run_payload, post->run_size);
    if (store->run != post->run.id || !jp_post_same_anchor(&store->anchor, &store->anchor_written))
        append_anchor(&store->spool, &store->anchor);
}

static uint8_t frame_type(enum jp_post_kind kind)
{
    return kind == JP_POST_BLOCK ? JP_FRAME_BLOCK : kind == JP_POST_GAP ? JP_FRAME_GAP : JP_FRAME_EVENT;
}

// Puts the first `count` items there, durable. 0, or -errno.
static int commit(struct jp_post *post, int count)
{
    struct jp_post_store *store = &post->store;
    struct jp_spool_now now = jp_post_spool_now(post);
    uint64_t windows = store->windows;
    size_t at = 0;
    int rc;

    append_context(post);
    for (int i = 0; i < count; i++) {
        const struct jp_post_item *item = &post->fresh.items[i];

        jp_spool_append(&store->spool, frame_type(item->kind), post->fresh.bytes + at, item->size);
        at += item->size;
        if (item->kind == JP_POST_BLOCK)
            store->windows += (uint64_t)item->windows;
    }
    rc = jp_spool_commit(&store->spool, &now);
    store->error = rc;
    if (rc) {
        jp_spool_forget(&store->spool);
        store->windows = windows;
        store->run = 0;
        return rc;
    }
    store->run = post->run.id;
    store->anchor_written = store->anchor;
    return 0;
}

// What the first `count` items were in the books, they are now of the spool.
static struct jp_post_mark book(struct jp_post *post, int count)
{
    struct jp_post_store *store = &post->store;
    struct jp_post_mark mark = {.end = store->spool.committed};

    for (int i = 0; i < count; i++) {
        const struct jp_post_item *item = &post->fresh.items[i];

        post->pending_windows -= (uint64_t)item->windows;
        post->pending_bytes -= item->frame_bytes;
        if (item->windows > 0) {
            post->released_run = item->run;
            post->released_seq = item->last_seq;
        }
        if (item->kind != JP_POST_BLOCK) {
            if (jp_pos_compare(post->told, item->next) < 0)
                post->told = item->next;
            continue;
        }
        mark.block = store->last_known = true;
        mark.run = store->last_run = item->run;
        mark.run_no = item->run_no;
        mark.last_seq = store->last_seq = item->last_seq;
        mark.windows += (uint64_t)item->windows;
    }
    store->pending += mark.windows;
    return mark;
}

static int move_group(struct jp_post *post, int count)
{
    bool sent = post->fresh.sent > 0, on_its_way = !sent && under_way(post);
    struct jp_post_mark mark;
    int rc = commit(post, count);

    if (rc)
        return rc;
    mark = book(post, count);
    if (sent) {
        jp_post_mark(post, &mark);
        jp_spool_skip(&post->store.spool, mark.end);
    } else if (on_its_way) {
        post->moved_mark = (struct jp_post_mark){.block = false};
        if (post->sending_items > 0)
            post->moved_mark = mark;
        post->moved = true;
    }
    post->part = 0; // what was sent of a block is sent again with it
    jp_post_queue_drop(&post->fresh, count);
    return 0;
}

// A folder that could not be used at the start may be usable by now.
static void tend(struct jp_post *post)
{
    struct jp_spool_now now = jp_post_spool_now(post);
    bool attached = post->store.spool.attached;

    jp_spool_tend(&post->store.spool, &now);
    if (attached || !post->store.spool.attached)
        return;
    take_up(post);
    post->store.anew = true;
}

int jp_post_store(struct jp_post *post)
{
    int rc = post->store.open ? 0 : -ENOENT;
    bool moved = false;

    if (rc == 0 && !post->store.spool.attached)
        tend(post);
    if (rc == 0 && post->store.anew)
        return -EAGAIN; // what it holds goes first
    while (rc == 0 && post->fresh.count > 0) {
        if (post->fresh.items[0].kind == JP_POST_RUN) {
            jp_post_read(post);
            continue;
        }
        rc = move_group(post, group(post));
        moved |= rc == 0;
    }
    if (moved)
        jp_post_cursor_store(post);
    jp_post_weighed(post);
    note_error(post);
    note_losses(post);
    return rc;
}

// Nothing waits for the disk: whether it takes something again shows by what can be written anyway.
static void probe(struct jp_post *post)
{
    jp_post_state_save(post, false);
    post->store.error = post->state.error;
    if (post->state.error)
        post->store.tend_ns = jp_post_now_ns(post) + JP_SPOOL_RETRY_MS * JP_NS_PER_MS;
}

// Upkeep -----------------------------------------------------------------------------------------
void jp_post_store_tend(struct jp_post *post)
{
    struct jp_post_store *store = &post->store;

    if (!store->open || jp_post_now_ns(post) < store->tend_ns)
        return;
    store->tend_ns = jp_post_now_ns(post) + TEND_NS;
    tend(post);
    jp_post_weighed(post);
    if (store->error && !waits_for_disk(post) && post->fresh.count == 0)
        probe(post);
    note_error(post);
    if (!jp_spool_pending(&store->spool))
        store->pending = 0;
}

uint64_t jp_post_backlog_windows(const struct jp_post *post)
{
    return post->store.open && jp_spool_pending(&post->store.spool) ? post->store.pending : 0;
}

void jp_post_store_close(struct jp_post *post)
{
    struct jp_spool_now now = jp_post_spool_now(post);

    if (!post->store.open)
        return;
    jp_spool_close(&post->store.spool, &now);
    post->store.open = false;
}
