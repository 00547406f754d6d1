// SPDX-License-Identifier: Apache-2.0
// One message at a time: status, meta and live when due, else the oldest of the queue.
#include "posting_parts.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PACKET_OVERHEAD 64 // fixed head, topic length, packet id, properties with the content type
#define TRIES_MAX 5
#define STATUS_RETRY_NS (30 * JP_NS_PER_S)

// MQTT 5 reason codes that have an answer of their own.
enum reason {
    REASON_NOT_AUTHORIZED = 0x87,
    REASON_TOPIC_INVALID = 0x90,
    REASON_TOO_LARGE = 0x95,
    REASON_QUOTA = 0x97,
    REASON_PAYLOAD_INVALID = 0x99,
};

static int64_t now_ns(const struct jp_post *post)
{
    return post->in->clock->mono_ns(post->in->clock);
}

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
        .content_type = types[records && post->in->config->mqtt.format == JP_RECORDS_CBOR],
    };
    int rc;

    if (size < 0)
        return size;
    rc = jp_topic_leaf(post->topic, sizeof post->topic, post->in->config->mqtt.root, post->in->device, leaf);
    if (rc == 0)
        rc = post->in->link->send(post->in->link, &message);
    if (rc == 0)
        post->sending = what;
    return rc;
}

size_t jp_post_room(const struct jp_post *post)
{
    size_t overhead = PACKET_OVERHEAD + strlen(post->in->config->mqtt.root) + strlen(post->in->device) + 16;
    size_t packet = post->max_packet > overhead ? post->max_packet - overhead : 0;

    return packet < JP_MESSAGE_MAX ? packet : JP_MESSAGE_MAX;
}

static bool same_anchor(const struct jp_post_anchor *a, const struct jp_post_anchor *b)
{
    return a->known == b->known &&
           (!a->known || (a->anchor.off_ms == b->anchor.off_ms && a->anchor.clock == b->anchor.clock &&
                          a->anchor.err_ms == b->anchor.err_ms));
}

// How many blocks at the queue's front may share one message.
static int blocks_together(const struct jp_post *post)
{
    int rate = post->in->config->mqtt.backlog_blocks_per_s;
    int most = rate > 0 && rate < post->blocks_max ? rate : post->blocks_max;
    int n = 0;

    while (n < post->item_count && n < most && post->items[n].kind == JP_POST_BLOCK &&
           same_anchor(&post->items[n].anchor, &post->items[0].anchor))
        n++;
    return n;
}

static int records_cbor(struct jp_post *post, const struct jp_records_head *head)
{
    size_t room = jp_post_room(post), from = 0;
    int most = blocks_together(post);
    int used = jp_payload_head(head, post->message, room);

    post->sending_blocks = 0;
    if (used < 0)
        return used;
    for (int i = 0; i < most && (size_t)used + post->items[i].size <= room; i++) {
        memcpy(post->message + used, post->bytes + from, post->items[i].size);
        used += (int)post->items[i].size;
        from += post->items[i].size;
        post->sending_blocks++;
    }
    return post->sending_blocks > 0 ? used : -EMSGSIZE;
}

static int records_json(struct jp_post *post, const struct jp_records_head *head)
{
    struct jp_payload_windows array;
    size_t room = jp_post_room(post) < post->json_room ? jp_post_room(post) : post->json_room, from = 0;
    int most = blocks_together(post), part = post->part;

    post->sending_blocks = 0;
    post->sending_windows = 0;
    if (room < 2)
        return -EMSGSIZE;
    jp_payload_windows_begin(&array, (char *)post->message, room);
    for (int i = 0; i < most; i++) {
        int next = jp_payload_windows_add(&array, head, post->bytes + from, post->items[i].size, part);

        if (next < 0)
            return next;
        if (next < post->items[i].windows) {
            post->sending_windows = next - part > 0 ? next : part;
            break;
        }
        post->sending_blocks++;
        from += post->items[i].size;
        part = 0;
    }
    post->sending_count = array.count;
    return array.count > 0 ? jp_payload_windows_end(&array) : -EMSGSIZE;
}

// Waits longer after each refusal, from 1 s to retry_max_s.
static void back_off(struct jp_post *post, bool quick)
{
    int64_t most = post->in->config->mqtt.retry_max_s;

    if (quick || post->delay_s == 0)
        post->delay_s = 1;
    else if (post->delay_s < most)
        post->delay_s *= 2;
    if (post->delay_s > most && most > 0)
        post->delay_s = most;
    post->next_item_ns = now_ns(post) + post->delay_s * JP_NS_PER_S;
}

