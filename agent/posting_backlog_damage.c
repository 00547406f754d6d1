// SPDX-License-Identifier: Apache-2.0
// What bad bytes between two blocks of the durable spool took: the blocks on both sides tell, a gap says it.
//
// While nothing is damaged a block costs a note of its place. Behind damage the frames since that place are read once
// more: a block holds its run's millijoules at both its ends, so the joules between are exact, and gaps that lie there
// are taken off. Above `sure` a jump has no other cause: what goes out without the spool does so when all in it is
// released, and `sure` is moved behind that.
#include "posting_parts.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define UNREAD_MAX 64 // places that cannot be read

// How far the windows are accounted for before a block.
struct end {
    bool known, mj_known, ms_known;
    uint64_t run, next_seq;
    int64_t end_ms; // BOOTTIME
    int channel_count;
    char names[JP_CHANNELS_MAX][JP_NAME_MAX]; // of a channel that is not there run_mj is 0 while `whole`
    int64_t run_mj[JP_CHANNELS_MAX];
    bool whole;                                   // since the run's beginning
    uint64_t told_windows, told_first, told_last; // by gaps beyond a hole
    int64_t told_ms;
};

void jp_post_past_forget(struct jp_post *post, struct jp_pos sure)
{
    post->past = (struct jp_post_past){.sure = sure, .counted = post->past.counted};
    post->past.dropped = post->store.spool.counts.dropped;
}

void jp_post_past_damaged(struct jp_post *post)
{
    post->past.damaged = true;
}

// Reading it once more ---------------------------------------------------------------------------
static int channel(struct end *end, const char *name, bool add)
{
    int c = 0;

    while (c < end->channel_count && strcmp(end->names[c], name) != 0)
        c++;
    if (c < end->channel_count)
        return c;
    if (!add || c == JP_CHANNELS_MAX)
        return -1;
    snprintf(end->names[c], sizeof end->names[c], "%s", name);
    end->run_mj[c] = 0;
    end->channel_count++;
    return c;
}

static void end_at_block(struct end *end, const struct jp_frame *frame)
{
    static struct jp_block_reader reader; // large
    static struct jp_window window;
    int rc = jp_block_read(&reader, frame->payload, frame->size);

    while (rc == 0 || rc == 1) {
        rc = jp_block_next(&reader, &window);
        if (rc == 0)
            break;
    }
    if (rc)
        return;
    *end = (struct end){.known = true, .mj_known = true, .ms_known = true};
    end->run = reader.run;
    end->next_seq = window.seq + 1;
    end->end_ms = window.t0_ms + window.span_ms;
    end->channel_count = reader.channel_count;
    memcpy(end->names, reader.names, sizeof end->names);
    memcpy(end->run_mj, reader.run_mj, sizeof end->run_mj);
}

static void pass_gap(struct end *end, const struct jp_frame *frame)
{
    static struct jp_gap gap; // large

    if (jp_gap_decode(&gap, frame->payload, frame->size) || !end->known || gap.run != end->run ||
        gap.last_seq < end->next_seq)
        return;
    // Else joules of later runs are in it, or nobody knows whose they are.
    end->mj_known = end->mj_known && gap.named && gap.windows == gap.last_seq - gap.first_seq + 1;
    for (int i = 0; i < gap.channel_count && end->mj_known; i++) {
        int c = channel(end, gap.names[i], end->whole);

        if (c < 0 || __builtin_add_overflow(end->run_mj[c], gap.mj[i], &end->run_mj[c]))
            end->mj_known = false;
    }
    if (gap.first_seq <= end->next_seq && end->told_windows == 0) {
        end->next_seq = gap.last_seq + 1;
        end->end_ms += gap.span_ms;
        return;
    }
    if (end->told_windows == 0 || gap.first_seq != end->told_last + 1)
        end->told_first = gap.first_seq;
    end->told_windows += gap.last_seq - gap.first_seq + 1;
    end->told_last = gap.last_seq;
    end->told_ms += gap.span_ms;
}

// The event that begins a run comes before its first window.
static void begin_run(struct end *end, const struct jp_frame *frame, uint64_t run)
{
    struct jp_event event;

    if ((end->known && end->run == run) || jp_event_decode(&event, frame->payload, frame->size) || event.run != run ||
        strcmp(event.kind, "run") != 0 || strstr(event.detail, "\"stop\""))
        return;
    *end = (struct end){.known = true, .mj_known = true, .whole = true, .run = run};
}

// A collector says itself up to where it has all, whichever way that went.
static bool is_confirmed(const struct jp_post *post, uint64_t run)
{
    return post->in->config->mqtt.release == JP_RELEASE_COLLECTOR && post->ack.known && post->ack.run == run;
}

static void pass_confirmed(const struct jp_post *post, struct end *end, uint64_t run)
{
    uint64_t next = post->ack.upto + 1;

    if (is_confirmed(post, run) && !(end->known && end->run == run && end->next_seq >= next))
        *end = (struct end){.known = true, .run = run, .next_seq = next};
}

