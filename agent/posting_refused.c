// SPDX-License-Identifier: Apache-2.0
// What the broker refuses: said once, counted, and tried again. Events and gaps stand aside, so that records pass.
#include "posting_parts.h"

#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const leaf_words[] = {
    [JP_LEAF_STATUS] = "status", [JP_LEAF_META] = "meta", [JP_LEAF_LIVE] = "live", [JP_LEAF_RECORDS] = "records",
    [JP_LEAF_EVENT] = "event",   [JP_LEAF_GAP] = "gap",   [JP_LEAF_CMD] = "cmd",
};

void jp_post_back_off(const struct jp_post *post, struct jp_post_retry *retry, bool quick)
{
    int64_t most = post->in->config->mqtt.retry_max_s;

    if (quick || retry->delay_s == 0)
        retry->delay_s = 1;
    else if (retry->delay_s < most)
        retry->delay_s *= 2;
    if (retry->delay_s > most && most > 0)
        retry->delay_s = most;
    retry->next_ns = post->in->clock->mono_ns(post->in->clock) + retry->delay_s * JP_NS_PER_S;
}

static void recount(struct jp_post *post)
{
    bool meta = post->refused_leaves & 1U << JP_LEAF_META;
    uint64_t now = post->refused_blocks + (uint64_t)post->aside_count + meta;

    if (now == post->refused)
        return;
    if (now == 0)
        jp_log_info("the broker takes what is sent again");
    post->status_due = true;
    post->refused = now;
    post->degraded &= ~(unsigned)JP_POST_REFUSED;
    if (now > 0)
        post->degraded |= JP_POST_REFUSED;
}

void jp_post_refused(struct jp_post *post, enum jp_leaf leaf, const char *why)
{
    if (!(post->refused_leaves & 1U << leaf))
        jp_log_warning("the broker does not take %s (%s); it is kept and tried again", leaf_words[leaf], why);
    post->refused_leaves |= 1U << leaf;
    recount(post);
}

void jp_post_taken(struct jp_post *post, enum jp_leaf leaf)
{
    post->refused_leaves &= ~(1U << leaf);
    recount(post);
}

static void drop(struct jp_post *post, int i)
{
    free(post->aside[i].bytes);
    post->aside_count--;
    memmove(post->aside + i, post->aside + i + 1, (size_t)(post->aside_count - i) * sizeof post->aside[0]);
}

bool jp_post_is_aside(const struct jp_post *post, struct jp_pos end)
{
    for (int i = 0; i < post->aside_count; i++)
        if (post->aside[i].stored && jp_pos_compare(post->aside[i].item.next, end) == 0)
            return true;
    return false;
}

static void put_aside(struct jp_post *post, const struct jp_post_queue *queue, const struct jp_post_item *item,
                      uint8_t *bytes)
{
    struct jp_post_aside *aside = &post->aside[post->aside_count++];

    *aside = (struct jp_post_aside){*item, bytes, .stored = queue == &post->backlog};
    snprintf(aside->boot, sizeof aside->boot, "%s", queue->run->boot);
    snprintf(aside->device, sizeof aside->device, "%s", jp_post_device(post, queue->run));
}

void jp_post_put_aside(struct jp_post *post, struct jp_post_queue *queue)
{
    const uint8_t *from;
    const struct jp_post_item *item = jp_post_first(queue, &from);
    uint8_t *bytes = malloc(item->size + 1);

    if (post->aside_count == JP_POST_ASIDE_MAX) {
        jp_log_warning("more than %d events and gaps are refused: the oldest is given up", JP_POST_ASIDE_MAX);
        drop(post, 0);
    }
    if (post->aside_count == 0)
        jp_post_back_off(post, &post->beside, true);
    if (bytes) {
        memcpy(bytes, from, item->size);
        put_aside(post, queue, item, bytes);
    } else {
        jp_log_error("no memory for a refused event or gap: it is given up");
    }
    recount(post);
}

void jp_post_aside_again(struct jp_post *post)
{
    for (int i = post->aside_count - 1; i >= 0; i--)
        if (post->aside[i].stored && (i > 0 || post->sending != JP_POST_ASIDE)) // that one is under way
            drop(post, i);
    recount(post);
}

void jp_post_send_aside(struct jp_post *post)
{
    static struct jp_run run; // large; of it only what the item remembers
    const struct jp_post_aside *first = &post->aside[0];
    enum jp_leaf leaf = first->item.kind == JP_POST_GAP ? JP_LEAF_GAP : JP_LEAF_EVENT;
    int size;

    memcpy(run.boot, first->boot, sizeof run.boot);
    memcpy(run.device, first->device, sizeof run.device);
    size = jp_post_item_message(post, &first->item, first->bytes, &run);
    post->speaker = jp_post_device(post, &run);
    if (jp_post_send(post, JP_POST_ASIDE, leaf, size))
        jp_post_back_off(post, &post->beside, false);
}

void jp_post_aside_delivered(struct jp_post *post)
{
    drop(post, 0);
    post->beside = (struct jp_post_retry){0, 0};
    recount(post);
    jp_post_release(post); // the durable spool may have waited for it
}

int jp_post_aside_store(struct jp_post *post)
{
    struct jp_spool_now now = jp_post_spool_now(post);
    int count = 0;

    for (int i = 0; i < post->aside_count; i++) {
        const struct jp_post_aside *aside = &post->aside[i];

        if (aside->stored)
            continue;
        count++;
        if (post->store.open)
            jp_spool_append(&post->store.spool, aside->item.kind == JP_POST_GAP ? JP_FRAME_GAP : JP_FRAME_EVENT,
                            aside->bytes, aside->item.size);
    }
    if (count == 0 || (post->store.open && jp_spool_commit(&post->store.spool, &now) == 0))
        return 0;
    return count;
}
