// SPDX-License-Identifier: Apache-2.0
// What the durable spool holds when it is opened: its windows, the last of them, and how many are not released.
//
// The RUN a segment begins with says how many windows were stored before it.
#include "posting_parts.h"

#include <string.h>

#define SEGMENTS_MAX 4 // the newest may hold gaps only
#define FILES_MAX 32   // or be none of ours

// What the walk through one segment found.
struct survey {
    struct jp_post_run_no no;
    uint64_t windows; // before its frames, then behind the last one
    bool run, numbered, block;
    struct jp_block_head head;
};

static void survey_frame(struct jp_post *post, const struct jp_frame *frame, struct survey *found)
{
    static struct jp_block_reader reader; // large
    struct jp_post_run_no no;
    uint64_t stored;

    if (frame->type == JP_FRAME_RUN) {
        found->numbered = jp_post_run_read(frame->payload, frame->size, &no, &stored);
        if (found->numbered && !jp_post_run_no(post, no.id))
            jp_post_keep_run(post, &no);
        if (!found->run)
            found->windows = stored;
        found->run = true;
        return;
    }
    if (frame->type != JP_FRAME_BLOCK || jp_block_peek(&found->head, frame->payload, frame->size))
        return;
    found->windows += (uint64_t)found->head.count;
    found->block = true;
    if (found->head.run == post->registers.run && jp_block_read(&reader, frame->payload, frame->size) == 0)
        jp_registers_prove(&post->registers, &reader);
}

// Looks through a segment up to `end` (offset 0: all of it). False: it cannot be read.
static bool survey_segment(struct jp_post *post, struct jp_pos end, struct survey *found)
{
    struct jp_spool_reader reader;
    struct jp_frame frame;
    int rc =
        jp_spool_reader_open(&reader, post->in->fs, post->in->config->paths_spool, (struct jp_pos){end.segment, 0});

    *found = (struct survey){.run = false};
    if (rc)
        return false;
    reader.end = end.offset > 0 ? end : (struct jp_pos){end.segment + 1, 0};
    while ((rc = jp_spool_reader_next(&reader, &frame)) >= 0 && rc != JP_SPOOL_END)
        if (rc == JP_SPOOL_FRAME)
            survey_frame(post, &frame, found);
    jp_spool_reader_close(&reader);
    return rc >= 0;
}

struct below {
    uint64_t limit, number;
};

static int take_lower(void *context, const char *name)
{
    struct below *below = context;
    uint64_t number;

    if (jp_segment_number(name, &number) && number < below->limit && number > below->number)
        below->number = number;
    return 0;
}

// The highest segment below `limit` that is there, 0 none.
static uint64_t find_below(const struct jp_post *post, uint64_t limit)
{
    struct below below = {limit, 0};

    post->in->fs->list(post->in->fs, post->in->config->paths_spool, take_lower, &below);
    return below.number;
}

// From the newest segment down to the last block.
static void survey_newest(struct jp_post *post)
{
    struct jp_post_store *store = &post->store;
    uint64_t number = JP_SEGMENT_NUMBER_MAX + 1;
    struct survey found;
    int segments = 0;

    for (int i = 0; i < FILES_MAX && segments < SEGMENTS_MAX; i++) {
        number = find_below(post, number);
        if (number == 0)
            return;
        if (!survey_segment(post, (struct jp_pos){number, 0}, &found))
            continue;
        if (found.run && segments++ == 0)
            store->windows = found.windows;
        if (!found.block)
            continue;
        store->last_known = true;
        store->last_run = found.head.run;
        store->last_seq = found.head.seq + (uint64_t)found.head.count - 1;
        return;
    }
}

static void know_last(struct jp_post *post)
{
    const struct jp_post_store *store = &post->store;
    struct jp_post_state *state = &post->state;
    const struct jp_post_run_no *stored = jp_post_run_no(post, store->last_run);
    const struct jp_post_run_no *known = jp_post_run_no(post, state->last_run);

    if (!store->last_known || (state->last_known && stored && known && known->run_no > stored->run_no))
        return;
    if (state->last_known && state->last_run == store->last_run && state->last_seq >= store->last_seq)
        return;
    state->last_known = true;
    state->last_run = store->last_run;
    state->last_seq = store->last_seq;
    state->last_clean = false;
}

// Windows stored before the cursor: its segment tells, or the front of the next one with a RUN; without one there is
// nothing to tell them by.
static uint64_t released_windows(struct jp_post *post)
{
    const struct jp_post_store *store = &post->store;
    struct jp_pos at = store->spool.cursor;
    uint64_t highest;
    struct survey found;

    if (at.segment < store->spool.lowest)
        at = (struct jp_pos){store->spool.lowest, 0};
    for (int i = 0; i < FILES_MAX; i++) {
        if (survey_segment(post, (struct jp_pos){at.segment, at.offset > 0 ? at.offset : 1}, &found) && found.run)
            return found.windows;
        if (jp_segment_find(post->in->fs, post->in->config->paths_spool, at.segment, &at.segment, &highest) ||
            at.segment == 0)
            break;
        at.offset = 0;
    }
    return store->windows;
}

void jp_post_survey(struct jp_post *post)
{
    struct jp_post_store *store = &post->store;
    const struct jp_spool *spool = &store->spool;
    uint64_t released;

    jp_post_past_forget(post, spool->cursor); // before it, what is fresh may have gone out as well
    if (!spool->attached || spool->lowest == 0)
        return;
    survey_newest(post);
    know_last(post);
    if (!jp_spool_pending(spool))
        return;
    released = released_windows(post);
    store->pending = released < store->windows ? store->windows - released : 0;
}
