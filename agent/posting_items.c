// SPDX-License-Identifier: Apache-2.0
// What the queue holds beside blocks, as messages: events, gaps, the event that begins a run.
#include "posting_parts.h"

#include <errno.h>
#include <stdio.h>

static int event_message(struct jp_post *post, const struct jp_post_item *item, const uint8_t *bytes)
{
    struct jp_records_head head;
    struct jp_event event;

    if (jp_event_decode(&event, bytes, item->size))
        return -EBADMSG;
    jp_post_head(post, &item->anchor, &head);
    return jp_payload_event(&head, &event, (char *)post->message, jp_post_room(post));
}

static int gap_message(struct jp_post *post, const struct jp_post_item *item, const uint8_t *bytes)
{
    struct jp_records_head head;
    static struct jp_gap gap;
    static const struct jp_run nameless; // energies without names would be taken for others
    const struct jp_run *run = &nameless;

    if (jp_gap_decode(&gap, bytes, item->size))
        return -EBADMSG;
    if (post->run_known && gap.run == post->run.id)
        run = &post->run;
    else if (gap.run == post->run_before.id)
        run = &post->run_before;
    jp_post_head(post, &item->anchor, &head);
    return jp_payload_gap(&head, run, &gap, (char *)post->message, jp_post_room(post));
}

static int run_message(struct jp_post *post, const struct jp_post_item *item, const uint8_t *bytes)
{
    static struct jp_run run; // large
    struct jp_records_head head;
    struct jp_event event = {.kind = "run"};

    if (jp_run_decode(&run, bytes, item->size))
        return -EBADMSG;
    jp_post_head(post, &item->anchor, &head);
    event.run = run.id;
    event.boot_ms = item->began_ms;
    snprintf(event.detail, sizeof event.detail,
             "{\"action\":\"start\",\"version\":\"%s\",\"device\":\"%s\",\"boot\":\"%s\",\"window_ms\":%d,"
             "\"block_windows\":%d}",
             post->tail.file.header.tool, post->in->device, run.boot, run.window_ms, run.block_windows);
    return jp_payload_event(&head, &event, (char *)post->message, jp_post_room(post));
}

int jp_post_item_message(struct jp_post *post, const struct jp_post_item *item, const uint8_t *bytes)
{
    if (item->kind == JP_POST_RUN)
        return run_message(post, item, bytes);
    return item->kind == JP_POST_GAP ? gap_message(post, item, bytes) : event_message(post, item, bytes);
}
