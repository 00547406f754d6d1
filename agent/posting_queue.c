// SPDX-License-Identifier: Apache-2.0
// Two queues, the older one first, and how their items leave: sent, then released.
#include "posting_parts.h"

#include "name.h"

#include <assert.h>
#include <string.h>

int64_t jp_post_now_ns(const struct jp_post *post)
{
    return post->in->clock->mono_ns(post->in->clock);
}

// A queue ----------------------------------------------------------------------------------------
bool jp_post_queue_room(const struct jp_post_queue *queue, size_t block_bytes)
{
    return queue->count + 3 <= JP_POST_ITEMS &&
           JP_POST_QUEUE_BYTES - queue->used >= block_bytes + 2 * JP_POST_RECORD_MAX;
}

void jp_post_queue_put(struct jp_post_queue *queue, const struct jp_post_item *item, const void *bytes)
{
    assert(queue->count < JP_POST_ITEMS && item->size <= JP_POST_QUEUE_BYTES - queue->used);
    if (bytes != queue->bytes + queue->used) // else it was written in place
        memcpy(queue->bytes + queue->used, bytes, item->size);
    queue->items[queue->count++] = *item;
    queue->used += item->size;
}

void jp_post_queue_drop(struct jp_post_queue *queue, int count)
{
    size_t size = 0;

    for (int i = 0; i < count; i++) {
        size += queue->items[i].size;
        if (queue->sent > 0) {
            queue->sent--;
            queue->sent_bytes -= queue->items[i].size;
        }
    }
    memmove(queue->bytes, queue->bytes + size, queue->used - size);
    queue->count -= count;
    memmove(queue->items, queue->items + count, (size_t)queue->count * sizeof queue->items[0]);
    queue->used -= size;
}

struct jp_post_item *jp_post_first(struct jp_post_queue *queue, const uint8_t **bytes)
{
    if (queue->sent == queue->count)
        return NULL;
    if (bytes)
        *bytes = queue->bytes + queue->sent_bytes;
    return &queue->items[queue->sent];
}

bool jp_post_same_anchor(const struct jp_post_anchor *a, const struct jp_post_anchor *b)
{
    return a->known == b->known &&
           (!a->known || (a->anchor.off_ms == b->anchor.off_ms && a->anchor.clock == b->anchor.clock &&
                          a->anchor.err_ms == b->anchor.err_ms));
}

// Whose turn it is -------------------------------------------------------------------------------
// A spool that was away holds what is older than all that was sent meanwhile.
static void begin_anew(struct jp_post *post)
{
    if (!post->store.anew || post->sending != JP_POST_IDLE)
        return;
    post->store.anew = false;
    jp_post_again(post);
}

struct jp_post_queue *jp_post_front(struct jp_post *post)
{
    const struct jp_post_item *item;

    begin_anew(post);
    if (!jp_post_load(post))
        return NULL;
    if (jp_post_first(&post->backlog, NULL)) // each of a message's items leaves a mark
        return post->mark_count + JP_POST_ITEMS <= JP_POST_MARKS ? &post->backlog : NULL;
    while ((item = jp_post_first(&post->fresh, NULL)) && item->kind == JP_POST_RUN) {
        if (post->fresh.sent > 0 && jp_post_store(post)) // what stands before it waits for the collector
            return NULL;
        jp_post_read(post);
    }
    return item ? &post->fresh : NULL;
}

const char *jp_post_device(const struct jp_post *post, const struct jp_run *run)
{
    return run && jp_name_is_good(run->device, JP_DEVICE_MAX) ? run->device : post->in->device;
}

// Leaving ----------------------------------------------------------------------------------------
static bool is_released(const struct jp_post *post, const struct jp_post_mark *mark)
{
    if (mark->block)
        return post->in->config->mqtt.release == JP_RELEASE_BROKER || jp_post_has(post, mark);
    return !jp_post_is_aside(post, mark->end);
}

static struct jp_post_mark mark_of(const struct jp_post_item *item)
{
    return (struct jp_post_mark){
        .block = item->kind == JP_POST_BLOCK,
        .run = item->run,
        .run_no = item->run_no,
        .last_seq = item->last_seq,
        .windows = (uint64_t)item->windows,
        .end = item->next,
    };
}

// A collector confirms windows alone: an event or gap goes with the next block behind it.
static bool goes_alone(const struct jp_post *post, bool block)
{
    return block || post->in->config->mqtt.release == JP_RELEASE_BROKER;
}

// How many items at the front can go.
static int released_items(const struct jp_post *post)
{
    const struct jp_post_queue *fresh = &post->fresh;
    int n = 0;

    for (int i = 0; i < fresh->sent; i++) {
        const struct jp_post_mark mark = mark_of(&fresh->items[i]);

        if (mark.block && !is_released(post, &mark)) // what stands aside has left for memory
            break;
        if (goes_alone(post, mark.block))
            n = i + 1;
    }
    return n;
}

