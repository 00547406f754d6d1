// SPDX-License-Identifier: Apache-2.0
// What a queue holds beside blocks, as messages: events and gaps.
#include "posting_parts.h"

#include <errno.h>

static int event_message(struct jp_post *post, const struct jp_post_item *item, const uint8_t *bytes,
                         const struct jp_records_head *head)
{
    struct jp_event event;

    if (jp_event_decode(&event, bytes, item->size))
        return -EBADMSG;
    return jp_payload_event(head, &event, (char *)post->message, jp_post_room(post));
}

int jp_post_item_message(struct jp_post *post, const struct jp_post_item *item, const uint8_t *bytes,
                         const struct jp_run *run)
{
    static struct jp_gap gap;            // large
    static const struct jp_run nameless; // energies without names would be taken for others
    struct jp_records_head head;

    jp_post_head(post, run, &item->anchor, &head);
    if (item->kind != JP_POST_GAP)
        return event_message(post, item, bytes, &head);
    if (jp_gap_decode(&gap, bytes, item->size))
        return -EBADMSG;
    if (!run || gap.run != run->id)
        run = gap.run == post->run_before.id ? &post->run_before : &nameless;
    return jp_payload_gap(&head, run, &gap, (char *)post->message, jp_post_room(post));
}