static void refuse(struct jp_post *post, const char *why)
{
    uint64_t count = post->sending_blocks > 0 ? (uint64_t)post->sending_blocks : 1;

    if (post->refused == 0)
        jp_log_warning("the broker does not take what is sent (%s); it is kept and tried again", why);
    post->status_due |= post->refused != count;
    post->refused = count;
    post->degraded |= JP_POST_REFUSED;
}

static void send_records(struct jp_post *post)
{
    struct jp_records_head head;
    int size;

    jp_post_head(post, &post->items[0].anchor, &head);
    size = post->in->config->mqtt.format == JP_RECORDS_CBOR ? records_cbor(post, &head) : records_json(post, &head);
    if (size == -EMSGSIZE) {
        refuse(post, "a block is larger than its largest packet");
        back_off(post, false);
        return;
    }
    post->sending_size = (size_t)(size > 0 ? size : 0);
    if (size < 0 || jp_post_send(post, JP_POST_RECORDS, JP_LEAF_RECORDS, size))
        back_off(post, true);
}

static int event_message(struct jp_post *post, const struct jp_post_item *item)
{
    struct jp_records_head head;
    struct jp_event event;

    if (jp_event_decode(&event, post->bytes, item->size))
        return -EBADMSG;
    jp_post_head(post, &item->anchor, &head);
    return jp_payload_event(&head, &event, (char *)post->message, jp_post_room(post));
}

static int gap_message(struct jp_post *post, const struct jp_post_item *item)
{
    struct jp_records_head head;
    static struct jp_gap gap;
    static const struct jp_run nameless; // energies without names would be taken for others
    const struct jp_run *run = &nameless;

    if (jp_gap_decode(&gap, post->bytes, item->size))
        return -EBADMSG;
    if (post->run_known && gap.run == post->run.id)
        run = &post->run;
    else if (gap.run == post->run_before.id)
        run = &post->run_before;
    jp_post_head(post, &item->anchor, &head);
    return jp_payload_gap(&head, run, &gap, (char *)post->message, jp_post_room(post));
}

static int run_message(struct jp_post *post, const struct jp_post_item *item, struct jp_run *run)
{
    struct jp_records_head head;
    struct jp_event event = {.kind = "run"};

    jp_post_head(post, &item->anchor, &head);
    event.run = run->id;
    event.boot_ms =
        item->anchor.known ? item->anchor.anchor.boot_ms : post->in->clock->boot_ns(post->in->clock) / 1000000;
    snprintf(event.detail, sizeof event.detail,
             "{\"action\":\"start\",\"version\":\"%s\",\"device\":\"%s\",\"boot\":\"%s\",\"window_ms\":%d,"
             "\"block_windows\":%d}",
             post->tail.header.tool, post->in->device, run->boot, run->window_ms, run->block_windows);
    return jp_payload_event(&head, &event, (char *)post->message, jp_post_room(post));
}

static void send_run(struct jp_post *post)
{
    static struct jp_run run; // large
    struct jp_post_item *item = &post->items[0];
    int rc = jp_run_decode(&run, post->bytes, item->size);

    if (rc == 0 && !post->run_event_sent)
        rc = jp_post_send(post, JP_POST_OF_ITEM, JP_LEAF_EVENT, run_message(post, item, &run));
    else if (rc == 0)
        rc = jp_post_send(post, JP_POST_RUN_META, JP_LEAF_META, jp_post_meta(post, &run));
    if (rc)
        back_off(post, true);
}

static void send_item(struct jp_post *post)
{
    struct jp_post_item *item = &post->items[0];
    bool gap = item->kind == JP_POST_GAP;
    int size, rc;

    if (item->kind == JP_POST_BLOCK) {
        send_records(post);
        return;
    }
    post->sending_blocks = 0;
    if (item->kind == JP_POST_RUN) {
        send_run(post);
        return;
    }
    size = gap ? gap_message(post, item) : event_message(post, item);
    if (size == -EBADMSG) { // whole by its CRC but not by its content: nobody can read it
        jp_log_warning("a damaged %s is left out", gap ? "gap" : "event");
        post->degraded |= JP_POST_DAMAGED;
        post->told = item->next;
        jp_post_drop(post, 1);
        return;
    }
    rc = jp_post_send(post, JP_POST_OF_ITEM, gap ? JP_LEAF_GAP : JP_LEAF_EVENT, size);
    if (rc)
        back_off(post, true);
}

bool jp_post_meta_ready(const struct jp_post *post)
{
    return post->meta_due && post->head_run_known && !(post->item_count > 0 && post->items[0].kind == JP_POST_RUN);
}

