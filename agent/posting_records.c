// SPDX-License-Identifier: Apache-2.0
// The blocks at the queue's front as one records message, and how large it may be.
#include "posting_parts.h"

#include "log.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define TRIES_MAX 5
#define LOSSES_MAX 2  // of the connection during records, then they are made smaller
#define GROW_AFTER 64 // full messages
#define NO_LIMIT INT_MAX

// MQTT 5 reason codes that have an answer of their own.
enum reason {
    REASON_TOPIC_INVALID = 0x90,
    REASON_TOO_LARGE = 0x95,
    REASON_PAYLOAD_INVALID = 0x99,
};

// How many blocks at the queue's front may share one message.
static int blocks_together(const struct jp_post *post, const struct jp_post_queue *queue)
{
    const struct jp_post_item *items = queue->items + queue->sent;
    int rate = post->in->config->mqtt.backlog_blocks_per_s;
    int most = rate > 0 && rate < JP_POST_ITEMS ? rate : JP_POST_ITEMS;
    int n = 0;

    if (post->in->config->mqtt.format == JP_RECORDS_CBOR && post->limit < most)
        most = post->limit;
    while (queue->sent + n < queue->count && n < most && items[n].kind == JP_POST_BLOCK &&
           jp_post_same_anchor(&items[n].anchor, &items[0].anchor))
        n++;
    return n;
}

static int records_cbor(struct jp_post *post, const struct jp_post_queue *queue, const struct jp_records_head *head)
{
    const struct jp_post_item *items = queue->items + queue->sent;
    size_t room = jp_post_room(post), from = queue->sent_bytes;
    int most = blocks_together(post, queue);
    int used = jp_payload_head(head, post->message, room);

    post->sending_blocks = 0;
    if (used < 0)
        return used;
    for (int i = 0; i < most && (size_t)used + items[i].size <= room; i++) {
        memcpy(post->message + used, queue->bytes + from, items[i].size);
        used += (int)items[i].size;
        from += items[i].size;
        post->sending_blocks++;
    }
    post->sending_count = post->sending_blocks;
    return post->sending_blocks > 0 ? used : -EMSGSIZE;
}

static int records_json(struct jp_post *post, const struct jp_post_queue *queue, const struct jp_records_head *head)
{
    struct jp_payload_windows array;
    const struct jp_post_item *items = queue->items + queue->sent;
    size_t room = jp_post_room(post), from = queue->sent_bytes;
    int most = blocks_together(post, queue), part = post->part_of == queue ? post->part : 0;

    post->sending_blocks = 0;
    post->sending_windows = 0;
    if (room < 2)
        return -EMSGSIZE;
    jp_payload_windows_begin(&array, (char *)post->message, room);
    array.most = post->limit;
    for (int i = 0; i < most; i++) {
        struct jp_payload_windows before = array;
        int next = jp_payload_windows_add(&array, head, queue->bytes + from, items[i].size, part);

        if (next < 0 && post->sending_blocks == 0)
            return next;
        if (next < 0) { // in the next message it is the first
            array = before;
            break;
        }
        if (next < items[i].windows) {
            post->sending_windows = next - part > 0 ? next : part;
            break;
        }
        post->sending_blocks++;
        from += items[i].size;
        part = 0;
    }
    post->sending_count = array.count;
    return array.count > 0 ? jp_payload_windows_end(&array) : -EMSGSIZE;
}

static void refuse(struct jp_post *post, const char *why)
{
    post->refused_blocks = post->sending_blocks > 0 ? (uint64_t)post->sending_blocks : 1;
    jp_post_refused(post, JP_LEAF_RECORDS, why);
}

// Whole by its CRC but not by its content: nobody can read it, and what follows must not wait for it.
static void leave_out(struct jp_post *post, struct jp_post_queue *queue)
{
    const struct jp_post_item *item = jp_post_first(queue, NULL);

    jp_log_warning("%s, segment %llu at %lld: a block that cannot be read is left out",
                   queue == &post->backlog ? post->in->config->paths_spool : post->in->config->paths_hot,
                   (unsigned long long)item->at.segment, (long long)item->at.offset);
    post->degraded |= JP_POST_DAMAGED;
    post->part = 0;
    jp_post_sent(post, queue, 1);
}

