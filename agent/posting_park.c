// SPDX-License-Identifier: Apache-2.0
// A block whose content the broker does not take: kept in the folder `refused`, a spool of its own, and a gap says so.
#include "posting_parts.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHARE 8 // of spool.max_bytes at most; the oldest go

struct parked {
    const struct jp_run *run;
    const struct jp_post_anchor *anchor;
    const void *block;
    size_t size;
};

static void preface(void *context, struct jp_spool *spool)
{
    static uint8_t bytes[JP_POST_RECORD_MAX];
    const struct parked *parked = context;
    int size = jp_run_encode(parked->run, bytes, sizeof bytes);

    if (size > 0)
        jp_spool_append(spool, JP_FRAME_RUN, bytes, (size_t)size);
    size = parked->anchor->known ? jp_anchor_encode(&parked->anchor->anchor, bytes, sizeof bytes) : 0;
    if (size > 0)
        jp_spool_append(spool, JP_FRAME_ANCHOR, bytes, (size_t)size);
}

// Nobody has taken what lies there: nothing is released, and an upload of it is none of the spool beside it.
static int keep(const struct jp_post *post, struct parked *parked)
{
    static struct jp_spool spool; // large
    const struct jp_entropy *entropy = post->in->entropy;
    uint64_t id[2] = {entropy->u64(entropy), entropy->u64(entropy)};
    struct jp_spool_now now = jp_post_spool_now(post);
    char dir[JP_PATH_MAX];
    struct jp_spool_config config = {
        .fs = post->in->fs,
        .dir = dir,
        .max_bytes = post->in->config->spool.max_bytes / SHARE,
        .keep_all = true,
        .header = post->store.spool.header,
        .calls = {.context = parked, .preface = preface},
    };
    int rc, n = snprintf(dir, sizeof dir, "%s/refused", post->in->config->paths_spool);

    if (n < 0 || (size_t)n >= sizeof dir)
        return -ENAMETOOLONG;
    memcpy(config.header.spool_id, id, sizeof config.header.spool_id);
    rc = jp_spool_open(&spool, &config, &now);
    if (rc)
        return rc;
    jp_spool_append(&spool, JP_FRAME_BLOCK, parked->block, parked->size);
    rc = jp_spool_commit(&spool, &now);
    if (rc)
        jp_spool_forget(&spool);
    jp_spool_close(&spool, &now);
    return rc;
}

// The gap stands where the block stood.
static void replace(struct jp_post_queue *queue, const void *bytes, size_t size)
{
    struct jp_post_item *item = &queue->items[queue->sent];
    uint8_t *at = queue->bytes + queue->sent_bytes;
    size_t behind = queue->used - queue->sent_bytes - item->size;

    memmove(at + size, at + item->size, behind);
    memcpy(at, bytes, size);
    queue->used = queue->used - item->size + size;
    item->kind = JP_POST_GAP;
    item->size = size;
}

int jp_post_park(struct jp_post *post, struct jp_post_queue *queue)
{
    static struct jp_gap gap; // large
    static uint8_t bytes[JP_POST_RECORD_MAX];
    const uint8_t *block;
    struct jp_post_item *item = jp_post_first(queue, &block);
    struct parked parked = {queue->run, item ? &item->anchor : NULL, block, item ? item->size : 0};
    int part = post->part_of == queue ? post->part : 0, size, rc;

    if (!post->store.open || !item || item->kind != JP_POST_BLOCK)
        return -EINVAL;
    rc = keep(post, &parked);
    if (rc) {
        jp_log_error("%s/refused cannot take a block that the broker refuses: %s", post->in->config->paths_spool,
                     strerror(-rc));
        return rc;
    }
    gap.windows = 0;
    snprintf(gap.reason, sizeof gap.reason, "refused");
    rc = jp_post_gap_add(&gap, block, item->size, part);
    size = rc ? rc : jp_gap_encode(&gap, bytes, sizeof bytes);
    if (size < 0)
        return size;
    jp_log_error("the broker does not take the content of windows %llu to %llu: kept in %s/refused, a gap is sent",
                 (unsigned long long)gap.first_seq, (unsigned long long)gap.last_seq, post->in->config->paths_spool);
    jp_post_lost(post, &gap);
    post->part = 0;
    replace(queue, bytes, (size_t)size);
    return 0;
}