// Goes from the last block through to `frame`, a block of `run`.
static void recall(struct jp_post *post, const struct jp_frame *block, uint64_t run, struct end *end)
{
    const struct jp_post_past *past = &post->past;
    struct jp_pos from = {post->store.spool.cursor.segment, 0};
    struct jp_spool_reader reader;
    struct jp_frame frame;
    int rc, unread = 0;

    if (past->known)
        from = past->at;
    else if (jp_pos_compare(from, past->sure) < 0 && !is_confirmed(post, run))
        from = past->sure;
    *end = (struct end){.known = past->known, .run = past->run, .next_seq = past->next_seq};
    if (jp_spool_reader_open(&reader, post->in->fs, post->in->config->paths_spool, from))
        return;
    reader.end = block->at;
    while ((rc = jp_spool_reader_next(&reader, &frame)) != JP_SPOOL_END && unread < UNREAD_MAX) {
        if (rc < 0) {
            unread++;
            jp_spool_reader_pass(&reader, &frame);
            continue;
        }
        if (rc != JP_SPOOL_FRAME || jp_pos_compare(frame.at, from) < 0)
            continue;
        if (frame.type == JP_FRAME_BLOCK)
            end_at_block(end, &frame);
        else if (frame.type == JP_FRAME_GAP)
            pass_gap(end, &frame);
        else if (frame.type == JP_FRAME_EVENT)
            begin_run(end, &frame, run);
    }
    jp_spool_reader_close(&reader);
}

// Telling ----------------------------------------------------------------------------------------
static int64_t missing_ms(const struct end *end, const struct jp_block_reader *block, uint64_t windows)
{
    int64_t ms = block->t0_ms - end->end_ms - end->told_ms;

    if (end->ms_known && ms >= 0)
        return ms;
    return windows > INT32_MAX ? 0 : (int64_t)windows * block->dt_ms;
}

static void fill_energies(struct end *end, const struct jp_block_reader *block, struct jp_gap *gap)
{
    gap->named = true;
    gap->total_known = block->total_known;
    gap->channel_count = block->channel_count;
    memcpy(gap->names, block->names, sizeof gap->names);
    memcpy(gap->in_total, block->in_total, sizeof gap->in_total);
    for (int c = 0; c < block->channel_count; c++) {
        int at = channel(end, block->names[c], end->whole);
        int64_t mj;

        if (at < 0 || !end->mj_known || __builtin_sub_overflow(block->run_mj[c], end->run_mj[at], &mj))
            continue;
        gap->known[c] = mj != 0; // whether it was covered nobody knows
        gap->mj[c] = mj;
    }
}

static void enqueue(struct jp_post *post, const struct jp_frame *block, const struct jp_gap *gap)
{
    static uint8_t bytes[JP_POST_RECORD_MAX];
    int size = jp_gap_encode(gap, bytes, sizeof bytes);
    // It stays and goes with the block; released alone, it leaves the block in place.
    struct jp_post_item item = {
        .kind = JP_POST_GAP,
        .at = block->at,
        .next = block->at,
        .anchor = post->backlog_anchor,
        .born_ns = jp_post_now_ns(post),
        .windows = gap->windows < INT_MAX ? (int)gap->windows : INT_MAX, // they were pending
    };

    if (size < 0)
        return;
    item.size = (size_t)size;
    jp_post_queue_put(&post->backlog, &item, bytes);
    if (jp_pos_compare(block->at, post->past.counted) <= 0)
        return; // read once more for the collector
    post->past.counted = block->at;
    jp_post_lost(post, gap);
}

static void tell(struct jp_post *post, const struct jp_frame *frame, const struct jp_block_head *head)
{
    static struct jp_block_reader block; // large
    static struct jp_gap gap;
    static struct end end;
    bool told_at_end;

    recall(post, frame, head->run, &end);
    pass_confirmed(post, &end, head->run);
    if (!end.known || end.run != head->run || head->seq <= end.next_seq ||
        head->seq - end.next_seq <= end.told_windows || jp_block_read(&block, frame->payload, frame->size))
        return;
    told_at_end = end.told_windows > 0 && end.told_last + 1 == head->seq;
    memset(&gap, 0, sizeof gap);
    gap.run = head->run;
    gap.first_seq = end.next_seq;
    gap.last_seq = (told_at_end ? end.told_first : head->seq) - 1;
    gap.windows = head->seq - end.next_seq - end.told_windows;
    gap.span_ms = missing_ms(&end, &block, gap.windows);
    gap.t0_ms = end.ms_known ? end.end_ms : block.t0_ms - gap.span_ms - end.told_ms;
    snprintf(gap.reason, sizeof gap.reason, "damaged");
    fill_energies(&end, &block, &gap);
    enqueue(post, frame, &gap);
}

void jp_post_past_block(struct jp_post *post, const struct jp_frame *frame, const struct jp_block_head *head)
{
    struct jp_post_past *past = &post->past;

    if (past->dropped != post->store.spool.counts.dropped)
        jp_post_past_forget(post, frame->at); // what went is told behind it all
    if (past->known && jp_pos_compare(frame->at, past->at) <= 0)
        past->known = false; // from the cursor on once more
    if (past->damaged && !(past->known && past->run == head->run && head->seq <= past->next_seq))
        tell(post, frame, head);
    past->known = true;
    past->damaged = false;
    past->run = head->run;
    past->next_seq = head->seq + (uint64_t)head->count;
    past->at = frame->at;
}