void jp_post_send_records(struct jp_post *post, struct jp_post_queue *queue)
{
    struct jp_records_head head;
    int size;

    jp_post_head(post, queue->run, &jp_post_first(queue, NULL)->anchor, &head);
    size = post->in->config->mqtt.format == JP_RECORDS_CBOR ? records_cbor(post, queue, &head)
                                                            : records_json(post, queue, &head);
    post->from = queue;
    post->sending_items = post->sending_blocks;
    post->moved = false;
    post->speaker = jp_post_device(post, queue->run);
    if (size == -EBADMSG) {
        leave_out(post, queue);
    } else if (size == -EMSGSIZE) {
        refuse(post, "a block is larger than its largest packet");
        jp_post_back_off(post, &post->item, false);
    } else if (size < 0 || jp_post_send(post, JP_POST_RECORDS, JP_LEAF_RECORDS, size)) {
        jp_post_back_off(post, &post->item, true);
    }
}

static void release_blocks(struct jp_post *post)
{
    int rate = post->in->config->mqtt.backlog_blocks_per_s;

    if (rate > 0)
        post->item.next_ns = jp_post_now_ns(post) + post->sending_blocks * JP_NS_PER_S / rate;
    if (post->moved)
        return; // with the rest of what was moved
    post->part = post->in->config->mqtt.format == JP_RECORDS_JSON ? post->sending_windows : 0;
    post->part_of = post->from;
    jp_post_sent(post, post->from, post->sending_items);
}

// What a broker does not take in large messages it may take in larger ones some day.
static void grow(struct jp_post *post)
{
    if (post->limit == NO_LIMIT || post->sending_count < post->limit || ++post->at_limit < GROW_AFTER)
        return;
    post->limit = post->limit > NO_LIMIT / 2 ? NO_LIMIT : post->limit * 2;
    post->at_limit = 0;
    post->losses = LOSSES_MAX - 1; // the next loss is answered at once
}

void jp_post_records_delivered(struct jp_post *post)
{
    post->losses = post->tries = 0;
    post->item = (struct jp_post_retry){0, 0};
    post->refused_blocks = 0;
    grow(post);
    jp_post_taken(post, JP_LEAF_RECORDS);
    release_blocks(post);
}

// Makes the next message smaller than the one that failed. False: it is one block, or one window in JSON.
static bool split(struct jp_post *post)
{
    if (post->sending_count < 2)
        return false;
    post->limit = post->sending_count / 2;
    post->at_limit = 0;
    return true;
}

// Not known to have arrived. A broker may close the connection upon what is too large for it.
static void lost(struct jp_post *post)
{
    bool smaller = ++post->losses >= LOSSES_MAX && split(post);

    jp_post_back_off(post, &post->item, smaller || post->losses < LOSSES_MAX);
}

// The broker does not take what the message says. Alone each block shows whether it is the one: that one is parked.
static bool give_up(struct jp_post *post)
{
    if (!split(post) && jp_post_park(post, post->from))
        return false; // the disk does not take it either
    post->tries = 0;
    post->refused_blocks = 0;
    post->item = (struct jp_post_retry){0, 0};
    jp_post_taken(post, JP_LEAF_RECORDS);
    return true;
}

void jp_post_records_failed(struct jp_post *post, int reason, const char *text)
{
    bool content = reason == REASON_TOPIC_INVALID || reason == REASON_PAYLOAD_INVALID;

    if (reason < 0x80) {
        lost(post);
        return;
    }
    if (reason == REASON_TOO_LARGE && split(post))
        return;
    post->tries++;
    refuse(post, text);
    if (content && post->tries >= TRIES_MAX && !post->moved && give_up(post))
        return;
    jp_post_back_off(post, &post->item, content && post->tries < TRIES_MAX);
}
