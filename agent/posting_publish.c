// SPDX-License-Identifier: Apache-2.0
// One message at a time: status, meta and live when due, else the oldest of the queue.
#include "posting_parts.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PACKET_OVERHEAD 64 // fixed head, topic length, packet id, properties with the content type
#define ITEM_LOSSES_MAX 3  // of the connection during one event, gap or meta, then records pass it
#define STATUS_RETRY_NS (30 * JP_NS_PER_S)

int jp_post_send(struct jp_post *post, enum jp_post_sending what, enum jp_leaf leaf, int size)
{
    static const char *const types[] = {"application/json", "application/cbor-seq"};
    bool records = leaf == JP_LEAF_RECORDS;
    struct jp_message message = {
        .topic = post->topic,
        .payload = post->message,
        .size = (size_t)size,
        .qos = 1,
        .retained = leaf == JP_LEAF_STATUS || leaf == JP_LEAF_META,
        .proof = records,
        .content_type = types[records && post->in->config->mqtt.format == JP_RECORDS_CBOR],
    };
    const char *speaker = post->speaker ? post->speaker : post->in->device;
    int rc;

    post->speaker = NULL;
    if (size < 0)
        return size;
    rc = jp_topic_leaf(post->topic, sizeof post->topic, post->in->config->mqtt.root, speaker, leaf);
    if (rc == 0)
        rc = post->in->link->send(post->in->link, &message);
    if (rc == 0) {
        post->sending = what;
        post->leaf = leaf;
    }
    return rc;
}

static size_t device_size(const struct jp_post *post)
{
    size_t own = strlen(post->in->device), other = strlen(jp_post_device(post, &post->backlog_run));

    return own > other ? own : other;
}

size_t jp_post_room(const struct jp_post *post)
{
    size_t overhead = PACKET_OVERHEAD + strlen(post->in->config->mqtt.root) + device_size(post) + 16;
    size_t packet = post->max_packet > overhead ? post->max_packet - overhead : 0;

    return packet < JP_MESSAGE_MAX ? packet : JP_MESSAGE_MAX;
}

// Items of a queue are under way.
static int send_of(struct jp_post *post, struct jp_post_queue *queue, enum jp_leaf leaf, int size)
{
    int rc;

    post->speaker = jp_post_device(post, queue->run);
    rc = jp_post_send(post, JP_POST_OF_ITEM, leaf, size);
    if (rc)
        return rc;
    post->from = queue;
    post->sending_items = 1;
    post->moved = false;
    return 0;
}

// An event or gap was told, or stands aside.
static void pass_item(struct jp_post *post, struct jp_post_queue *queue)
{
    post->item_losses = 0;
    jp_post_sent(post, queue, 1);
}

static void refuse_item(struct jp_post *post, struct jp_post_queue *queue, const char *why)
{
    jp_post_put_aside(post, queue);
    jp_post_refused(post, post->leaf, why);
    pass_item(post, queue);
}

// why NULL: the connection was lost.
static void meta_again(struct jp_post *post, const char *why)
{
    post->meta_due = true;
    jp_post_back_off(post, &post->meta, false);
    if (why)
        jp_post_refused(post, JP_LEAF_META, why);
}

static void send_meta(struct jp_post *post)
{
    int rc = jp_post_send(post, JP_POST_META, JP_LEAF_META, jp_post_meta(post));

    post->meta_due = false;
    if (rc)
        meta_again(post, rc == -EMSGSIZE ? "larger than its largest packet" : NULL);
}

static void send_item(struct jp_post *post, struct jp_post_queue *queue)
{
    const uint8_t *bytes;
    const struct jp_post_item *item = jp_post_first(queue, &bytes);
    enum jp_leaf leaf = item->kind == JP_POST_GAP ? JP_LEAF_GAP : JP_LEAF_EVENT;
    int size = jp_post_item_message(post, item, bytes, queue->run);
    int rc;

    if (size == -EBADMSG) { // whole by its CRC but not by its content: nobody can read it
        jp_log_warning("%s, segment %llu at %lld: a damaged %s is left out",
                       queue == &post->backlog ? post->in->config->paths_spool : post->in->config->paths_hot,
                       (unsigned long long)item->at.segment, (long long)item->at.offset,
                       leaf == JP_LEAF_GAP ? "gap" : "event");
        post->degraded |= JP_POST_DAMAGED;
        pass_item(post, queue);
        return;
    }
    rc = send_of(post, queue, leaf, size);
    post->leaf = leaf;
    if (rc == -EMSGSIZE)
        refuse_item(post, queue, "larger than its largest packet");
    else if (rc)
        jp_post_back_off(post, &post->item, true);
}

