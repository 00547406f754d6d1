// SPDX-License-Identifier: Apache-2.0
// Wall time of a boot that learned it late: the first anchor further on in the durable spool that is not unsynced.
#include "posting_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct search {
    struct jp_spool_reader reader;
    const char *boot;
    bool of_boot;          // the frames at hand are of that boot
    uint64_t last, before; // segments that begin in that boot, and not with a good anchor
    struct jp_post_anchor found;
};

// Whether the search goes on: not beyond the boot's end, nor the first good anchor.
static bool look(struct search *search, const struct jp_frame *frame)
{
    static struct jp_run run; // large
    struct jp_anchor anchor;

    if (frame->type == JP_FRAME_RUN && jp_run_decode(&run, frame->payload, frame->size) == 0) {
        bool ended = search->of_boot && strcmp(run.boot, search->boot) != 0;

        search->of_boot = strcmp(run.boot, search->boot) == 0;
        if (search->of_boot && search->last != frame->at.segment) {
            search->before = search->last;
            search->last = frame->at.segment;
        }
        return !ended;
    }
    if (frame->type != JP_FRAME_ANCHOR || !search->of_boot || jp_anchor_decode(&anchor, frame->payload, frame->size) ||
        anchor.clock == JP_CLOCK_UNSYNCED)
        return true;
    search->found = (struct jp_post_anchor){true, anchor};
    return false;
}

// Looks through the frames up to `end`; with `fronts` only at what each segment begins with.
static void walk(struct search *search, uint64_t from, struct jp_pos end, bool fronts)
{
    struct jp_frame frame;
    int rc;

    jp_spool_reader_seek(&search->reader, (struct jp_pos){from, 0});
    search->reader.end = end;
    while ((rc = jp_spool_reader_next(&search->reader, &frame)) >= 0 && rc != JP_SPOOL_END) {
        if (rc != JP_SPOOL_FRAME)
            continue;
        if (!look(search, &frame))
            return;
        if (fronts && frame.type != JP_FRAME_RUN && frame.type != JP_FRAME_ANCHOR)
            jp_spool_reader_skip(&search->reader);
    }
}

// Every segment begins with the anchor in force: only the one before the first good beginning has to be read whole.
static struct jp_post_anchor find(const struct jp_post *post, struct search *search)
{
    const struct jp_spool *spool = &post->store.spool;
    struct jp_post_anchor front;
    uint64_t segment;

    walk(search, spool->cursor.segment, jp_spool_end(spool), true);
    front = search->found;
    segment = front.known ? search->before : search->last;
    if (segment == 0)
        return front;
    search->found.known = search->of_boot = false;
    walk(search, segment, (struct jp_pos){segment + 1, 0}, false);
    return search->found.known ? search->found : front;
}

const struct jp_post_anchor *jp_post_repair(struct jp_post *post, const char *boot)
{
    struct search search = {.boot = boot};

    if (strcmp(post->repair.boot, boot) == 0)
        return &post->repair.anchor;
    snprintf(post->repair.boot, sizeof post->repair.boot, "%s", boot);
    post->repair.anchor.known = false;
    if (!post->store.open ||
        jp_spool_reader_open(&search.reader, post->in->fs, post->in->config->paths_spool, (struct jp_pos){0, 0}))
        return &post->repair.anchor;
    post->repair.anchor = find(post, &search);
    jp_spool_reader_close(&search.reader);
    return &post->repair.anchor;
}
