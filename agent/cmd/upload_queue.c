// SPDX-License-Identifier: Apache-2.0
// Entries of a spool into messages: blocks of one head together, events and gaps one by one.
#include "upload.h"

#include "name.h"

#include "topics.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define PACKET_OVERHEAD 64 // fixed head, topic length, packet id, properties with the content type

static const char *device_of(const struct jp_upload_queue *queue)
{
    return queue->look->history.device;
}

// A stranger's device must not become another topic.
static bool has_owner(struct jp_upload_queue *queue)
{
    const struct jp_history *history = &queue->look->history;

    if (jp_name_is_good(history->device, JP_DEVICE_MAX))
        return true;
    queue->look->senseless++;
    if (queue->ownerless.segment == history->at.segment)
        return false;
    queue->ownerless = history->at;
    jp_look_clear();
    fprintf(stderr, "%s: segment %" PRIu64 ": nothing in it tells whose it is: passed over\n", queue->look->verb,
            history->at.segment);
    return false;
}

static void add(struct jp_upload_sum *sum, enum jp_entry_kind kind, int windows)
{
    sum->blocks += kind == JP_ENTRY_BLOCK;
    sum->windows += (uint64_t)windows;
    sum->events += kind == JP_ENTRY_EVENT;
    sum->gaps += kind == JP_ENTRY_GAP;
}

// Where a spool begins with one it is a hot spool. Elsewhere post would pass it by, and so do we, with a word.
static void take_window(struct jp_upload_queue *queue)
{
    const struct jp_history *history = &queue->look->history;

    if (!queue->durable) {
        queue->hot = true;
        queue->hand = JP_ENTRY_END;
        return;
    }
    if (jp_pos_compare(history->at, queue->look->from) < 0)
        return;
    queue->look->senseless++;
    if (queue->windowed.segment == history->at.segment)
        return;
    queue->windowed = history->at;
    jp_look_clear();
    fprintf(stderr, "%s: segment %" PRIu64 " at %" PRId64 ": a window of a hot spool: passed over\n", queue->look->verb,
            history->at.segment, history->at.offset);
}

static void fetch(struct jp_upload_queue *queue)
{
    const struct jp_history *history = &queue->look->history;

    for (;;) {
        queue->hand = *queue->stop ? JP_ENTRY_END : jp_look_next(queue->look);
        if (queue->hand == JP_ENTRY_WINDOW)
            take_window(queue);
        if (queue->hand == JP_ENTRY_END)
            return;
        if (queue->hand != JP_ENTRY_BLOCK && queue->hand != JP_ENTRY_EVENT && queue->hand != JP_ENTRY_GAP)
            continue;
        queue->durable = true;
        if (jp_pos_compare(history->at, queue->look->from) < 0)
            add(&queue->skipped, queue->hand, queue->hand == JP_ENTRY_BLOCK ? history->block.count : 0);
        else if (has_owner(queue))
            return;
    }
}

void jp_upload_queue_begin(struct jp_upload_queue *queue, struct jp_look *look, const volatile sig_atomic_t *stop)
{
    memset(queue, 0, sizeof *queue);
    queue->look = look;
    queue->stop = stop;
    queue->limit = INT_MAX;
    queue->done = look->from;
    fetch(queue);
}

// Records ----------------------------------------------------------------------------------------
static void take_head(struct jp_upload_queue *queue)
{
    queue->head = queue->look->history.head;
    snprintf(queue->device, sizeof queue->device, "%s", device_of(queue));
    snprintf(queue->boot, sizeof queue->boot, "%s", queue->head.boot);
    queue->head.device = queue->device;
    queue->head.boot = queue->boot;
}

static bool same_head(const struct jp_upload_queue *queue)
{
    const struct jp_records_head *a = &queue->head, *b = &queue->look->history.head;

    return strcmp(queue->device, device_of(queue)) == 0 && strcmp(a->boot, b->boot) == 0 &&
           a->off_known == b->off_known && (!a->off_known || a->off_ms == b->off_ms) && a->clock == b->clock;
}

static bool is_next(const struct jp_upload_queue *queue)
{
    size_t size = queue->look->history.frame.size;

    return queue->hand == JP_ENTRY_BLOCK && queue->count < JP_UPLOAD_ITEMS &&
           queue->used + size <= sizeof queue->bytes && (queue->count == 0 || same_head(queue));
}

static void fill(struct jp_upload_queue *queue)
{
    const struct jp_history *history = &queue->look->history;

    while (is_next(queue)) {
        if (queue->count == 0)
            take_head(queue);
        memcpy(queue->bytes + queue->used, history->frame.payload, history->frame.size);
        queue->used += history->frame.size;
        queue->items[queue->count].size = history->frame.size;
        queue->items[queue->count].windows = history->block.count;
        queue->items[queue->count].next = history->frame.next;
        queue->count++;
        fetch(queue);
    }
}

// How many blocks at the front may share a message.
static int together(const struct jp_upload_queue *queue)
{
    int rate = queue->look->config.mqtt.backlog_blocks_per_s;

    return rate > 0 && rate < queue->count ? rate : queue->count;
}