static void release_fresh(struct jp_post *post)
{
    struct jp_post_queue *fresh = &post->fresh;
    int n = released_items(post);

    for (int i = 0; i < n; i++) {
        const struct jp_post_item *item = &fresh->items[i];

        post->pending_windows -= (uint64_t)item->windows;
        post->pending_bytes -= item->frame_bytes;
        if (item->windows > 0) {
            post->released_run = item->run;
            post->released_seq = item->last_seq;
        }
    }
    if (n == 0)
        return;
    jp_post_queue_drop(fresh, n);
    jp_post_cursor_store(post);
    post->ack_since_ns = jp_post_now_ns(post);
}

static bool is_gone(const struct jp_post *post, const struct jp_post_mark *mark)
{
    return jp_pos_compare(mark->end, post->store.spool.cursor) <= 0; // its segment had to go
}

static int released_marks(const struct jp_post *post)
{
    // Hundreds in a row that no word of a collector will free: there is no room to wait for it.
    bool full = post->mark_count + JP_POST_ITEMS > JP_POST_MARKS;
    int n = 0;

    for (int i = 0; i < post->mark_count; i++) {
        const struct jp_post_mark *mark = &post->marks[(post->mark_first + i) % JP_POST_MARKS];
        bool gone = is_gone(post, mark);

        if (!gone && !is_released(post, mark) && (mark->block || !full))
            return n;
        if (gone || goes_alone(post, mark->block))
            n = i + 1;
    }
    return full ? post->mark_count : n;
}

static void release_marks(struct jp_post *post)
{
    for (int n = released_marks(post); n > 0; n--) {
        const struct jp_post_mark *mark = &post->marks[post->mark_first];

        if (!is_gone(post, mark))
            post->store.pending -= mark->windows < post->store.pending ? mark->windows : post->store.pending;
        jp_spool_release(&post->store.spool, mark->end);
        post->mark_first = (post->mark_first + 1) % JP_POST_MARKS;
        post->mark_count--;
        post->ack_since_ns = jp_post_now_ns(post);
    }
}

void jp_post_release(struct jp_post *post)
{
    release_marks(post);
    release_fresh(post);
}

static void begin_waiting(struct jp_post *post)
{
    if (post->mark_count == 0 && post->fresh.sent == 0)
        post->ack_since_ns = jp_post_now_ns(post);
}

// The newest takes in what does not fit.
void jp_post_mark(struct jp_post *post, const struct jp_post_mark *mark)
{
    struct jp_post_mark *last;

    begin_waiting(post);
    if (post->mark_count < JP_POST_MARKS) {
        post->marks[(post->mark_first + post->mark_count++) % JP_POST_MARKS] = *mark;
        return;
    }
    last = &post->marks[(post->mark_first + JP_POST_MARKS - 1) % JP_POST_MARKS];
    last->windows += mark->windows;
    last->end = mark->end;
    if (!mark->block)
        return;
    last->block = true;
    last->run = mark->run;
    last->run_no = mark->run_no;
    last->last_seq = mark->last_seq;
}

static void sent_backlog(struct jp_post *post, int count)
{
    for (int i = 0; i < count; i++) {
        const struct jp_post_mark mark = mark_of(&post->backlog.items[i]);

        jp_post_mark(post, &mark);
    }
    jp_post_queue_drop(&post->backlog, count);
}

void jp_post_sent(struct jp_post *post, struct jp_post_queue *queue, int count)
{
    if (queue == &post->backlog) {
        sent_backlog(post, count);
        release_marks(post);
        return;
    }
    begin_waiting(post);
    for (int i = 0; i < count; i++) {
        const struct jp_post_item *item = &queue->items[queue->sent++];

        queue->sent_bytes += item->size;
        if (item->kind != JP_POST_BLOCK && jp_pos_compare(post->told, item->next) < 0)
            post->told = item->next;
    }
    // With a collector older ones may wait; what it confirms comes in order.
    if (post->mark_count == 0 || post->in->config->mqtt.release == JP_RELEASE_BROKER)
        release_fresh(post);
}

void jp_post_moved_sent(struct jp_post *post)
{
    post->moved = false;
    if (post->moved_mark.end.segment == 0) // a part of a block, which is sent again whole
        return;
    jp_post_mark(post, &post->moved_mark);
    jp_spool_skip(&post->store.spool, post->moved_mark.end);
    release_marks(post);
}

void jp_post_again(struct jp_post *post)
{
    post->mark_first = post->mark_count = 0;
    post->fresh.sent = 0;
    post->fresh.sent_bytes = 0;
    post->part = 0;
    post->ack_since_ns = jp_post_now_ns(post);
    jp_post_queue_drop(&post->backlog, post->backlog.count);
    post->next_run_size = 0;
    jp_post_aside_again(post);
    if (post->store.open)
        jp_spool_rewind(&post->store.spool);
}