// The small leaves come first: they are rare, and stay fresh while history is sent.
static void send_due(struct jp_post *post)
{
    int64_t now = now_ns(post);

    if (post->status_due || now >= post->next_status_ns) {
        post->status_due = false;
        post->next_status_ns = now + post->in->config->mqtt.status_s * JP_NS_PER_S;
        jp_post_send(post, JP_POST_STATUS, JP_LEAF_STATUS, jp_post_status(post));
    } else if (jp_post_meta_ready(post)) {
        post->meta_due = false;
        jp_post_send(post, JP_POST_META, JP_LEAF_META, jp_post_meta(post, &post->head_run));
    }
}

void jp_post_pump(struct jp_post *post)
{
    jp_post_live(post);
    for (int turn = 0; turn < 4 && post->up && post->sending == JP_POST_IDLE; turn++)
        send_due(post);
    while (post->up && post->sending == JP_POST_IDLE && post->item_count > 0 && now_ns(post) >= post->next_item_ns) {
        int before = post->item_count;

        send_item(post);
        if (post->sending == JP_POST_IDLE && post->item_count == before)
            break;
    }
}

static void release_blocks(struct jp_post *post)
{
    int rate = post->in->config->mqtt.backlog_blocks_per_s;

    for (int i = 0; i < post->sending_blocks; i++) {
        post->pending_windows -= (uint64_t)post->items[i].windows;
        post->pending_bytes -= post->items[i].frame_bytes;
        post->released_run = post->run.id;
        post->released_seq = post->items[i].last_seq;
    }
    post->part = post->in->config->mqtt.format == JP_RECORDS_JSON ? post->sending_windows : 0;
    jp_post_drop(post, post->sending_blocks);
    if (rate > 0)
        post->next_item_ns = now_ns(post) + post->sending_blocks * JP_NS_PER_S / rate;
    if (post->sending_blocks > 0)
        jp_post_cursor_store(post);
}

static void item_told(struct jp_post *post)
{
    post->told = post->items[0].next;
    if (post->items[0].kind == JP_POST_RUN) {
        if (jp_post_adopt_run(post, post->bytes, post->items[0].size))
            jp_log_error("a run cannot be packed: its windows are passed over");
        post->barred = false;
        post->run_event_sent = false;
    }
    jp_post_drop(post, 1);
    jp_post_cursor_store(post);
}

void jp_post_delivered(struct jp_post *post)
{
    enum jp_post_sending what = post->sending;

    post->sending = JP_POST_IDLE;
    if (what != JP_POST_RECORDS && what != JP_POST_OF_ITEM && what != JP_POST_RUN_META)
        return;
    post->tries = 0;
    post->delay_s = 0;
    if (post->refused > 0) {
        jp_log_info("the broker takes what is sent again");
        post->refused = 0;
        post->degraded &= ~(unsigned)JP_POST_REFUSED;
        post->status_due = true;
    }
    if (what == JP_POST_RECORDS)
        release_blocks(post);
    else if (post->items[0].kind == JP_POST_RUN && what == JP_POST_OF_ITEM)
        post->run_event_sent = true;
    else
        item_told(post);
    if (post->stalled)
        jp_post_read(post);
}

// Makes the next records message smaller than the one refused. False: it is one block, or one JSON window.
static bool split(struct jp_post *post)
{
    if (post->in->config->mqtt.format == JP_RECORDS_JSON) {
        if (post->sending_count < 2)
            return false;
        post->json_room = post->sending_size / 2 + 1;
        return true;
    }
    if (post->sending_blocks < 2)
        return false;
    post->blocks_max = post->sending_blocks / 2;
    return true;
}

void jp_post_failed(struct jp_post *post, int reason, const char *text)
{
    enum jp_post_sending what = post->sending;

    post->sending = JP_POST_IDLE;
    if (what == JP_POST_IDLE)
        return;
    if (what == JP_POST_STATUS)
        post->next_status_ns = now_ns(post) + STATUS_RETRY_NS;
    if (reason >= 0x80 && post->refused == 0 && what != JP_POST_RECORDS)
        jp_log_warning("the broker refuses %s: reason 0x%02x %s", post->topic, (unsigned)reason, text ? text : "");
    if (what != JP_POST_RECORDS && what != JP_POST_OF_ITEM && what != JP_POST_RUN_META)
        return;
    if (reason < 0x80) { // not known to have arrived: the same again
        back_off(post, true);
        return;
    }
    if (reason == REASON_TOO_LARGE && what == JP_POST_RECORDS && split(post))
        return;
    post->tries++;
    refuse(post, text && text[0] ? text : "reason code 0x80 or above");
    back_off(post, (reason == REASON_TOPIC_INVALID || reason == REASON_PAYLOAD_INVALID) && post->tries < TRIES_MAX);
}