static int records_cbor(struct jp_upload_queue *queue, size_t room)
{
    int most = together(queue), used = jp_payload_head(&queue->head, queue->message, room);
    size_t from = 0;

    if (used < 0)
        return used;
    for (int i = 0; i < most && i < queue->limit && (size_t)used + queue->items[i].size <= room; i++) {
        memcpy(queue->message + used, queue->bytes + from, queue->items[i].size);
        used += (int)queue->items[i].size;
        from += queue->items[i].size;
        queue->sending_blocks++;
    }
    queue->sending_count = queue->sending_blocks;
    return queue->sending_blocks > 0 ? used : -EMSGSIZE;
}

static int records_json(struct jp_upload_queue *queue, size_t room)
{
    struct jp_payload_windows array;
    int most = together(queue), part = queue->part;
    size_t from = 0;

    if (room < 2)
        return -EMSGSIZE;
    jp_payload_windows_begin(&array, (char *)queue->message, room);
    array.most = queue->limit;
    for (int i = 0; i < most; i++) {
        int next = jp_payload_windows_add(&array, &queue->head, queue->bytes + from, queue->items[i].size, part);

        if (next < 0)
            return next;
        if (next < queue->items[i].windows) {
            queue->sending_part = next > part ? next : part;
            break;
        }
        queue->sending_blocks++;
        from += queue->items[i].size;
        part = 0;
    }
    queue->sending_count = array.count;
    return array.count > 0 ? jp_payload_windows_end(&array) : -EMSGSIZE;
}

// Messages ---------------------------------------------------------------------------------------
static enum jp_leaf leaf_of(enum jp_entry_kind kind)
{
    if (kind == JP_ENTRY_BLOCK)
        return JP_LEAF_RECORDS;
    return kind == JP_ENTRY_EVENT ? JP_LEAF_EVENT : JP_LEAF_GAP;
}

static int write_payload(struct jp_upload_queue *queue, size_t room)
{
    const struct jp_history *history = &queue->look->history;
    char *text = (char *)queue->message;

    queue->sending_blocks = queue->sending_count = queue->sending_part = 0;
    if (queue->sending == JP_ENTRY_EVENT)
        return jp_payload_event(&history->head, &history->event, text, room);
    if (queue->sending == JP_ENTRY_GAP)
        return jp_payload_gap(&history->head, history->gap_run, &history->gap, text, room);
    return queue->look->config.mqtt.format == JP_RECORDS_CBOR ? records_cbor(queue, room) : records_json(queue, room);
}

int jp_upload_queue_make(struct jp_upload_queue *queue, uint32_t max_packet, struct jp_message *message)
{
    const struct jp_config *config = &queue->look->config;
    size_t overhead, room = JP_MESSAGE_MAX;
    bool cbor;
    int size;

    fill(queue);
    queue->sending = queue->count > 0 ? JP_ENTRY_BLOCK : queue->hand;
    if (queue->sending == JP_ENTRY_END)
        return 0;
    size = jp_topic_leaf(queue->topic, sizeof queue->topic, config->mqtt.root,
                         queue->count > 0 ? queue->device : device_of(queue), leaf_of(queue->sending));
    if (size)
        return size;
    overhead = PACKET_OVERHEAD + strlen(queue->topic);
    if (max_packet < room + overhead)
        room = max_packet > overhead ? max_packet - overhead : 0;
    size = write_payload(queue, room);
    if (size < 0)
        return size;
    cbor = queue->sending == JP_ENTRY_BLOCK && config->mqtt.format == JP_RECORDS_CBOR;
    *message = (struct jp_message){.topic = queue->topic,
                                   .payload = queue->message,
                                   .size = (size_t)size,
                                   .qos = 1,
                                   .content_type = cbor ? "application/cbor-seq" : "application/json",
                                   .proof = queue->sending == JP_ENTRY_BLOCK};
    return 1;
}

static void take_blocks(struct jp_upload_queue *queue)
{
    size_t size = 0;

    for (int i = 0; i < queue->sending_blocks; i++) {
        size += queue->items[i].size;
        add(&queue->sent, JP_ENTRY_BLOCK, queue->items[i].windows - (i == 0 ? queue->part : 0));
        queue->done = queue->items[i].next;
    }
    // Where a message ended inside a block: its windows up to there.
    if (queue->sending_part > 0)
        queue->sent.windows += (uint64_t)(queue->sending_part - (queue->sending_blocks == 0 ? queue->part : 0));
    queue->part = queue->sending_part;
    queue->used -= size;
    queue->count -= queue->sending_blocks;
    memmove(queue->bytes, queue->bytes + size, queue->used);
    memmove(queue->items, queue->items + queue->sending_blocks, (size_t)queue->count * sizeof queue->items[0]);
}

void jp_upload_queue_taken(struct jp_upload_queue *queue)
{
    if (queue->sending == JP_ENTRY_BLOCK) {
        take_blocks(queue);
        return;
    }
    add(&queue->sent, queue->sending, 0);
    queue->done = queue->look->history.frame.next;
    fetch(queue);
}

bool jp_upload_queue_split(struct jp_upload_queue *queue)
{
    if (queue->sending != JP_ENTRY_BLOCK || queue->sending_count < 2)
        return false;
    // A quarter: some brokers close the connection upon each try.
    queue->limit = queue->sending_count < 8 ? queue->sending_count / 2 : queue->sending_count / 4;
    return true;
}
