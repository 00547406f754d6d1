// SPDX-License-Identifier: Apache-2.0
// Windows lost to bad bytes: what the windows on both sides tell of them becomes a gap.
//
// A window holds its run's cumulative millijoules, so two of them give the energy between them exactly. Gaps that
// lie between are told by themselves and taken off.
#include "posting_parts.h"

#include <stdio.h>
#include <string.h>

void jp_post_damaged(struct jp_post *post, const struct jp_frame *frame)
{
    if (!post->seen.damaged)
        post->seen.damage_at = frame->at;
    post->seen.damaged = true;
    post->degraded |= JP_POST_DAMAGED;
}

void jp_post_seen_resume(struct jp_post *post, uint64_t run, uint64_t seq)
{
    post->seen = (struct jp_post_seen){.run = run, .next_seq = seq + 1};
}

static void begin_run(struct jp_post_seen *seen, uint64_t run)
{
    bool damaged = seen->damaged;
    struct jp_pos at = seen->damage_at;

    *seen = (struct jp_post_seen){.run = run, .mj_known = true, .damaged = damaged, .damage_at = at};
}

void jp_post_seen_gap(struct jp_post *post, const struct jp_gap *gap)
{
    struct jp_post_seen *seen = &post->seen;
    bool alone = gap->windows == gap->last_seq - gap->first_seq + 1;

    if (gap->run != seen->run && gap->run == post->run.id && post->run_known)
        begin_run(seen, gap->run);
    if (gap->run != seen->run || gap->last_seq < seen->next_seq)
        return;
    seen->mj_known = seen->mj_known && alone; // else joules of later runs are in it
    for (int c = 0; c < gap->channel_count; c++)
        if (__builtin_add_overflow(seen->run_mj[c], gap->mj[c], &seen->run_mj[c]))
            seen->mj_known = false;
    if (gap->first_seq == seen->next_seq) {
        seen->next_seq = gap->last_seq + 1;
        seen->end_ms += gap->span_ms;
        return;
    }
    seen->told_windows += gap->last_seq - gap->first_seq + 1;
    seen->told_ms += gap->span_ms;
    seen->told_first = gap->first_seq;
    seen->told_last = gap->last_seq;
}

static int64_t missing_ms(const struct jp_post *post, const struct jp_window *window, uint64_t windows)
{
    const struct jp_post_seen *seen = &post->seen;
    int64_t ms = window->t0_ms - seen->end_ms - seen->told_ms;

    if (seen->end_known && ms >= 0)
        return ms;
    return windows > INT32_MAX ? 0 : (int64_t)windows * post->run.window_ms;
}

static void fill_energies(const struct jp_post *post, const struct jp_window *window, struct jp_gap *gap)
{
    const struct jp_run *run = &post->run;

    gap->named = true;
    gap->total_known = run->total_known;
    gap->channel_count = run->channel_count;
    for (int c = 0; c < run->channel_count && c < window->channel_count; c++) {
        const struct jp_window_channel *channel = &window->channels[c];
        int64_t before = channel->run_mj - (channel->known ? channel->mj : 0), mj;
        bool known = !__builtin_sub_overflow(before, post->seen.run_mj[c], &mj) && post->seen.mj_known;

        memcpy(gap->names[c], run->channels[c].name, sizeof gap->names[c]);
        gap->in_total[c] = run->total_known && run->channels[c].in_total;
        gap->known[c] = known && mj != 0; // whether it was covered nobody knows
        gap->mj[c] = gap->known[c] ? mj : 0;
    }
}

static void tell(struct jp_post *post, const struct jp_frame *frame, uint64_t windows)
{
    static struct jp_gap gap; // large
    static uint8_t bytes[JP_POST_RECORD_MAX];
    const struct jp_post_seen *seen = &post->seen;
    const struct jp_window *window = &post->window;
    bool told_at_end = seen->told_windows > 0 && seen->told_last + 1 == window->seq;
    struct jp_frame made = {.at = seen->damage_at, .next = frame->at, .payload = bytes};
    int size;

    memset(&gap, 0, sizeof gap);
    gap.run = window->run;
    gap.first_seq = seen->next_seq;
    gap.last_seq = (told_at_end ? seen->told_first : window->seq) - 1;
    gap.windows = windows;
    gap.span_ms = missing_ms(post, window, windows);
    gap.t0_ms = seen->end_known ? seen->end_ms : window->t0_ms - gap.span_ms - seen->told_ms;
    snprintf(gap.reason, sizeof gap.reason, "damaged");
    fill_energies(post, window, &gap);
    jp_post_lost(post, &gap);
    size = jp_gap_encode(&gap, bytes, sizeof bytes);
    if (size < 0)
        return;
    made.size = (size_t)size;
    jp_post_enqueue(post, JP_POST_GAP, &made);
}

void jp_post_seen_window(struct jp_post *post, const struct jp_frame *frame)
{
    const struct jp_window *window = &post->window;
    struct jp_post_seen *seen = &post->seen;

    if (window->run != seen->run)
        begin_run(seen, window->run);
    if (seen->damaged && window->seq > seen->next_seq + seen->told_windows)
        tell(post, frame, window->seq - seen->next_seq - seen->told_windows);
    *seen = (struct jp_post_seen){
        .run = window->run,
        .next_seq = window->seq + 1,
        .end_known = true,
        .end_ms = window->t0_ms + window->span_ms,
        .mj_known = true,
    };
    for (int c = 0; c < window->channel_count; c++)
        seen->run_mj[c] = window->channels[c].run_mj;
}
