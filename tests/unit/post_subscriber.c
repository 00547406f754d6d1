// SPDX-License-Identifier: Apache-2.0
// A subscriber.
#include "post_subscriber.h"

#include "block.h"
#include "cbor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct subscriber_run *subscriber_run(struct subscriber *subscriber, uint64_t id)
{
    for (int i = 0; i < subscriber->run_count; i++)
        if (subscriber->runs[i].id == id)
            return &subscriber->runs[i];
    return NULL;
}

static struct subscriber_run *meet(struct subscriber *subscriber, uint64_t id)
{
    struct subscriber_run *run = subscriber_run(subscriber, id);

    if (run)
        return run;
    assert(subscriber->run_count < SUBSCRIBER_RUNS);
    run = &subscriber->runs[subscriber->run_count++];
    *run = (struct subscriber_run){.id = id, .run_no = -1};
    return run;
}

static void take_window(struct subscriber *subscriber, struct subscriber_run *run, const struct jp_window *window)
{
    assert(window->seq < SUBSCRIBER_SEQ);
    if (run->seen[window->seq]) {
        run->doubled++;
        return;
    }
    subscriber->ordered &= run->windows == 0 || window->seq > run->last_seq;
    subscriber->ordered &= run == &subscriber->runs[subscriber->run_count - 1];
    run->seen[window->seq] = true;
    run->last_seq = window->seq;
    run->windows++;
    for (int c = 0; c < 2; c++)
        run->mj[c] += window->channels[c].mj;
}

static void take_block(struct subscriber *subscriber, const struct world *world, size_t at, size_t size)
{
    static struct jp_block_reader reader;
    static struct jp_window window;
    struct subscriber_run *run;
    size_t *first_at, *first_size;

    if (jp_block_read(&reader, world->log->arena + at, size))
        abort();
    run = meet(subscriber, reader.run);
    first_at = &subscriber->first[run - subscriber->runs][reader.seq].at;
    first_size = &subscriber->first[run - subscriber->runs][reader.seq].size;
    if (*first_size > 0)
        subscriber->differing |=
            *first_size != size || memcmp(world->log->arena + *first_at, world->log->arena + at, size) != 0;
    *first_at = at;
    *first_size = size;
    subscriber->blocks++;
    while (jp_block_next(&reader, &window) == 1)
        take_window(subscriber, run, &window);
}

struct head {
    int64_t off_ms;
    char clock[16];
};

static void take_head(struct jp_cbor_in *in, struct head *head)
{
    size_t pairs = jp_cbor_get_map(in);

    while (pairs-- > 0) {
        char key[16];

        jp_cbor_copy_text(in, key, sizeof key);
        if (strcmp(key, "off_ms") == 0 && !jp_cbor_get_null(in))
            head->off_ms = jp_cbor_get_int(in);
        else if (strcmp(key, "clock") == 0)
            jp_cbor_copy_text(in, head->clock, sizeof head->clock);
        else if (strcmp(key, "off_ms") != 0)
            jp_cbor_skip(in);
    }
    assert(!in->failed);
}

static void take_records(struct subscriber *subscriber, const struct world *world, const struct world_message *message)
{
    struct head head = {.off_ms = 0};
    struct jp_cbor_in in;

    jp_cbor_in_init(&in, world->log->arena + message->at, message->size);
    take_head(&in, &head);
    while (in.at < in.size) {
        size_t from = in.at;
        struct jp_block_head block;
        struct subscriber_run *run;

        jp_cbor_skip(&in);
        if (in.failed || jp_block_peek(&block, world->log->arena + message->at + from, in.at - from))
            abort();
        take_block(subscriber, world, message->at + from, in.at - from);
        run = subscriber_run(subscriber, block.run);
        run->off_ms = head.off_ms;
        memcpy(run->device, message->device, sizeof run->device);
        memcpy(run->clock, head.clock, sizeof run->clock);
        if (run->first_clock[0] == '\0')
            memcpy(run->first_clock, head.clock, sizeof run->first_clock);
    }
}

json_t *subscriber_json(const struct world *world, const struct world_message *message)
{
    json_t *json = json_loadb((const char *)world->log->arena + message->at, message->size, 0, NULL);

    assert(json);
    return json;
}

static uint64_t run_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? strtoull(text, NULL, 16) : 0;
}

static void take_gap(struct subscriber *subscriber, const json_t *gap)
{
    struct subscriber_run *run = meet(subscriber, run_of(gap, "run"));
    int64_t first = json_integer_value(json_object_get(gap, "first_seq"));
    int64_t last = json_integer_value(json_object_get(gap, "last_seq"));
    const json_t *energy = json_object_get(gap, "energy_mj");

    if (run->in_gap[first])
        return; // again
    subscriber->gaps++;
    for (int64_t seq = first; seq <= last; seq++)
        run->in_gap[seq] = true;
    run->gap_mj[0] += json_integer_value(json_object_get(energy, "r0"));
    run->gap_mj[1] += json_integer_value(json_object_get(energy, "r1"));
}

static void take_event(struct subscriber *subscriber, const json_t *event)
{
    const json_t *detail = json_object_get(event, "detail"), *prev = json_object_get(detail, "prev");
    struct subscriber_run *run;

    subscriber->events++;
    if (strcmp(json_string_value(json_object_get(event, "kind")), "run") != 0 || !json_object_get(detail, "run_no"))
        return;
    run = meet(subscriber, run_of(event, "run"));
    run->run_no = json_integer_value(json_object_get(detail, "run_no"));
    run->prev_known = json_is_object(prev);
    run->prev_run = run_of(prev, "run");
    run->prev_seq = json_integer_value(json_object_get(prev, "last_seq"));
    run->prev_clean = json_is_true(json_object_get(prev, "clean"));
}

void subscriber_take(struct subscriber *subscriber, const struct world *world, int from)
{
    if (from == 0) {
        memset(subscriber, 0, sizeof *subscriber);
        subscriber->ordered = true;
    }
    for (int i = from; i < world->log->count; i++) {
        const struct world_message *message = &world->log->messages[i];
        bool gap = strcmp(message->leaf, "gap") == 0;

        if (strcmp(message->leaf, "records") == 0) {
            take_records(subscriber, world, message);
        } else if (gap || strcmp(message->leaf, "event") == 0) {
            json_t *json = subscriber_json(world, message);

            if (gap)
                take_gap(subscriber, json);
            else
                take_event(subscriber, json);
            json_decref(json);
        }
    }
}

int subscriber_count(const struct world *world, const char *leaf)
{
    int n = 0;

    for (int i = 0; i < world->log->count; i++)
        n += strcmp(world->log->messages[i].leaf, leaf) == 0 && world->log->messages[i].delivered;
    return n;
}
