// SPDX-License-Identifier: Apache-2.0
// What is lost, by reason, and the gaps that say so.
#include "posting_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void count_lost(struct jp_post *post, const char *reason, const struct jp_lost *more)
{
    for (int i = 0; i < JP_LOST_MAX; i++) {
        struct jp_lost *one = &post->lost[i];

        if (one->reason && strcmp(one->reason, reason) != 0)
            continue;
        one->mj_known = (one->windows == 0 || one->mj_known) && more->mj_known;
        one->reason = reason;
        one->windows += more->windows;
        one->ms += more->ms;
        one->mj += more->mj;
        return;
    }
}

static const char *reason_word(const char *text)
{
    static const char *const words[] = {"hot_full", "spool_full", "keep_days", "refused", "damaged", "io_error"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i], text) == 0)
            return words[i];
    return "damaged";
}

// A gap of an early writer does not say by itself.
static bool of_total(const struct jp_post *post, const struct jp_gap *gap, int c)
{
    const struct jp_run *run = &post->head_run;

    if (gap->named)
        return gap->total_known && gap->in_total[c];
    return post->head_run_known && gap->run == run->id && run->total_known && run->channels[c].in_total;
}

void jp_post_lost(struct jp_post *post, const struct jp_gap *gap)
{
    struct jp_lost lost = {.windows = gap->windows, .ms = gap->span_ms};

    for (int c = 0; c < gap->channel_count; c++) {
        if (!gap->known[c] || !of_total(post, gap, c))
            continue;
        lost.mj += gap->mj[c];
        lost.mj_known = true;
    }
    count_lost(post, reason_word(gap->reason), &lost);
}

uint64_t jp_post_lost_windows(const struct jp_post *post)
{
    uint64_t sum = 0;

    for (int i = 0; i < JP_LOST_MAX; i++)
        sum += post->lost[i].windows;
    return sum;
}

// A gap out of blocks ----------------------------------------------------------------------------
static void begin(struct jp_gap *gap, const struct jp_block_reader *block)
{
    char reason[sizeof gap->reason];

    memcpy(reason, gap->reason, sizeof reason);
    memset(gap, 0, sizeof *gap);
    memcpy(gap->reason, reason, sizeof reason);
    gap->run = block->run;
    gap->named = true;
    gap->total_known = block->total_known;
    gap->channel_count = block->channel_count;
    memcpy(gap->names, block->names, sizeof gap->names);
    memcpy(gap->in_total, block->in_total, sizeof gap->in_total);
}

// One gap names a row of windows without a hole, with one set of channels.
static bool continues(const struct jp_gap *gap, const struct jp_block_reader *block, int from)
{
    if (gap->run != block->run || gap->last_seq + 1 != block->seq + (uint64_t)from ||
        gap->channel_count != block->channel_count || gap->total_known != block->total_known)
        return false;
    for (int c = 0; c < block->channel_count; c++)
        if (strcmp(gap->names[c], block->names[c]) != 0 || gap->in_total[c] != block->in_total[c])
            return false;
    return true;
}

static void add(struct jp_gap *gap, const struct jp_window *window)
{
    if (gap->windows == 0) {
        gap->first_seq = window->seq;
        gap->t0_ms = window->t0_ms;
    }
    gap->last_seq = window->seq;
    gap->windows++;
    gap->span_ms += window->span_ms;
    for (int c = 0; c < gap->channel_count; c++) {
        gap->known[c] |= window->channels[c].known;
        gap->mj[c] += window->channels[c].known ? window->channels[c].mj : 0;
    }
}

int jp_post_gap_add(struct jp_gap *gap, const void *block, size_t size, int from)
{
    static struct jp_block_reader reader; // large
    static struct jp_window window;
    int i = 0, rc = jp_block_read(&reader, block, size);

    if (rc)
        return rc;
    if (gap->windows == 0)
        begin(gap, &reader);
    else if (!continues(gap, &reader, from))
        return -EXDEV;
    while ((rc = jp_block_next(&reader, &window)) == 1)
        if (i++ >= from)
            add(gap, &window);
    return rc;
}