bool jp_post_meta_ready(const struct jp_post *post)
{
    return post->meta_due && post->head_run_known && jp_post_now_ns(post) >= post->meta.next_ns;
}

// The small leaves come first: they are rare, and stay fresh while history is sent.
static void send_due(struct jp_post *post)
{
    int64_t now = jp_post_now_ns(post);

    if (post->status_due || now >= post->next_status_ns) {
        post->status_due = false;
        post->next_status_ns = now + post->in->config->mqtt.status_s * JP_NS_PER_S;
        jp_post_send(post, JP_POST_STATUS, JP_LEAF_STATUS, jp_post_status(post));
    } else if (jp_post_meta_ready(post)) {
        send_meta(post);
    } else if (post->aside_count > 0 && now >= post->beside.next_ns) {
        jp_post_send_aside(post);
    }
}

static void send_first(struct jp_post *post, struct jp_post_queue *queue)
{
    if (jp_post_first(queue, NULL)->kind == JP_POST_BLOCK)
        jp_post_send_records(post, queue);
    else
        send_item(post, queue);
}

// Until one is under way, or what comes next has to wait: for its time, or for something that wakes us.
static void send_items(struct jp_post *post)
{
    post->item_waits = false;
    while (post->up && post->sending == JP_POST_IDLE) {
        struct jp_post_queue *queue = jp_post_front(post);

        if (!queue)
            return;
        if (jp_post_now_ns(post) < post->item.next_ns) {
            post->item_waits = true;
            return;
        }
        send_first(post, queue);
    }
}

void jp_post_pump(struct jp_post *post)
{
    jp_post_live(post);
    for (int turn = 0; turn < 4 && post->up && post->sending == JP_POST_IDLE; turn++)
        send_due(post);
    send_items(post);
}

void jp_post_delivered(struct jp_post *post)
{
    enum jp_post_sending what = post->sending;

    post->sending = JP_POST_IDLE;
    if (what == JP_POST_IDLE)
        return;
    post->retained.fenced = true;
    if (what != JP_POST_RECORDS)
        jp_post_taken(post, post->leaf);
    if (what == JP_POST_META)
        post->meta = (struct jp_post_retry){0, 0};
    if (what == JP_POST_RECORDS)
        jp_post_records_delivered(post);
    else if (what == JP_POST_OF_ITEM && !post->moved)
        pass_item(post, post->from);
    else if (what == JP_POST_ASIDE)
        jp_post_aside_delivered(post);
    if (post->moved)
        jp_post_moved_sent(post);
    post->from = NULL;
    if (post->stalled)
        jp_post_read(post);
}

static void event_failed(struct jp_post *post, const char *why)
{
    if (!why && ++post->item_losses >= ITEM_LOSSES_MAX)
        why = "the connection ends upon it";
    if (why && !post->moved)
        refuse_item(post, post->from, why);
    else
        jp_post_back_off(post, &post->item, true);
}

void jp_post_failed(struct jp_post *post, int reason, const char *text)
{
    enum jp_post_sending what = post->sending;
    char why[200];

    post->sending = JP_POST_IDLE;
    post->retained.fenced |= reason >= 0x80; // that is an answer, too
    snprintf(why, sizeof why, "reason 0x%02x%s%s", (unsigned)reason, text && text[0] ? " " : "", text ? text : "");
    switch (what) {
    case JP_POST_IDLE:
        break;
    case JP_POST_STATUS:
        post->next_status_ns = jp_post_now_ns(post) + STATUS_RETRY_NS;
        if (reason >= 0x80)
            jp_post_refused(post, JP_LEAF_STATUS, why);
        break;
    case JP_POST_META:
        meta_again(post, reason >= 0x80 ? why : NULL);
        break;
    case JP_POST_RECORDS:
        jp_post_records_failed(post, reason, why);
        break;
    case JP_POST_OF_ITEM:
        event_failed(post, reason >= 0x80 ? why : NULL);
        break;
    case JP_POST_ASIDE:
        jp_post_back_off(post, &post->beside, false);
        break;
    }
    post->moved = false; // it is the oldest of the backlog now
    post->from = NULL;
}
